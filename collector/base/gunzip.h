/* SPDX-License-Identifier: Apache-2.0 */
/* gzip undone piece by piece, for files that must not be held whole. Members may follow each other.
 * Not thread safe. */
#pragma once

#include <stdbool.h>

#include "collector/base/str.h"

struct gunzip;

/* NULL: out of memory. */
struct gunzip *gunzip_new(void);
void gunzip_free(struct gunzip *gunzip);

/* Unpacks from `*in`, which moves on, into `room`. Returns the bytes written, 0 when more input is
 * needed or all is done; -EBADMSG: not gzip, or damaged; -ENOMEM. */
long gunzip_read(struct gunzip *gunzip, struct str *in, char *room, size_t room_bytes);
/* Whether the last member is complete. */
bool gunzip_is_done(const struct gunzip *gunzip);
