/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#define MAX_TID (1u << 22) /* PID_MAX_LIMIT */

static enum programs_form form;

/* None falls back to another. */
static enum programs_form form_of(const char *variant)
{
	if (strcmp(variant, "typed") == 0)
		return PROGRAMS_TYPED;
	if (strcmp(variant, "uncast") == 0)
		return PROGRAMS_UNCAST;
	return strcmp(variant, "raw") == 0 ? PROGRAMS_RAW : PROGRAMS_ANY;
}

void harness_init(struct harness *harness, int argc, char **argv)
{
	*harness = (struct harness){ .subject = argc > 2 ? argv[2] : "bpf_subject" };
	form = form_of(argc > 1 ? argv[1] : "");
	if (geteuid() != 0) {
		printf("skipped: needs root\n");
		exit(77);
	}
	struct programs_options options = {
		.probe = { .ring_bytes = 65536, .max_processes = 4, .thread_bytes = 1 << 20 },
		.form = form,
	};
	char why[512];
	int status = programs_open(&options, why, sizeof(why), &harness->programs);

	if (status == -EPERM || status == -ENOENT || status == -ENOSYS) {
		printf("skipped: %s\n", why);
		exit(77);
	}
	if (status < 0)
		printf("%s\n", why);
	programs_close(harness->programs);
	harness->programs = NULL;
}

static void open_all(struct harness *harness, const struct probe_options *probe)
{
	struct programs_options options = {
		.probe = *probe,
		.form = form,
		.cuts_at_timers = harness->cuts_at_timers,
		.again = harness->tells_twice ? AGAIN_TWICE : AGAIN_IN_SHORT,
		.types = harness->types,
	};
	uint32_t ring_bytes = probe->ring_bytes;
	char why[512] = "";

	if (programs_open(&options, why, sizeof(why), &harness->programs) < 0)
		fail_msg("%s", why);
	assert_int_equal(ring_open(programs_records_fd(harness->programs), ring_bytes,
				   programs_counters_fd(harness->programs),
				   programs_cpus(harness->programs), &harness->ring),
			 0);
}

void harness_open(struct harness *harness, uint32_t ring_bytes, uint32_t tick_hz)
{
	const struct probe_options probe = {
		.ring_bytes = ring_bytes,
		.tick_hz = tick_hz,
		.max_processes = 64,
		.thread_bytes = 1 << 20,
	};

	open_all(harness, &probe);
}

void harness_open_small(struct harness *harness, uint32_t threads)
{
	const struct probe_options probe = {
		.ring_bytes = 32u << 20,
		.max_processes = 64,
		.thread_bytes = threads * TABLE_PLACE_BYTES,
	};

	open_all(harness, &probe);
}

void harness_open_stacks(struct harness *harness)
{
	const struct probe_options probe = {
		.ring_bytes = 4u << 20,
		.max_processes = 64,
		.thread_bytes = 1 << 20,
		.stacks_per_s = 1000000,
		.kernel_stacks = KERNEL_STACKS_NEEDED,
	};

	open_all(harness, &probe);
}

void harness_open_cutting(struct harness *harness)
{
	harness->cuts_at_timers = true;
	harness_open(harness, 4u << 20, 0);
	harness->cuts_at_timers = false;
}

void harness_open_twice(struct harness *harness, bool takes_stacks)
{
	harness->tells_twice = true;
	if (takes_stacks)
		harness_open_stacks(harness);
	else
		harness_open(harness, 4u << 20, 99);
}

static void free_lasts(struct harness *harness)
{
	for (size_t tid = 0; harness->last_by_tid && tid < MAX_TID; tid++)
		free(harness->last_by_tid[tid]);
	free(harness->last_by_tid);
}

static uint64_t kept_back; /* by the kernel, from harnesses that are closed */

static uint64_t count_kept_back(const struct harness *harness)
{
	struct event_counters sum;

	if (!harness->ring)
		return 0;
	ring_counters(harness->ring, &sum);
	return sum.lost[LOSS_WAKING] + sum.lost[LOSS_SWITCH_IN] + sum.lost[LOSS_SWITCH_OUT];
}

