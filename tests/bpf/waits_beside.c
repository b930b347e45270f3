/* SPDX-License-Identifier: Apache-2.0 */
/* Waits and work beside threads that have nothing to do with them. */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/perf_event.h>

#include "tests/bpf/waits_play.h"
#include "tests/bpf/waits_things.h"

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static atomic_bool is_over;
static atomic_int spinner_tid;

static void *spin(void *arg)
{
	atomic_store(&spinner_tid, (int)syscall(SYS_gettid));
	pin((int)(intptr_t)arg);
	publish(9000);
	printf("tid spinner %ld\n", syscall(SYS_gettid));
	while (!atomic_load(&is_over))
		;
	return NULL;
}

static void wait_timers(void)
{
	struct timespec moment = { .tv_nsec = 300000 };

	for (int i = 0; i < 150; i++)
		clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL);
}

static void wait_disk(void)
{
	for (int round = 0; round < 2; round++) {
		forget_pages();
		wait_read();
	}
}

/* The sender is another process: what it sends arrives by a softirq, on whoever runs then. */
static void wait_network(void)
{
	for (int i = 0; i < 150; i++)
		wait_udp();
}

/* What a spinning thread is sampled for; the reader is woken in an interrupt of its own. */
static struct perf_event_mmap_page *samples;
static int sampler = -1;

static void open_samples(void)
{
	struct perf_event_attr attributes = { .type = PERF_TYPE_SOFTWARE,
					      .size = sizeof(attributes),
					      .config = PERF_COUNT_SW_CPU_CLOCK,
					      .sample_period = 300000,
					      .exclude_kernel = 1,
					      .wakeup_events = 1 };

	sampler = (int)syscall(SYS_perf_event_open, &attributes, atomic_load(&spinner_tid), -1, -1,
			       0);
	must(sampler >= 0);
	samples = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, sampler, 0);
	must(samples != MAP_FAILED);
}

static void wait_samples(void)
{
	struct pollfd one = { .fd = sampler, .events = POLLIN };

	for (int i = 0; i < 100; i++) {
		samples->data_tail = samples->data_head;
		poll(&one, 1, WAIT_MS);
	}
}

static void send_often(void)
{
	struct timespec moment = { .tv_nsec = 300000 };

	for (int i = 0; i < 150; i++) {
		clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL);
		end_udp();
	}
}

void play_innocent(void)
{
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t spinners[2];

	for (intptr_t i = 0; i < 2; i++)
		pthread_create(&spinners[i], NULL, spin, (void *)(i % cpus));
	play("timers", 200, REASON_SLEEP, wait_timers);
	play("disk", 201, REASON_DISK, wait_disk);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		send_often();
		_exit(0);
	}
	play("network", 202, REASON_NET, wait_network);
	open_samples();
	play("samples", 203, REASON_POLL, wait_samples);
	atomic_store(&is_over, true);
	for (int i = 0; i < 2; i++)
		pthread_join(spinners[i], NULL);
	reap();
}

/* 200 ms of CPU time. */
static void burn(void)
{
	struct timespec used;

	do {
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	} while (used.tv_nsec < 200000000 && used.tv_sec == 0);
}

void play_burn(bool in_a_crowd)
{
	int cpu = sched_getcpu();
	pthread_t spinner;

	pin(cpu);
	if (in_a_crowd)
		pthread_create(&spinner, NULL, spin, (void *)(intptr_t)cpu);
	play("burn", 300, 0, burn);
	atomic_store(&is_over, true);
	if (in_a_crowd)
		pthread_join(spinner, NULL);
}
