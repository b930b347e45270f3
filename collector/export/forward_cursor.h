/* SPDX-License-Identifier: Apache-2.0 */
/* How far forwarding has come: <data>/state/forward.cursor, replaced as a whole. Errors are
 * negative errno. */
#pragma once

#include "storage/follow.h"

/* -ENOENT: there is none yet; -EBADMSG: it is not ours, or damaged. */
int forward_cursor_read(const char *data_path, struct store_place *out_place);
int forward_cursor_write(const char *data_path, const struct store_place *place);