int harness_verdict(const struct harness *harness, int failed, char **argv)
{
	const char *before = getenv("HARNESS_ATTEMPT");
	char attempt[] = { before ? before[0] + 1 : '1', '\0' };
	uint64_t lost = kept_back + count_kept_back(harness);

	if (!failed || !lost || attempt[0] - '0' >= HARNESS_ATTEMPTS)
		return failed;
	printf("the kernel kept %llu wakings or switches back: once more\n",
	       (unsigned long long)lost);
	fflush(NULL);
	setenv("HARNESS_ATTEMPT", attempt, 1);
	execv("/proc/self/exe", argv);
	perror("execv");
	return failed;
}

void harness_close(struct harness *harness)
{
	kept_back += count_kept_back(harness);
	ring_close(harness->ring);
	programs_close(harness->programs);
	free(harness->records);
	free_lasts(harness);
	*harness = (struct harness){ .subject = harness->subject };
}

void harness_start(struct harness *harness, const char *scenario, bool follow)
{
	int to[2], from[2];
	long offset = 0;
	char line[256];

	assert_true(pipe(to) == 0 && pipe(from) == 0);
	harness->pid = fork();
	if (harness->pid == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		for (int fd = 3; fd < 256; fd++)
			close(fd);
		execl(harness->subject, harness->subject, scenario, NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	harness->to_subject = fdopen(to[1], "w");
	harness->from_subject = fdopen(from[0], "r");
	if (!fgets(line, sizeof(line), harness->from_subject) ||
	    sscanf(line, "tls %ld", &offset) != 1)
		fail_msg("the subject %s does not start", harness->subject);
	harness->descriptor = (struct tag_descriptor){
		.count = 1,
		.variables[0] = { .access = TAG_STATIC, .offset = offset },
	};
	if (follow)
		assert_int_equal(programs_follow(harness->programs, (uint32_t)harness->pid,
						 &harness->descriptor),
				 0);
}

static struct event_last *last_of(struct harness *harness, uint32_t tid)
{
	struct event_last **last;

	if (!harness->last_by_tid)
		harness->last_by_tid = calloc(MAX_TID, sizeof(struct event_last *));
	assert_true(harness->last_by_tid && tid < MAX_TID);
	last = &harness->last_by_tid[tid];
	if (!*last)
		*last = calloc(1, sizeof(**last));
	assert_non_null(*last);
	return *last;
}

static void keep_record(struct harness *harness, const struct event_header *record)
{
	size_t bytes = (record->bytes + 7u) & ~7u;

	if (harness->records_bytes + bytes > harness->records_room) {
		harness->records_room = 2 * (harness->records_bytes + bytes);
		harness->records = realloc(harness->records, harness->records_room);
	}
	memcpy(harness->records + harness->records_bytes, record, record->bytes);
	harness->records_bytes += bytes;
}

static int keep(const struct event_header *record, void *arg)
{
	const struct event_again *again = (const void *)record;
	struct harness *harness = arg;
	struct event_last *last;

	if (record->kind == EVENT_AGAIN) {
		last = last_of(harness, again->tid);
		assert_true(event_again_follows(again, last));
		event_again_apply(again, last);
		harness->told_in_short++;
		record = (const struct event_header *)last;
	} else if (record->kind == EVENT_SLICE) {
		const struct event_slice *slice = (const void *)record;

		last = last_of(harness, slice->tid);
		if (harness->tells_twice && last->slice.header.bytes &&
		    last->slice.out_ns == slice->out_ns) {
			assert_int_equal(record->bytes, last->slice.header.bytes);
			assert_memory_equal(record, last, record->bytes);
			return 0;
		}
		event_last_note(last, slice);
	}
	keep_record(harness, record);
	return 0;
}

void harness_drain(struct harness *harness)
{
	ring_consume(harness->ring, 0, keep, harness);
}

static void parse(struct harness *harness, const char *line)
{
	struct harness_wait *wait = &harness->waits[harness->wait_count];
	struct harness_named *named = &harness->names[harness->name_count];

	if (harness->wait_count < HARNESS_MAX_WAITS &&
	    sscanf(line, "wait %15s %d %lu %lu %lu %lu %lu %lu %d", wait->name, &wait->tid,
		   &wait->span, &wait->before_ns, &wait->after_ns, &wait->cpu_before_ns,
		   &wait->cpu_after_ns, &wait->identity, &wait->waker) == 9)
		harness->wait_count++;
	if (harness->name_count >= HARNESS_MAX_WAITS)
		return;
	if (sscanf(line, "tid %15s %d", named->name, &named->tid) == 2 ||
	    sscanf(line, "run %15s %d %lu %lu", named->name, &named->tid, &named->span,
		   &named->cpu_ns) == 4)
		harness->name_count++;
}

void harness_cue(struct harness *harness)
{
	fprintf(harness->to_subject, "go\n");
	fflush(harness->to_subject);
}

void harness_wait_for_end(struct harness *harness)
{
	int status = 0;

	while (waitpid(harness->pid, &status, 0) < 0 && errno == EINTR)
		;
	fclose(harness->to_subject);
	fclose(harness->from_subject);
	assert_int_equal(status, 0);
}

/* Its end was told, and so was the last slice of each of its threads that were followed. */
static bool is_over(const struct harness *harness)
{
	const struct event_header *record = NULL;
	size_t begun = 0, ended = 0;

	while ((record = harness_next(harness, record))) {
		const struct event_slice *slice = (const void *)record;

		if (record->kind != EVENT_SLICE || slice->pid != (uint32_t)harness->pid)
			continue;
		begun += (record->flags & EVENT_FIRST) != 0;
		ended += (record->flags & EVENT_DEAD) != 0;
	}
	return ended >= begun && harness_count(harness, EVENT_EXIT, (uint32_t)harness->pid) > 0;
}

/* A process can be waited for a moment before its last thread has left the CPU. */
static void drain_to_end(struct harness *harness)
{
	for (int tries = 0; tries < 3000; tries++) {
		struct timespec moment = { .tv_nsec = 10000000 };

		harness_drain(harness);
		if (is_over(harness) || harness->records_bytes == 0)
			return;
		nanosleep(&moment, NULL);
	}
}

void harness_play(struct harness *harness, bool drain)
{
	char line[256];

	harness_cue(harness);
	while (fgets(line, sizeof(line), harness->from_subject)) {
		parse(harness, line);
		if (drain)
			harness_drain(harness);
	}
	harness_wait_for_end(harness);
	if (drain)
		drain_to_end(harness);
}

void harness_play_gated(struct harness *harness)
{
	char line[256];

	harness_cue(harness);
	while (fgets(line, sizeof(line), harness->from_subject)) {
		if (strcmp(line, "gate\n") != 0)
			continue;
		harness_drain(harness);
		harness_cue(harness);
	}
	harness_wait_for_end(harness);
	drain_to_end(harness);
}

void harness_run(struct harness *harness, const char *scenario)
{
	harness_start(harness, scenario, true);
	harness_play(harness, true);
}

const struct event_header *harness_next(const struct harness *harness,
					const struct event_header *record)
{
	const char *at =
		record ? (const char *)record + ((record->bytes + 7u) & ~7u) : harness->records;

	return at && at < harness->records + harness->records_bytes ? (const void *)at : NULL;
}

const struct event_slice *harness_next_slice(const struct harness *harness, int tid,
					     const struct event_slice *slice)
{
	const struct event_header *record = slice ? &slice->header : NULL;

	while ((record = harness_next(harness, record)))
		if (record->kind == EVENT_SLICE &&
		    (int)((const struct event_slice *)record)->tid == tid)
			return (const struct event_slice *)record;
	return NULL;
}

size_t harness_count(const struct harness *harness, uint32_t kind, uint32_t pid)
{
	const struct event_header *record = NULL;
	size_t count = 0;

	while ((record = harness_next(harness, record))) {
		uint32_t its_pid = record->kind == EVENT_SLICE
					   ? ((const struct event_slice *)record)->pid
					   : ((const struct event_life *)record)->pid;

		count += (!kind || record->kind == kind) && (!pid || its_pid == pid);
	}
	return count;
}

const struct harness_wait *harness_wait(const struct harness *harness, const char *name)
{
	for (size_t i = 0; i < harness->wait_count; i++)
		if (strcmp(harness->waits[i].name, name) == 0)
			return &harness->waits[i];
	fail_msg("the subject says nothing of a wait %s", name);
	return NULL;
}

const struct harness_named *harness_named(const struct harness *harness, const char *name)
{
	for (size_t i = 0; i < harness->name_count; i++)
		if (strcmp(harness->names[i].name, name) == 0)
			return &harness->names[i];
	fail_msg("the subject says nothing of %s", name);
	return NULL;
}

uint64_t harness_span(const struct event_tag *tag)
{
	uint64_t span = 0;

	if (tag)
		memcpy(&span, tag->span_id, sizeof(span));
	return span;
}
