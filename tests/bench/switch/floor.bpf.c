/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Programs that do nothing: what any program on these hooks costs on this machine. */
#include "bpf/vmlinux.h"

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/sched_switch")
int floor_switch(void *context)
{
	return 0;
}

SEC("tp_btf/sched_waking")
int floor_waking(void *context)
{
	return 0;
}

SEC("tp_btf/sched_wakeup_new")
int floor_wakeup_new(void *context)
{
	return 0;
}

SEC("tp_btf/sched_process_fork")
int floor_fork(void *context)
{
	return 0;
}

SEC("tp_btf/sched_process_exit")
int floor_exit(void *context)
{
	return 0;
}
