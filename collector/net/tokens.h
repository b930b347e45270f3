/* SPDX-License-Identifier: Apache-2.0 */
/* Bearer tokens from a file, one on each line; empty lines and those with a '#' in front do not
 * count. Read again when the file changes. Any thread. */
#pragma once

#include <stdbool.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

#define TOKENS_MAX       1024
#define TOKENS_MIN_BYTES 16 /* a shorter one can be guessed */
#define TOKENS_MAX_BYTES 1024

struct tokens;

/* `message` gets a sentence on failure: the file cannot be read, others than its owner and group
 * may read it, a token is too short, there is none. */
int tokens_new(const char *path, struct tokens **out_tokens, struct buf *message);
void tokens_free(struct tokens *tokens); /* accepts NULL */

/* As tls_context_reload. */
int tokens_reload(struct tokens *tokens, bool force, struct buf *message);

/* Whether this is `Bearer TOKEN` with one of them. How long it takes tells nothing about them. */
bool tokens_allow(struct tokens *tokens, struct str authorization);
