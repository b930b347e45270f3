/* SPDX-License-Identifier: Apache-2.0 */
/* Finds a thread's variable by its descriptor, without BPF: what the BPF reader is measured by. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "bpf/tag.h"

/* Stops the thread for a moment. 0 and the variable's address; -ENODATA: this thread has none yet;
 * else negative errno. */
int reference_address(pid_t tid, const struct tag_variable *variable, uint64_t *out_address);
