/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that treat their threads, or the writer's variable, as nobody should and some do. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/accuracy/scenario.h"

#define BURSTS     40
#define BURST_US   200
#define MASS       300
#define MASS_STACK ((size_t)64 << 10)
#define SWAPS      4
#define CONTAINED  5

static void start(pthread_t *thread, void *(*run)(void *), void *arg)
{
	scenario_check(pthread_create(thread, NULL, run, arg) == 0, "thread");
}

/* ---- a timer's ticks, each answered by a span of a few microseconds */

static void bursts(void)
{
	const struct itimerspec often = { { 0, BURST_US * US }, { 0, BURST_US * US } };
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	uint64_t ticks;

	scenario_check(timer >= 0 && timerfd_settime(timer, 0, &often, NULL) == 0, "timer");
	for (int i = 0; i < BURSTS; i++) {
		struct truth_span *span;

		scenario_check(read(timer, &ticks, sizeof(ticks)) == sizeof(ticks), "tick");
		span = truth_open("burst");
		truth_spin_ns(5 * US);
		truth_close(span);
	}
	close(timer);
}

/* ---- another thread moves this one from CPU to CPU, while it runs */

static struct {
	_Atomic pid_t tid;
	_Atomic bool is_over;
} driven;

static void *driver_main(void *unused)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	for (unsigned i = 0; !atomic_load(&driven.is_over); i++) {
		cpu_set_t one;

		CPU_ZERO(&one);
		CPU_SET(i % (unsigned)cpus, &one);
		sched_setaffinity(atomic_load(&driven.tid), sizeof(one), &one);
		scenario_sleep_ns(truth_length_ns(30 * US, 500 * US));
	}
	return unused;
}

static void be_driven(void)
{
	struct truth_span *span, *part;
	cpu_set_t all;
	pthread_t driver;

	sched_getaffinity(0, sizeof(all), &all);
	atomic_store(&driven.tid, (pid_t)syscall(SYS_gettid));
	atomic_store(&driven.is_over, false);
	start(&driver, driver_main, NULL);
	span = truth_open("driven");
	for (int i = 0; i < 3; i++) {
		scenario_spin(10 * US, 1 * MS);
		part = truth_open("part");
		scenario_spin(10 * US, 2 * MS);
		truth_close(part);
	}
	truth_close(span);
	atomic_store(&driven.is_over, true);
	pthread_join(driver, NULL);
	sched_setaffinity(0, sizeof(all), &all);
}

/* ---- a span that a signal handler ends, on whatever the thread is at */

static struct truth_span *volatile to_end;

static void on_end(int unused)
{
	struct truth_span *span = to_end;

	(void)unused;
	to_end = NULL;
	if (span)
		truth_close(span);
}

static void ended_by_signal(void)
{
	const struct itimerval once = {
		{ 0, 0 }, { 0, (suseconds_t)(truth_length_ns(50 * US, 5 * MS) / US) }
	};

	signal(SIGALRM, on_end);
	to_end = truth_open("signalled");
	setitimer(ITIMER_REAL, &once, NULL);
	while (to_end)
		truth_spin_ns(10 * US);
	scenario_spin(20 * US, 500 * US);
}

/* ---- a child in its parent's memory, which burns on there */

static void vfork_burns(void)
{
	struct truth_span *span = truth_open("lent-memory");
	int status;
	pid_t child;

	scenario_spin(20 * US, 1 * MS);
	truth_wait_begin();
	child = vfork();
	if (child == 0) {
		truth_spin_ns(2 * MS);
		_exit(0);
	}
	scenario_check(child > 0 && waitpid(child, &status, 0) == child, "child");
	truth_wait_end();
	scenario_spin(20 * US, 1 * MS);
	truth_close(span);
}

/* ---- a child with process ids, or a clock, and mounts of its own, as in a container */

static void be_contained(void)
{
	scenario_check(unshare(CLONE_NEWNS) == 0, "mounts");
	for (int i = 0; i < CONTAINED; i++) {
		struct truth_span *span = truth_open("contained"), *part;

		scenario_spin(20 * US, 2 * MS);
		part = truth_open("part");
		truth_wait_begin();
		scenario_sleep_ns(truth_length_ns(50 * US, 2 * MS));
		truth_wait_end();
		truth_close(part);
		truth_close(span);
		scenario_spin(5 * US, 50 * US);
	}
	_exit(0);
}

static void wait_for(pid_t child)
{
	int status;

	scenario_check(child > 0 && waitpid(child, &status, 0) == child && status == 0, "child");
}

/* Who has asked for a namespace gets it for its children, once. `prepare`: asks for some. */
static void contain(void (*prepare)(void))
{
	pid_t child = fork();

	if (child == 0) {
		prepare();
		child = fork();
		if (child == 0)
			be_contained();
		wait_for(child);
		_exit(0);
	}
	wait_for(child);
	truth_between(0, 1); /* so that the next child draws other numbers */
}

static void ask_for_ids(void)
{
	scenario_check(unshare(CLONE_NEWPID) == 0, "process ids");
}

static void namespaced(void)
{
	contain(ask_for_ids);
}

