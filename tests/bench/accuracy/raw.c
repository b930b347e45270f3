/* SPDX-License-Identifier: Apache-2.0 */
/* Threads and processes that no library makes: clone(2) by hand, with the thread pointer of who
 * calls it, or one of its own; programs that are spawned, and processes that become another one in
 * the middle of a span. */
#include <link.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/accuracy/scenario.h"

#define STACK_BYTES ((size_t)256 << 10)
#define TLS_BELOW   ((size_t)64 << 10) /* for the variables of the program and of its libraries */
#define TLS_ABOVE   ((size_t)16 << 10) /* for what libc keeps of a thread */
#define TLS_HEAD    64                 /* of that, what new threads inherit */
#define SPAWNED     2

#define A_THREAD                                                                                   \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |        \
	 CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID)
#define A_PROCESS (CLONE_VM | CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID | SIGCHLD)

static void wait_while(_Atomic uint32_t *word, uint32_t value)
{
	while (atomic_load(word) == value)
		syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void set(_Atomic uint32_t *word, uint32_t value)
{
	atomic_store(word, value);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* ---- one that is made by hand */

struct raw {
	_Atomic uint32_t tid; /* the kernel clears it at the end */
	_Atomic uint32_t is_done, may_end;
	struct truth_span *span; /* that it was made in */
	uint64_t spin_ns[2], sleep_ns;
	uint64_t cpu_ns, slack_ns;
	char *stack, *tls;
};

/* The program's own block of thread-local variables, as it begins. */
static int copy_image(struct dl_phdr_info *program, size_t bytes, void *thread_pointer)
{
	(void)bytes;
	for (int i = 0; i < program->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &program->dlpi_phdr[i];
		char *block;

		if (part->p_type != PT_TLS)
			continue;
		block = (char *)thread_pointer -
			((part->p_memsz + part->p_align - 1) & ~(part->p_align - 1));
		memcpy(block, (const char *)program->dlpi_addr + part->p_vaddr, part->p_filesz);
	}
	return 1; /* the first one is the program */
}

static void *make_tls(struct raw *raw)
{
	char *thread_pointer, *own = __builtin_thread_pointer();

	raw->tls = mmap(NULL, TLS_BELOW + TLS_ABOVE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	scenario_check(raw->tls != MAP_FAILED, "memory");
	thread_pointer = raw->tls + TLS_BELOW;
	memcpy(thread_pointer, own, TLS_HEAD);
	memcpy(thread_pointer, &thread_pointer, sizeof(thread_pointer));
	memcpy(thread_pointer + 16, &thread_pointer, sizeof(thread_pointer));
	dl_iterate_phdr(copy_image, thread_pointer);
	return thread_pointer;
}

/* With a thread pointer of its own, or with ours: then it shows what we show. */
static void begin(struct raw *raw, int (*run)(void *), int flags, bool has_own_tls)
{
	void *tls = has_own_tls ? make_tls(raw) : NULL;

	raw->stack =
		mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	scenario_check(raw->stack != MAP_FAILED, "memory");
	scenario_check(clone(run, raw->stack + STACK_BYTES, flags | (tls ? CLONE_SETTLS : 0), raw,
			     &raw->tid, tls, &raw->tid) > 0,
		       "clone");
}

static void join(struct raw *raw)
{
	uint32_t tid;

	while ((tid = atomic_load(&raw->tid)) != 0)
		wait_while(&raw->tid, tid);
	munmap(raw->stack, STACK_BYTES);
	if (raw->tls)
		munmap(raw->tls, TLS_BELOW + TLS_ABOVE);
}

static void reap(void)
{
	int status;

	scenario_check(wait(&status) > 0 && status == 0, "child");
}

/* ---- it has no variables of its own: what its maker shows is what it shows, and so carries */

static struct raw lent_raw(void)
{
	return (struct raw){
		.spin_ns = { truth_length_ns(20 * US, 2 * MS), truth_length_ns(20 * US, 2 * MS) },
		.sleep_ns = truth_length_ns(50 * US, 1 * MS),
	};
}

static int lent_main(void *arg)
{
	struct raw *raw = arg;

	truth_spin_ns(raw->spin_ns[0]);
	scenario_sleep_ns(raw->sleep_ns);
	truth_spin_ns(raw->spin_ns[1]);
	raw->cpu_ns = truth_cpu_ns();
	set(&raw->is_done, 1);
	wait_while(&raw->may_end, 0);
	raw->slack_ns = truth_cpu_ns() - raw->cpu_ns;
	return 0;
}

static void raw_lent(void)
{
	struct raw raw = lent_raw();
	struct truth_span *span = truth_open("request");

	scenario_spin(20 * US, 1 * MS);
	begin(&raw, lent_main, A_THREAD, false);
	scenario_spin(20 * US, 2 * MS);
	wait_while(&raw.is_done, 0);
	scenario_spin(5 * US, 100 * US);
	truth_close(span);
	set(&raw.may_end, 1);
	join(&raw);
	span->cpu_ns += raw.cpu_ns;
	span->cpu_slack_ns += raw.slack_ns;
}

/* The same, but that it is a process: a child, which does what it does for nobody's span. */
static void raw_shared(void)
{
	struct raw raw = lent_raw();
	struct truth_span *outer = truth_open("outer"), *inner;

	scenario_spin(20 * US, 1 * MS);
	begin(&raw, lent_main, A_PROCESS, false);
	for (int i = 0; i < 3; i++) {
		inner = truth_open("inner");
		scenario_spin(20 * US, 1 * MS);
		scenario_nap(50 * US, 1 * MS);
		truth_close(inner);
		scenario_spin(20 * US, 300 * US);
	}
	wait_while(&raw.is_done, 0);
	truth_close(outer);
	set(&raw.may_end, 1);
	join(&raw);
	reap();
}

/* ---- it has its own, and makes spans */

static int part_main(void *arg)
{
	struct raw *raw = arg;
	struct truth_span *part = truth_open_below("part", raw->span), *inner;

	scenario_spin(20 * US, 1 * MS);
	inner = truth_open("inner");
	scenario_spin(20 * US, 1 * MS);
	scenario_nap(50 * US, 1 * MS);
	truth_close(inner);
	truth_close(part);
	scenario_spin(20 * US, 300 * US);
	return 0;
}

static void raw_thread(void)
{
	struct truth_span *root = truth_open("request");
	struct raw raws[2] = { { .span = root }, { .span = root } };

	scenario_spin(20 * US, 500 * US);
	for (int i = 0; i < 2; i++)
		begin(&raws[i], part_main, A_THREAD, true);
	scenario_spin(20 * US, 2 * MS);
	for (int i = 0; i < 2; i++)
		join(&raws[i]);
	scenario_spin(5 * US, 100 * US);
	truth_close(root);
}

/* In our memory, with spans of its own, while we go on. */
static void raw_process(void)
{
	struct raw raw = { .span = NULL };
	struct truth_span *span = truth_open("beside");

	scenario_spin(20 * US, 500 * US);
	begin(&raw, part_main, A_PROCESS, true);
	scenario_spin(20 * US, 3 * MS);
	scenario_nap(50 * US, 1 * MS);
	scenario_spin(20 * US, 500 * US);
	truth_close(span);
	join(&raw);
	reap();
}

/* ---- programs that are spawned, several at once, while we go on */

static void spawned(void)
{
	static char shell[] = "sh", option[] = "-c";
	static char loop[] = "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done";
	char *arguments[] = { shell, option, loop, NULL };
	struct truth_span *span = truth_open("spawn");
	pid_t child;

	scenario_spin(20 * US, 500 * US);
	for (int i = 0; i < SPAWNED; i++)
		scenario_check(posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ) == 0,
			       "spawn");
	scenario_spin(20 * US, 3 * MS);
	truth_wait_begin();
	for (int i = 0; i < SPAWNED; i++)
		reap();
	truth_wait_end();
	scenario_spin(20 * US, 500 * US);
	truth_close(span);
}

/* ---- a process that becomes another program in the middle of its span */

static void become_in_child(void)
{
	pid_t child = fork();

	scenario_check(child >= 0, "fork");
	if (child == 0) {
		struct truth_span *before = truth_open("before"), *span;

		scenario_spin(20 * US, 1 * MS);
		truth_close(before);
		scenario_sleep_ns(truth_length_ns(50 * US, 10 * MS));
		span = truth_open("became");
		scenario_spin(20 * US, 2 * MS);
		if (truth_between(0, 1))
			scenario_nap(50 * US, 2 * MS);
		truth_become(span, scenario_arguments);
	}
	reap();
	truth_between(0, 1); /* so that the next child draws other numbers */
}

/* The new program knows the span, and shows it as soon as it can. */
static void carry_on(struct truth_span *span)
{
	scenario_check(spanwise_process_init(scenario_arguments[3], NULL) == 0, "context");
	truth_carry_on(span);
	scenario_spin(50 * US, 5 * MS);
	scenario_nap(50 * US, 5 * MS);
	scenario_spin(50 * US, 10 * MS);
	truth_close(span);
}

/* ... or does not: it does something else until the span is over. */
static void do_others(struct truth_span *span)
{
	truth_spin_ns(truth_between(1 * MS, 5 * MS));
	scenario_sleep_ns(truth_between(1 * MS, 3 * MS));
	truth_end_uncarried(span);
}

const struct scenario scenario_raw[] = {
	{ .name = "raw-lent", .turn = raw_lent },
	{ .name = "raw-shared", .turn = raw_shared },
	{ .name = "raw-thread", .turn = raw_thread },
	{ .name = "raw-process", .turn = raw_process },
	{ .name = "spawned", .turn = spawned },
	{ .name = "exec-within", .turn = become_in_child, .resumed = carry_on },
	{ .name = "exec-away", .turn = become_in_child, .resumed = do_others },
	{ .name = NULL },
};
