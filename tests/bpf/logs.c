/* SPDX-License-Identifier: Apache-2.0 */
/* A program whose thread keeps a log of changes, or lies about it.
 *
 *   logs [ahead]: prints "tls OFFSET", waits for a line, and prints for each state a
 * line "wait NAME TID SPAN
 * ..." as subject.c does; SPAN: how many changes must have been told, plus 1;
 * 0: that they were not. `ahead`: its monotonic clock is (a time namespace). */
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bpf/event.h"
#include "bpf/tag.h"
#include "tests/bpf/task_state.h"

#define CAPACITY 256
#define FENCE()  __asm__ volatile("" ::: "memory")
#define NOT_TOLD 0
#define TOLD(n)  ((n) + 1)

static __thread struct {
	struct tag_reading *published;
	struct tag_reading reading;
} own;
static struct event_change ring[CAPACITY];
static uint64_t ahead_ns; /* our clock, of the machine's */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* Waits in the state that has been set up. */
static void show(const char *name, uint64_t expected)
{
	uint64_t before_ns = now_ns();

	sleep_once(1000000);
	printf("wait %s %d %lu %ld %ld 0 0 0 0\n", name, (int)syscall(SYS_gettid),
	       (unsigned long)expected, (long)(before_ns - ahead_ns), (long)(now_ns() - ahead_ns));
}

static void set_record(uint64_t span)
{
	memset(own.reading.record.trace_id, 0xab, sizeof(own.reading.record.trace_id));
	memcpy(own.reading.record.span_id, &span, sizeof(span));
	FENCE();
	own.reading.record.valid = span != 0;
}

static void log_change(uint64_t span)
{
	struct event_change *change = &ring[own.reading.changes.written % CAPACITY];

	memset(change, 0, sizeof(*change));
	change->time_ns = now_ns();
	if (span) {
		memset(change->tag.trace_id, 0xab, sizeof(change->tag.trace_id));
		memcpy(change->tag.span_id, &span, sizeof(span));
	}
	FENCE();
	own.reading.changes.written++;
}

/* As an honest writer does, of whom nothing else is seen when it loses its CPU in between. */
static void attach(uint64_t span)
{
	own.reading.record.valid = 0;
	FENCE();
	log_change(span);
	FENCE();
	set_record(span);
}

static void open_log(void)
{
	own.reading.changes = (struct tag_changes){ .signature = TAG_CHANGES_SIGNATURE,
						    .ring = (uint64_t)(uintptr_t)ring,
						    .written = own.reading.changes.written,
						    .capacity = CAPACITY };
}

/* A lie, and then the truth again: first from where it was, then with changes.
 */
static void recover(void)
{
	open_log();
	attach(7);
	show("recovers", NOT_TOLD);
	attach(8);
	show("honest", TOLD(1));
}

static void show_honest(void)
{
	show("never", TOLD(0));
	own.published = &own.reading;
	open_log();
	attach(1);
	show("first", TOLD(1));
	show("still", TOLD(0));
	attach(2);
	attach(0);
	attach(3);
	show("three", TOLD(3));
	for (uint64_t i = 0; i < 60; i++)
		attach(10 + i);
	show("many", TOLD(60));
	attach(0);
	show("none", TOLD(1));
	attach(4);
	log_change(5); /* interrupted in the middle of an attach */
	own.reading.record.valid = 0;
	show("interrupted", TOLD(2));
	set_record(5);
	for (uint64_t i = 0; i < CAPACITY - 40; i++) { /* over the ring's end */
		attach(100 + i % 40);
		if (i % 20 == 0)
			show("on-and-on", i ? TOLD(20) : TOLD(1));
	}
	show("to-the-end", TOLD((CAPACITY - 40 - 1) % 20));
}

static void show_lies(void)
{
	own.reading.changes.written += CAPACITY + 1;
	show("overrun", NOT_TOLD);
	attach(6);
	show("after-it", TOLD(1));
	own.reading.changes.written -= 3;
	show("backwards", NOT_TOLD);
	attach(7);
	show("forwards", TOLD(1));
	own.reading.changes.capacity = CAPACITY - 1;
	attach(9);
	show("odd-size", NOT_TOLD);
	recover();
	own.reading.changes.capacity = 1u << 30;
	attach(9);
	show("huge", NOT_TOLD);
	recover();
	own.reading.changes.capacity = 0;
	attach(9);
	show("no-size", NOT_TOLD);
	recover();
	own.reading.changes.ring = 16;
	attach(9);
	show("no-page", NOT_TOLD);
	attach(9);
	open_log();
	attach(8);
	show("page-again", TOLD(2));
	own.reading.changes.ring = 0xffffffff81000000U;
	attach(9);
	show("kernel", NOT_TOLD);
	open_log();
	attach(8);
	show("user", TOLD(1));
	log_change(9);
	set_record(8);
	show("contradicts", NOT_TOLD);
	set_record(9);
	attach(8);
	show("agrees", TOLD(1));
	own.reading.changes.signature = 0;
	attach(9);
	show("unsigned", NOT_TOLD);
	recover();
	own.reading.changes.written = 1ull << 63;
	show("far", NOT_TOLD);
}

/* As in a container that came here from a machine which has run for longer. */
static int move_clock(void)
{
	const char *offset = "monotonic 100000 500000000";
	int space, file;

	if (unshare(CLONE_NEWTIME) < 0)
		return -1;
	file = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	if (file < 0 || write(file, offset, strlen(offset)) < 0)
		return -1;
	space = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	if (space < 0 || setns(space, CLONE_NEWTIME) < 0)
		return -1;
	ahead_ns = 100000500000000;
	return 0;
}

int main(int argc, char **argv)
{
	char line[16];

	if (argc > 1 && strcmp(argv[1], "ahead") == 0 && move_clock() < 0) {
		perror("time namespace");
		return 1;
	}

	setvbuf(stdout, NULL, _IOFBF, 65536);
	printf("tls %ld\n", (long)((char *)&own - (char *)__builtin_thread_pointer()));
	fflush(stdout);
	if (read(0, line, sizeof(line)) <= 0)
		return 1;
	show("nothing-yet", TOLD(0));
	show_honest();
	show_lies();
	fflush(stdout);
	return 0;
}
