/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Programs that do nothing: what any program on these hooks costs on this machine. */
#include "bpf/vmlinux.h"

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define FLOOR(name)                                                                                \
	SEC("tp_btf/" #name)                                                                       \
	int floor_##name(void *context)                                                            \
	{                                                                                          \
		return 0;                                                                          \
	}

FLOOR(sched_switch)
FLOOR(sched_waking)
FLOOR(sched_wakeup_new)
FLOOR(sched_process_exec)
FLOOR(sched_process_exit)
FLOOR(softirq_entry)
FLOOR(softirq_exit)
FLOOR(softirq_raise)
FLOOR(irq_handler_entry)
FLOOR(irq_handler_exit)
FLOOR(hrtimer_expire_entry)
FLOOR(hrtimer_expire_exit)
FLOOR(irq_work_entry)
FLOOR(irq_work_exit)
