/* SPDX-License-Identifier: Apache-2.0 */
/* What a function is called, for formats that have its file apart. */
#pragma once

#include "collector/base/str.h"

/* In scripts a name alone ("get", "wait") does not tell whose function it is: "wait
 * (threading.py)". Names of compiled code stay as they are, as do those that have a file already.
 * The result is `name` or in `room`. */
struct str profile_name_of(struct str name, struct str file, char *room, size_t room_bytes);
