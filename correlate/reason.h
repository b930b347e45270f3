/* SPDX-License-Identifier: Apache-2.0 */
/* Why a thread left the CPU: from its state, its system call, and what that call waits for.
 *
 * Pure, table driven, x86-64 numbers (compat calls have others and come out wrong or as OTHER).
 * What cannot be told is OTHER: decided_by names the call, so that a wrong guess stays visible. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bpf/event.h"
#include "correlate/ledger.h"
#include "correlate/slice.h"

/* Of a wait, not of a preemption: the caller has asked EVENT_PREEMPTED and state 0 before.
 *
 * `state`: raw task state bits. `syscall`: -1 outside of one. `iowait`: task->in_iowait. `target`:
 * borrowed, may be NULL; poll and select have one only if they wait for a single descriptor. */
enum ledger_reason reason_of(uint32_t state, int32_t syscall, bool iowait,
			     const struct event_target *target);

/* The same of a slice, whose flags may say what the kernel's stack told: that decides where all
 * else leaves the reason open, and where a call waits uninterruptibly for something that is not its
 * own business. `*out_syscall`: as ledger_wait.syscall. */
enum ledger_reason reason_of_slice(const struct slice *slice, int32_t *out_syscall);

/* Static text; NULL: no such system call. */
const char *reason_syscall_name(int32_t syscall);

/* pause, rt_sigtimedwait, rt_sigsuspend: a REASON_SIGNAL of any other call was a stop or a trace.
 */
bool reason_syscall_waits_for_signal(int32_t syscall);
bool reason_syscall_is_event_loop(int32_t syscall);
/* Without a target, or the kernel's frames, its reason may be another one. */
bool reason_is_guess(const struct slice *slice);

/* It goes on with another call, which it does not tell. */
bool reason_syscall_is_restart(int32_t syscall);
/* execve and the like: the thread becomes another program. */
bool reason_syscall_is_exec(int32_t syscall);
/* flock, fcntl and the like; flock: of a file as a whole. */
bool reason_syscall_is_lock(int32_t syscall);
bool reason_syscall_is_flock(int32_t syscall);
/* sched_yield: who leaves its CPU in it has given it up, and could go on at once. */
bool reason_syscall_is_yield(int32_t syscall);
/* Stopped, traced or frozen, from outside. */
bool reason_state_is_held(uint32_t state);
