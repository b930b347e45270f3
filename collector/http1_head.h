/* SPDX-License-Identifier: Apache-2.0 */
/* The request line and the headers: what http1.c hands over once the empty line has come. Private
 * to the two files. */
#pragma once

#include "collector/http1.h"

enum chunk_step { CHUNK_NONE, CHUNK_SIZE, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER };

/* Each line of `head` ends in CRLF; the empty one is left out. Sets the request and how its body is
 * framed, or refuses. */
void http1_parse_head(struct http1 *http, struct str head);

/* RFC 9110, 5.6.2: what methods and names of fields are made of. */
bool http1_is_token(struct str text);

void http1_refuse(struct http1 *http, int status, const char *complaint);
