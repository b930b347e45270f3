/* SPDX-License-Identifier: Apache-2.0 */
/* What a linker calls a function, as its author called it: C++, Rust (both manglings), else as is.
 */
#pragma once

#include "collector/base/buf.h"

#define SYMBOL_NAME_LONGEST 4096 /* longer ones are not looked into */

/* Appends the name, without parameters. */
void symbol_name_put(const char *mangled, struct buf *out);
