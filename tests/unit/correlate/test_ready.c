/* SPDX-License-Identifier: Apache-2.0 */
/* A poller of several descriptors, and which of them came: what it waited for. */
#include <errno.h>

#include "tests/unit/correlate/world_builder.h"

#define EPOLL_WAIT 232
#define ROUNDS     4

static const struct event_target several = { .kind = TARGET_ANON }, database = {
	.kind = TARGET_INET4, .port = 5432, .address = { 10, 0, 0, 5 }
};

static void tell(struct builder *b, const struct builder_thread *t, uint64_t out_ns,
		 const struct event_target *target)
{
	const struct event_ready ready = { .header = { EVENT_READY, sizeof(ready), 0 },
					   .pid = t->pid,
					   .tid = t->tid,
					   .out_ns = out_ns,
					   .target = *target };

	assert_int_equal(correlator_record(b->correlator, &ready.header), 0);
}

/* Rounds of 10 ms, of which it waits for 9; of those of `told` it is known what came. */
static void play(struct builder *b, struct builder_thread *t, unsigned told)
{
	builder_init(b);
	builder_clock(b, 500 * MS);
	builder_warm_up(b, t);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t in = (1000 + 10 * i) * MS;

		if (i && told & 1u << i)
			tell(b, t, t->out_ns, &database);
		b->target = several;
		builder_slice(b, t, in, in, in + MS, 1, 0, EPOLL_WAIT);
	}
	builder_span(b, 1, 0, 1000 * MS + 500 * US, 1030 * MS + 500 * US);
	builder_clock(b, 1100 * MS);
	correlator_settle_all(b->correlator);
}

static uint64_t waited_ns(const struct builder *b, const struct event_target *target)
{
	const struct ledger *ledger = builder_ledger(b, 1);
	const struct ledger_wait *wait = &b->first_wait[ledger - b->ledgers];

	assert_int_equal(ledger->all.blocked_ns[REASON_POLL], (ROUNDS - 1) * 9 * MS);
	return memcmp(&wait->target, target, sizeof(*target)) == 0 ? wait->ns : 0;
}

static void what_came_is_what_was_waited_for(void **state)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	struct builder b;

	(void)state;
	play(&b, &t, ~0u);
	assert_int_equal(waited_ns(&b, &database), 27 * MS);
	correlator_free(b.correlator);
}

/* Slices that are alike but for that: what is told of one wait is not true of the next. */
static void of_the_others_it_is_not_known(void **state)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	struct builder b;

	(void)state;
	play(&b, &t, 1u << 2);
	assert_int_equal(waited_ns(&b, &several), 18 * MS);
	correlator_free(b.correlator);
}

static void of_another_wait_or_process_it_is_not_taken(void **state)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	struct builder_thread twin = { .pid = BUILDER_PID + 1, .tid = 11 };
	struct builder b;

	(void)state;
	play(&b, &t, 0);
	builder_slice(&b, &t, 2000 * MS, 2000 * MS, 2001 * MS, 2, 0, EPOLL_WAIT);
	tell(&b, &t, t.out_ns - 1, &database);
	tell(&b, &twin, t.out_ns, &database);
	builder_slice(&b, &t, 2010 * MS, 2010 * MS, 2011 * MS, 2, 0, EPOLL_WAIT);
	builder_span(&b, 2, 0, 2000 * MS + 500 * US, 2010 * MS + 500 * US);
	correlator_settle_all(b.correlator);
	assert_int_equal(b.first_wait[builder_ledger(&b, 2) - b.ledgers].target.kind, TARGET_NONE);
	correlator_free(b.correlator);
}

static void one_that_is_cut_short_is_refused(void **state)
{
	struct event_ready ready = { .header = { EVENT_READY, sizeof(ready) - 8, 0 } };
	struct builder b;

	(void)state;
	builder_init(&b);
	assert_int_equal(correlator_record(b.correlator, &ready.header), -EBADMSG);
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_came_is_what_was_waited_for),
		cmocka_unit_test(of_the_others_it_is_not_known),
		cmocka_unit_test(of_another_wait_or_process_it_is_not_taken),
		cmocka_unit_test(one_that_is_cut_short_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