/* The monotonic clock of a container that was moved here from a machine that has run for longer. */
static void ask_for_clock(void)
{
	const char *ahead = "monotonic 100000 500000000";
	int fd;

	scenario_check(unshare(CLONE_NEWTIME) == 0, "clock");
	fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	scenario_check(fd >= 0 && write(fd, ahead, strlen(ahead)) > 0, "clock's offset");
	close(fd);
}

static void clock_of_its_own(void)
{
	contain(ask_for_clock);
}

/* ---- three hundred threads at once */

static void *one_of_mass(void *arg)
{
	struct truth_span *span = truth_open_below("one", arg);

	scenario_spin(5 * US, 200 * US);
	scenario_sleep_ns(truth_between(1 * MS, 20 * MS));
	scenario_spin(5 * US, 200 * US);
	truth_close(span);
	return NULL;
}

static void mass(void)
{
	struct truth_span *root = truth_begin("mass", NULL);
	pthread_t threads[MASS];
	pthread_attr_t small;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, MASS_STACK);
	for (int i = 0; i < MASS; i++)
		scenario_check(pthread_create(&threads[i], &small, one_of_mass, root) == 0,
			       "thread");
	for (int i = 0; i < MASS; i++)
		pthread_join(threads[i], NULL);
	truth_end(root);
}

/* ---- the variable, written by others than the writer */

struct shown {
	uint8_t trace_id[16], span_id[8];
	volatile uint8_t valid;
	uint8_t flags;
	uint16_t attrs_bytes;
} __attribute__((aligned(8)));

extern __thread void *volatile otel_thread_ctx_v1;

/* As a second library that has all of its records ready, and swaps one in for the other. */
static void swapped(void)
{
	static __thread struct shown records[2 * SWAPS];
	void *before = otel_thread_ctx_v1;

	for (int i = 0; i < SWAPS; i++) {
		struct truth_span *outer = truth_open_detached("outer"), *inner;
		struct shown *mine = &records[2 * i];

		memcpy(mine[0].trace_id, outer->trace_id, sizeof(outer->trace_id));
		memcpy(mine[0].span_id, outer->span_id, sizeof(outer->span_id));
		mine[0].valid = 1;
		otel_thread_ctx_v1 = &mine[0];
		scenario_spin(20 * US, 500 * US);
		inner = truth_open_detached("inner");
		mine[1] = mine[0];
		memcpy(mine[1].span_id, inner->span_id, sizeof(inner->span_id));
		otel_thread_ctx_v1 = &mine[1];
		scenario_spin(20 * US, 500 * US);
		truth_wait_begin();
		scenario_sleep_ns(truth_length_ns(50 * US, 2 * MS));
		truth_wait_end();
		otel_thread_ctx_v1 = &mine[0];
		truth_close_detached(inner);
		scenario_spin(20 * US, 500 * US);
		otel_thread_ctx_v1 = before;
		truth_close_detached(outer);
	}
}

static _Atomic bool is_spoiling;

static void *spoiler_main(void *page)
{
	struct shown record = { .valid = 1, .attrs_bytes = UINT16_MAX };
	void *const bad[] = { (void *)0x10,
			      (char *)page + 4096 - 8,
			      (void *)0xffffffff81000000U,
			      (void *)(UINTPTR_MAX - 3),
			      (char *)&record + 1,
			      &record,
			      page };
	void *before = otel_thread_ctx_v1;

	for (unsigned i = 0; atomic_load(&is_spoiling); i++) {
		record.valid = (uint8_t)truth_between(0, 3);
		memset(record.trace_id, (int)truth_between(0, 255), sizeof(record.trace_id));
		memset(record.span_id, (int)truth_between(0, 255), sizeof(record.span_id));
		otel_thread_ctx_v1 = bad[i % (sizeof(bad) / sizeof(bad[0]))];
		scenario_spin(5 * US, 100 * US);
		scenario_sleep_ns(truth_length_ns(20 * US, 300 * US));
	}
	otel_thread_ctx_v1 = before;
	return NULL;
}

/* What another thread shows is not worth anything; what this one does, is. */
static void spoiled(void)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t spoiler;

	scenario_check(page != MAP_FAILED, "memory");
	atomic_store(&is_spoiling, true);
	start(&spoiler, spoiler_main, page);
	for (int i = 0; i < 4; i++) {
		struct truth_span *span = truth_open("beside");

		scenario_spin(20 * US, 1 * MS);
		truth_wait_begin();
		scenario_sleep_ns(truth_length_ns(50 * US, 2 * MS));
		truth_wait_end();
		scenario_spin(20 * US, 1 * MS);
		truth_close(span);
	}
	atomic_store(&is_spoiling, false);
	pthread_join(spoiler, NULL);
	munmap(page, 4096);
}

const struct scenario scenario_wild[] = {
	{ .name = "bursts", .turn = bursts },
	{ .name = "driven", .turn = be_driven },
	{ .name = "ended-by-signal", .turn = ended_by_signal },
	{ .name = "vfork-burns", .turn = vfork_burns },
	{ .name = "namespaced", .turn = namespaced },
	{ .name = "clock-of-its-own", .turn = clock_of_its_own },
	{ .name = "mass", .turn = mass },
	{ .name = "swapped", .turn = swapped },
	{ .name = "spoiled", .turn = spoiled },
	{ .name = NULL },
};
