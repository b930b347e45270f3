/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of CPython from 3.13 on, as the interpreter describes it itself: _Py_DebugOffsets, the
 * first thing in its runtime. */
#pragma once

#include "bpf/python_layout.h"

#define PYTHON_DESCRIBED_WORDS 160 /* as many as we look at */

/* Its words: what they are is told by their order, which each version may add to. So the parts that
 * we need are found by what does not change: where in a thread's state its neighbours stand, that a
 * code object's names lie side by side, and the like. `memory_fd`: of the process, for where a
 * version leaves two possibilities. -ENOTSUP: not as we know it. */
int python_described_read(const uint64_t words[static PYTHON_DESCRIBED_WORDS], uint64_t runtime,
			  int memory_fd, struct python_layout *out_layout);
