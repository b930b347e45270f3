/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs do on kernels that this one is not, as far as this one can be taken for such:
 * under PREEMPT_RT, and from Linux 7.0 on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "bpf/kernel_types.h"
#include "collector/base/macros.h"
#include "harness.h"
#include "types.h"

static struct harness harness;

/* ---- PREEMPT_RT: another thread has the CPU in the midst of a softirq */

#define SOFTIRQ_DISK (1u << 5) /* one that no device here asks for */

static struct worker_cpu *cpu_of(unsigned cpu)
{
	return &programs_shared(harness.programs)->cpus[cpu];
}

/* Each CPU is in the midst of one, which began when that thread had it, and does not end. */
static void begin_softirqs(uint32_t tid)
{
	for (unsigned cpu = 0; cpu < programs_cpus(harness.programs); cpu++) {
		__atomic_store_n(&cpu_of(cpu)->softirq_tid, tid, __ATOMIC_SEQ_CST);
		__atomic_fetch_or(&cpu_of(cpu)->interrupts, SOFTIRQ_DISK, __ATOMIC_SEQ_CST);
	}
}

static bool are_within(void)
{
	unsigned within = 0;

	for (unsigned cpu = 0; cpu < programs_cpus(harness.programs); cpu++)
		within += (cpu_of(cpu)->interrupts & SOFTIRQ_DISK) != 0;
	return within == programs_cpus(harness.programs);
}

/* By whom the waits of that name were ended. */
static void count_wakers(const char *name, size_t *threads, size_t *disks)
{
	const struct harness_wait *wait = harness_wait(&harness, name);
	const struct event_slice *slice = NULL;

	while ((slice = harness_next_slice(&harness, wait->tid, slice))) {
		struct event_tails tails;

		if (slice->in_ns < wait->before_ns || slice->in_ns > wait->after_ns ||
		    !event_slice_tails(slice, &tails) || !tails.waker)
			continue;
		*threads += tails.waker->kind == WAKER_THREAD &&
			    tails.waker->pid == (uint32_t)harness.pid;
		*disks += tails.waker->kind == WAKER_DISK;
	}
}

/* Waits that another thread of the subject ends, in its own context. */
static void play(bool is_displaced, size_t *out_threads, size_t *out_disks)
{
	static const char *const names[] = { "condition", "semaphore", "shared", "unix", "pipe" };
	static const char *const hooks[] = { "btf_trace_softirq_entry", "btf_trace_softirq_exit",
					     "btf_trace_softirq_raise" };
	char path[TYPES_PATH_BYTES];
	struct btf *types = types_open();

	/* real ones would have other threads */
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
		types_hide(types, hooks[i], NULL);
	if (is_displaced)
		types_name_first(types, "spinlock", "lock");
	types_write(types, path);
	harness.types = path;
	harness_open(&harness, 4u << 20, 0);
	unlink(path);
	begin_softirqs((uint32_t)getpid());
	harness_run(&harness, "reasons");
	assert_true(are_within());
	*out_threads = *out_disks = 0;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		count_wakers(names[i], out_threads, out_disks);
	printf("  ended by threads: %zu, by the disk: %zu\n", *out_threads, *out_disks);
	harness_close(&harness);
}

static void a_softirq_is_whose_cpu_it_has(void **state)
{
	size_t threads, disks;

	(void)state;
	play(false, &threads, &disks);
	assert_int_equal(threads, 0);
	assert_true(disks >= 5);
}

static void under_preempt_rt_it_is_whose_it_was(void **state)
{
	size_t threads, disks;

	(void)state;
	play(true, &threads, &disks);
	assert_true(threads >= 5);
	assert_int_equal(disks, 0);
}

/* ---- 7.0: programs at exec and exit may be preempted */

/* How often a program, as it was loaded, calls functions of the kernel that are no helpers. */
static size_t count_kernel_calls(const char *name)
{
	struct bpf_object *object = programs_object(harness.programs);
	struct bpf_program *program = bpf_object__find_program_by_name(object, name);
	struct bpf_prog_info info = { 0 };
	__u32 bytes = sizeof(info);
	size_t calls = 0;

	assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &bytes), 0);
	__u32 code_bytes = info.xlated_prog_len;
	struct bpf_insn *code = calloc(1, code_bytes);

	info = (struct bpf_prog_info){ .xlated_prog_len = code_bytes,
				       .xlated_prog_insns = (uintptr_t)code };
	assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &bytes), 0);
	for (size_t i = 0; i < code_bytes / sizeof(*code); i++)
		calls += code[i].code == (BPF_JMP | BPF_CALL) &&
			 code[i].src_reg == BPF_PSEUDO_KFUNC_CALL;
	free(code);
	return calls;
}

/* Casts are none by then, and nothing else is called. */
static void at_exec_and_exit_no_other_thread_has_the_cpu(void **state)
{
	static const char *const names[] = { "sched_process_exec", "sched_process_exit" };
	struct btf *kernel = types_open();
	bool is_able = kernel_types_keep_cpu(kernel);

	(void)state;
	btf__free(kernel);
	if (!is_able)
		skip();
	harness_open(&harness, 1u << 20, 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		size_t calls = count_kernel_calls(names[i]);

		printf("  %s: %zu\n", names[i], calls);
		assert_true(calls >= 2 && calls % 2 == 0);
	}
	harness_close(&harness);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(a_softirq_is_whose_cpu_it_has),
		cmocka_unit_test(under_preempt_rt_it_is_whose_it_was),
	};
	const struct CMUnitTest typed[] = {
		cmocka_unit_test(at_exec_and_exit_no_other_thread_has_the_cpu),
	};

	harness_init(&harness, argc, argv);
	int failed = cmocka_run_group_tests(all, NULL, NULL);

	if (argc > 1 && strcmp(argv[1], "typed") == 0)
		failed += cmocka_run_group_tests(typed, NULL, NULL);
	return harness_verdict(&harness, failed, argv);
}
