/* SPDX-License-Identifier: Apache-2.0 */
/* The whole probe, as the collector uses it: its own processes, real discovery, messages. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/probe.h"
#include "harness.h"

#define DEADLINE_S 180 /* only a broken probe reaches it */

static struct harness harness; /* of which only the subject is used */

static const struct probe_options options = {
	.ring_bytes = 1u << 20,
	.tick_hz = 99,
	.max_processes = 64,
	.thread_bytes = 1 << 20,
	.rescan_ms = 1000,
};

struct session {
	struct probe *probe;
	struct probe_message message;
	int ring_fd, counters_fd;
};

/* Reads messages up to the first of this kind (and, for PROCESS, of this pid). */
static void expect(struct session *session, uint32_t kind, pid_t pid)
{
	time_t deadline = time(NULL) + DEADLINE_S;

	while (time(NULL) < deadline) {
		struct pollfd readable = { .fd = probe_fd(session->probe), .events = POLLIN };
		int status;

		poll(&readable, 1, 100);
		while ((status = probe_receive(session->probe, &session->message, &session->ring_fd,
					       &session->counters_fd)) == 1) {
			if (session->message.kind == PROBE_FAILED && kind != PROBE_FAILED)
				fail_msg("%s", session->message.text);
			if (session->message.kind == kind &&
			    (!pid || (pid_t)session->message.process.pid == pid))
				return;
		}
		if (status < 0)
			fail_msg("the keeper is gone: %s", strerror(-status));
	}
	fail_msg("no message of kind %u", kind);
}

static void open_session(struct session *session)
{
	*session = (struct session){ .ring_fd = -1, .counters_fd = -1 };
	assert_int_equal(probe_start(&options, &session->probe), 0);
}

static int count_records(const struct event_header *record, void *arg)
{
	const struct event_slice *slice = (const void *)record;
	struct event_tails tails;

	if (record->kind == EVENT_SLICE && (pid_t)slice->pid == harness.pid &&
	    event_slice_tails(slice, &tails) && tails.tag_out)
		++*(unsigned *)arg;
	return 0;
}

static void a_publishing_process_is_found_and_followed(void **state)
{
	struct session session;
	unsigned count = 0;

	(void)state;
	open_session(&session);
	expect(&session, PROBE_HELLO, 0);
	assert_int_equal(session.message.hello.version, EVENT_VERSION);
	uint32_t wanted = PROBE_SWITCH | PROBE_WAKING | PROBE_TICK | PROBE_LIFE;

	assert_int_equal(session.message.hello.features & wanted, wanted);
	assert_true(session.message.hello.map_bytes >= options.ring_bytes);
	struct ring *ring;

	assert_int_equal(ring_open(session.ring_fd, options.ring_bytes, session.counters_fd,
				   session.message.hello.cpus, &ring),
			 0);
	close(session.ring_fd);
	close(session.counters_fd);
	harness_start(&harness, "waits", false);
	do /* it may have been looked at between its fork and its exec */
		expect(&session, PROBE_PROCESS, harness.pid);
	while (session.message.process.publish != PUBLISH_TAGS);
	harness_play(&harness, false);
	ring_consume(ring, 0, count_records, &count);
	assert_true(count >= 8); /* the waits that it plays */
	expect(&session, PROBE_STATS, 0);
	assert_true(session.message.stats.worker_rss_bytes > 0);
	assert_true(session.message.stats.map_bytes >= options.ring_bytes);
	ring_close(ring);
	probe_stop(session.probe);
}

/* The process of this name whose parent is `parent`, or 0. */
static pid_t child_named(pid_t parent, const char *wanted)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	while (!found && (entry = readdir(proc))) {
		char path[300], name[32] = "";
		int pid = atoi(entry->d_name), its_parent = 0;

		if (pid <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		FILE *file = fopen(path, "re");

		if (!file)
			continue;
		if (fscanf(file, "%*d (%31[^)]) %*c %d", name, &its_parent) == 2 &&
		    strcmp(name, wanted) == 0 && its_parent == parent)
			found = pid;
		fclose(file);
	}
	closedir(proc);
	return found;
}

static void a_killed_worker_is_reported_and_replaced(void **state)
{
	struct session session;

	(void)state;
	open_session(&session);
	expect(&session, PROBE_HELLO, 0);
	close(session.ring_fd);
	close(session.counters_fd);
	pid_t keeper = child_named(getpid(), "spanwise-keeper");
	pid_t worker = child_named(keeper, "spanwise-worker");

	assert_true(keeper > 0 && worker > 0);
	kill(worker, SIGKILL);
	expect(&session, PROBE_DIED, 0);
	assert_int_equal(session.message.error, SIGKILL);
	expect(&session, PROBE_HELLO, 0);
	assert_true(session.ring_fd >= 0 && session.counters_fd >= 0);
	close(session.ring_fd);
	close(session.counters_fd);
	probe_stop(session.probe);
	/* Nothing is left behind; the worker goes with its keeper. */
	assert_int_equal(child_named(getpid(), "spanwise-keeper"), 0);
	assert_true(kill(keeper, 0) < 0 && errno == ESRCH);
}

static void without_rights_it_says_what_to_do(void **state)
{
	pid_t child = fork();
	int status = 0;

	(void)state;
	if (child == 0) {
		struct session session;

		if (setgid(65534) || setuid(65534))
			_exit(2);
		open_session(&session);
		expect(&session, PROBE_FAILED, 0);
		bool says = strstr(session.message.text, "CAP_BPF") ||
			    strstr(session.message.text, "BTF");
		bool is_refused = session.message.error < 0;

		probe_stop(session.probe);
		_exit(says && is_refused ? 0 : 1);
	}
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_publishing_process_is_found_and_followed),
		cmocka_unit_test(a_killed_worker_is_reported_and_replaced),
		cmocka_unit_test(without_rights_it_says_what_to_do),
	};

	harness_init(&harness, argc, argv);
	return harness_verdict(&harness, cmocka_run_group_tests(tests, NULL, NULL), argv);
}
