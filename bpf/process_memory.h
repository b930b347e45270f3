/* SPDX-License-Identifier: Apache-2.0 */
/* Another process's memory and its texts.
 *
 * Memory is read through a descriptor of /proc/PID/mem: unlike process_vm_readv it belongs to that
 * very process for good, so a pid that is given out again cannot lead us astray. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "collector/base/str.h"

/* All of it or -EFAULT. */
int process_memory_read(int memory_fd, uint64_t address, void *out, size_t bytes);

/* Copies a text that a process wrote: cut at a whole character, other bytes than printable UTF-8
 * become '?'. Always NUL terminated. */
void process_memory_text(char *out, size_t cap, struct str text);
