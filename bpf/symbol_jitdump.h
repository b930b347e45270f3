/* SPDX-License-Identifier: Apache-2.0 */
/* Code that a process compiled at run time, as its jit-PID.dump tells (perf's jitdump): Node with
 * --perf-prof, .NET, Java agents, Python with -X perf_jit. The process maps the first page of that
 * file executable, which is how it is found.
 *
 *   file   := head, record...        record := id:4, bytes:4, time:8, body
 *   id 0 (load): pid:4, tid:4, address:8, code address:8, code bytes:8, index:8, name, NUL, code
 *   id 1 (move): pid:4, tid:4, address:8, old:8, new:8, code bytes:8, index:8
 *
 * Only what is new is read, and no more than the limits: the process writes what it likes. */
#pragma once

#include <stdbool.h>

#include "bpf/symbol_perf_map.h"

#define JITDUMP_MAX_BYTES ((uint64_t)1 << 30) /* of the file, most of which is code */
#define JITDUMP_MAX_MOVES 1024                /* each looks through all that came before */

/* Is this the path of one? */
bool symbol_jitdump_is(const char *path);

/* Reads what was appended to the file, into a map of its own. 0: nothing new; 1: something; errors
 * are negative errno, -EBADMSG: no jitdump, or damaged. */
int symbol_jitdump_read(struct symbol_perf_map *map, int fd);
