/* SPDX-License-Identifier: Apache-2.0 */
/* The probe's rights: what it was started with, less what it does not need. */
#pragma once

/* Gives up every capability but CAP_BPF and CAP_PERFMON (load, attach), CAP_SYS_PTRACE and
 * CAP_DAC_READ_SEARCH (look into processes and their files), CAP_CHECKPOINT_RESTORE (libraries that
 * were replaced while in use, by /proc/PID/map_files; not missed much) and CAP_SYSLOG (kernel
 * symbols), for good and for all children. Where the kernel does not know CAP_BPF (before 5.8),
 * CAP_SYS_ADMIN stays in its place; CAP_SYS_RESOURCE stays where memory is still charged to
 * RLIMIT_MEMLOCK (before 5.11). Never fails: a right that one does not have need not be given up.
 */
void worker_capabilities_keep_needed(void);
