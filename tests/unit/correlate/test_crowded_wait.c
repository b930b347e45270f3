/* SPDX-License-Identifier: Apache-2.0 */
/* A wait that more threads ended than have a place in it, and links to more spans than there is
 * room for: those of most time are told. */
#include "tests/unit/correlate/world_builder.h"

#define RECVFROM 45
#define SHORT    20 /* waits, of 1 ms, each ended by another thread in another span */
#define LONGEST  (100 + SHORT)

static const struct event_tag *tag_of(const struct builder *b, uint64_t span)
{
	static struct event_tag tag;

	tag = builder_tag(b, span);
	return &tag;
}

/* The last one is of 50 ms. */
static void play(struct builder *b)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	uint64_t at = 1000 * MS;

	builder_init(b);
	builder_clock(b, 500 * MS);
	builder_warm_up(b, &t);
	builder_slice(b, &t, 0, at, at + MS, 1, 0, RECVFROM);
	for (uint32_t i = 0; i <= SHORT; i++) {
		at += i < SHORT ? 2 * MS : 51 * MS;
		b->trace = 2;
		b->waker = (struct event_waker){ .pid = BUILDER_PID,
						 .tid = 100 + i,
						 .comm = "worker",
						 .tag = *tag_of(b, 100 + i) };
		b->trace = 1;
		builder_slice(b, &t, at, at, at + MS, 1, 0, RECVFROM);
	}
	builder_span(b, 1, 0, 1000 * MS + 500 * US, at + 500 * US);
	builder_clock(b, 1300 * MS);
	correlator_settle_all(b->correlator);
}

static void who_ended_most_is_told_however_late_it_comes(void **state)
{
	const struct ledger *ledger;
	const struct ledger_wait *wait;
	struct builder b;

	(void)state;
	play(&b);
	ledger = builder_ledger(&b, 1);
	wait = &b.first_wait[ledger - b.ledgers];
	assert_int_equal(wait->ns, (SHORT + 50) * MS);
	assert_int_equal(wait->waker_count, LEDGER_MAX_WAKERS);
	assert_int_equal(wait->wakers[0].tid, LONGEST);
	assert_int_equal(wait->wakers[0].ns, 50 * MS);
	correlator_free(b.correlator);
}

static void the_longest_link_is_told_too(void **state)
{
	const uint64_t longest = LONGEST;
	const struct ledger *ledger;
	uint64_t ns = 0;
	struct builder b;

	(void)state;
	play(&b);
	ledger = builder_ledger(&b, 1);
	assert_int_equal(ledger->link_count, LEDGER_MAX_LINKS);
	for (uint16_t i = 0; i < ledger->link_count; i++) {
		const struct ledger_link *link = &b.links[ledger - b.ledgers][i];

		if (memcmp(link->to.span_id, &longest, sizeof(longest)) == 0)
			ns = link->ns;
	}
	assert_int_equal(ns, 50 * MS);
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_ended_most_is_told_however_late_it_comes),
		cmocka_unit_test(the_longest_link_is_told_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
