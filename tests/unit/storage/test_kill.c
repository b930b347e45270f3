/* SPDX-License-Identifier: Apache-2.0 */
/* kill -9 at any moment: what was acknowledged is there, whole, and nothing half-written is.
 *
 * A child commits as fast as it can and writes the number of each finished group into a pipe; it is
 * killed after a random time, also while it packs and drops parts. The parent then looks. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "tests/lib/storage_fixture.h"

#define ROUNDS      50
#define MAX_LIFE_NS (120 * NS_PER_MS)
#define GROUP_SPANS 20
#define PART_GROUPS 40 /* commits of one part: they are packed under way, too */
#define GROUP_WAIT  5  /* ledgers follow so many groups later */
#define MAX_GROUPS  100000
#define SETTLED     (1ull << 63) /* told with the number: its ledgers are there, too */

/* Group g is trace g with GROUP_SPANS spans. */
static void fill_group(uint64_t group, struct fixture_span *spans)
{
	for (uint64_t i = 0; i < GROUP_SPANS; i++)
		spans[i] = (struct fixture_span){ .trace = group,
						  .span = i + 1,
						  .service = "shop",
						  .name = i % 2 ? "GET /" : "SELECT",
						  .start_ns = FIXTURE_T0 + group,
						  .wall_ns = 1000 * i };
}

static bool settled[MAX_GROUPS]; /* acknowledged so */

static void tell(int acknowledged, uint64_t what)
{
	if (write(acknowledged, &what, sizeof(what)) != sizeof(what))
		_exit(1);
}

static struct store_options options_of(const char *path)
{
	struct store_options options = fixture_options(path);

	options.part_ns = PART_GROUPS;
	options.index_bytes = 512;
	return options;
}

static void commit_for_ever(const char *path, uint64_t group, int acknowledged)
{
	struct store_options options = options_of(path);
	struct store *store = fixture_open(&options);

	for (; group < MAX_GROUPS; group++) {
		struct fixture_span spans[GROUP_SPANS];
		struct ledger ledgers[GROUP_SPANS];
		uint64_t now_ns = FIXTURE_T0 + group;

		fill_group(group, spans);
		if (fixture_commit_spans(store, spans, GROUP_SPANS, now_ns) < 0)
			_exit(1);
		tell(acknowledged, group);
		if (group >= GROUP_WAIT) {
			fill_group(group - GROUP_WAIT, spans);
			for (size_t i = 0; i < GROUP_SPANS; i++)
				ledgers[i] = fixture_ledger(&spans[i], 1, 4);
			if (fixture_commit_ledgers(store, ledgers, GROUP_SPANS, now_ns) < 0)
				_exit(1);
			tell(acknowledged, SETTLED | (group - GROUP_WAIT));
		}
		if (store_maintain(store, now_ns) < 0)
			_exit(1);
	}
}

struct seen {
	uint64_t spans, ledgers;
};

static int note(const struct store_span *span, void *arg)
{
	struct seen *seen = arg;
	uint64_t number;

	memcpy(&number, span->span.span_id, sizeof(number));
	assert_int_equal(number, ++seen->spans);
	seen->ledgers += span->has_ledger;
	return 0;
}

/* Returns the number of the first group that is not there. */
static uint64_t check(const char *path, uint64_t from, uint64_t acknowledged)
{
	struct store_options options = options_of(path);
	struct store *store = fixture_open(&options);
	uint64_t group;

	for (group = from;; group++) {
		struct seen seen = { 0 };
		uint8_t id[TRACE_ID_BYTES];
		int rc;

		fixture_trace_id(group, id);
		rc = store_each_of_trace(store, id, note, &seen);
		if (rc == -ENOENT && group >= acknowledged)
			break; /* at most one group was under way; nothing follows it */
		assert_int_equal(rc, 0);
		assert_int_equal(seen.spans, GROUP_SPANS);
		assert_true(seen.ledgers == 0 || seen.ledgers == GROUP_SPANS);
		assert_true(seen.ledgers || !settled[group]);
	}
	assert_true(group <= acknowledged + 1);
	store_close(store);
	return group;
}

static void live_and_die(const char *path, uint64_t *next, uint64_t life_ns)
{
	struct timespec life = { .tv_nsec = (long)life_ns };
	uint64_t group = *next, acknowledged = *next;
	int ends[2], status;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		commit_for_ever(path, group, ends[1]);
	}
	close(ends[1]);
	nanosleep(&life, NULL);
	kill(pid, SIGKILL);
	while (read(ends[0], &group, sizeof(group)) == sizeof(group)) {
		if (group & SETTLED)
			settled[group & ~SETTLED] = true;
		else
			acknowledged = group + 1;
	}
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	*next = check(path, *next > 200 ? *next - 200 : 0, acknowledged);
}

static void what_was_acknowledged_survives_kill_9(void **state)
{
	char *path = fixture_folder();
	uint64_t next = 0, random = (uint64_t)getpid();
	int rounds = 0;

	(void)state;
	/* on a slow machine, more lives than not may be too short for a commit */
	for (; rounds < ROUNDS || next <= ROUNDS; rounds++)
		live_and_die(path, &next, fixture_random(&random) % MAX_LIFE_NS);
	check(path, 0, next);
	print_message("%d lives, %llu groups\n", rounds, (unsigned long long)next);
	fixture_remove(path);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_acknowledged_survives_kill_9),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
