/* SPDX-License-Identifier: Apache-2.0 */
/* How long a thread could have run, but had no CPU: what it takes of the clock beside that is its
 * own. */
#pragma once

#include <stdint.h>

/* Of the calling thread, which alone may ask; to be closed by the caller. -errno. */
int cpu_wait_open(void);
/* So far, in ns; 0: the kernel does not tell, or `fd` is negative. */
uint64_t cpu_wait_ns(int fd);
