/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The hooks: what the scheduler does, told as records (event.h). */
#include "bpf/clock.bpf.h"
#include "bpf/life.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Every switch must leave the thread that the one before has put there. */
static __always_inline void check_chain(__u32 prev_tid, __u32 next_tid)
{
	struct worker_cpu *cpu = this_cpu();

	if (cpu->last_next != prev_tid && cpu->has_last)
		count_lost(LOSS_CPU_CHAIN);
	cpu->last_next = next_tid;
	cpu->has_last = 1;
}

/* Out of line, as all that untracked threads do without. */
static __noinline int on_tracked_switch(unsigned long long *ctx, struct task_struct *prev,
					struct task_struct *next, bool preempted)
{
	struct ending end = { .ns = bpf_ktime_get_ns(),
			      .stolen_ns = task_stolen_ns(next),
			      .state = task_state_at_switch(ctx, prev) };

	clock_want();
	if (is_tracked(LOAD(prev, tgid))) {
		struct thread *thread = thread_of(prev);

		if (thread)
			thread_leave(ctx, thread, prev, &end, preempted);
		if (thread && end.flags & EVENT_DEAD)
			life_end_thread(thread, LOAD(prev, tgid));
	}
	if (is_tracked(LOAD(next, tgid)))
		thread_enter(next, end.ns, end.stolen_ns);
	return 0;
}

HOOK("sched_switch")
int BPF_PROG(sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	if (knobs.lose_switches && bpf_get_prandom_u32() % knobs.lose_switches == 0)
		return 0;
	check_chain(LOAD(prev, pid), LOAD(next, pid));
	if (is_tracked(LOAD(prev, tgid)) || is_tracked(LOAD(next, tgid)))
		on_tracked_switch(ctx, prev, next, preempt);
	return 0;
}

HOOK("sched_waking")
int BPF_PROG(sched_waking, struct task_struct *task)
{
	if (is_tracked(LOAD(task, tgid)))
		thread_wake(task);
	else if (is_server(LOAD(task, tgid)))
		server_wake(task);
	return 0;
}

HOOK("sched_wakeup_new")
int BPF_PROG(sched_wakeup_new, struct task_struct *task)
{
	life_make(task_current(), task);
	return 0;
}

HOOK("sched_process_exec")
int BPF_PROG(sched_process_exec, struct task_struct *task, pid_t old_tid)
{
	life_exec(task, old_tid);
	return 0;
}

HOOK("sched_process_exit")
int BPF_PROG(sched_process_exit, struct task_struct *task)
{
	life_exit(ctx, task);
	return 0;
}

SEC("perf_event")
int tick(struct bpf_perf_event_data *context)
{
	struct task_struct *task = task_current();

	if (is_tracked(LOAD(task, tgid))) {
		clock_want();
		thread_tick(context, task);
	}
	clock_tell(context);
	return 0;
}

HOOK("softirq_entry")
int BPF_PROG(softirq_entry, unsigned int vector)
{
	softirq_begin(vector);
	return 0;
}

HOOK("softirq_exit")
int BPF_PROG(softirq_exit, unsigned int vector)
{
	softirq_end(vector);
	return 0;
}

HOOK("softirq_raise")
int BPF_PROG(softirq_raise, unsigned int vector)
{
	softirq_asked(vector);
	return 0;
}

HOOK("irq_handler_entry")
int BPF_PROG(irq_handler_entry)
{
	interrupt_begin(INTERRUPT_DEVICE);
	return 0;
}

HOOK("irq_handler_exit")
int BPF_PROG(irq_handler_exit)
{
	interrupt_end(INTERRUPT_DEVICE);
	return 0;
}

HOOK("hrtimer_expire_entry")
int BPF_PROG(hrtimer_expire_entry)
{
	interrupt_begin(INTERRUPT_HRTIMER);
	return 0;
}

HOOK("hrtimer_expire_exit")
int BPF_PROG(hrtimer_expire_exit)
{
	interrupt_end(INTERRUPT_HRTIMER);
	thread_cut_stolen(ctx, task_current());
	return 0;
}

/* Readers of perf's and BPF's buffers are woken there, whoever filled them. */
HOOK("irq_work_entry")
int BPF_PROG(irq_work_entry)
{
	interrupt_begin(INTERRUPT_WORK);
	return 0;
}

HOOK("irq_work_exit")
int BPF_PROG(irq_work_exit)
{
	interrupt_end(INTERRUPT_WORK);
	return 0;
}
