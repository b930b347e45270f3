/* SPDX-License-Identifier: Apache-2.0 */
/* Which frames every program has around its own code: the C library and the loader, the kernel,
 * what an interpreter or a runtime does to run it. They are seldom what a reader looks for; the
 * tables say which they are. */
#pragma once

#include <stdbool.h>

#include "collector/base/frame.h"

bool plumbing_is(const struct frame *frame);
