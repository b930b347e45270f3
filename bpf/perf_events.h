/* SPDX-License-Identifier: Apache-2.0 */
/* Perf events: the tick of each CPU, and news of executable mappings (a dlopen).
 *
 * Needs CAP_PERFMON, or CAP_SYS_ADMIN before Linux 5.8 and on Debian's kernels, whose
 * kernel.perf_event_paranoid is 3. One thread; errors are negative errno. */
#pragma once

#include <stdint.h>

/* Opens now what the functions below will ask for, if only an administrator may: for this process
 * and those that it forks, which may have given that up. */
void perf_events_keep(uint32_t hz);

/* A cpu-clock event for a BPF program; the caller's. -ENODEV: that CPU is not online. */
int perf_events_open_tick(unsigned cpu, uint32_t hz);

struct mapping_events;

/* Watches all processes on all online CPUs. */
int mapping_events_open(unsigned cpus, struct mapping_events **out_events);
void mapping_events_close(struct mapping_events *events);

/* An epoll descriptor that becomes readable when many have come; ours. Few are found by looking. */
int mapping_events_fd(const struct mapping_events *events);

/* Hands over the process of each new executable mapping since. Some may be missing: the rescan
 * finds those. */
void mapping_events_consume(struct mapping_events *events, void (*on_mapping)(uint32_t pid, void *),
			    void *arg);
