/* SPDX-License-Identifier: Apache-2.0 */
/* Every form of context but OTEP 4947's own (which all other tests use), in every state of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "harness.h"

static struct harness harness;

struct form {
	const char *name;
	struct tag_descriptor descriptor; /* without the variable */
	size_t states;
};

/* The record with which the thread began that wait. */
static const struct event_slice *find(const struct harness_wait *wait)
{
	const struct event_slice *slice = NULL;

	while ((slice = harness_next_slice(&harness, wait->tid, slice)))
		if (slice->state != 0 && slice->out_ns > wait->before_ns &&
		    slice->out_ns < wait->after_ns)
			return slice;
	fail_msg("no record of the wait %s", wait->name);
	return NULL;
}

/* A page that is not there is no answer: the last one is kept, and marked. */
static bool is_fault(const struct harness_wait *wait)
{
	return strcmp(wait->name, "fault") == 0 || strcmp(wait->name, "unmapped") == 0;
}

static void check_state(const struct harness_wait *wait)
{
	const struct event_slice *slice = find(wait);
	uint32_t unknown = slice->header.flags & EVENT_TAG_OUT_UNKNOWN;
	struct event_tails tails;

	assert_true(event_slice_tails(slice, &tails));
	if (harness_span(tails.tag_out) != wait->span || !unknown == is_fault(wait))
		fail_msg("%s: found span %lx, wanted %lx; %s", wait->name,
			 harness_span(tails.tag_out), wait->span, unknown ? "unknown" : "known");
	if (tails.tag_out)
		for (int i = 0; i < 16; i++)
			assert_int_equal(tails.tag_out->trace_id[i], 0xab);
}

static void every_state_is_read_as_what_it_is(void **state)
{
	const struct form *form = *state;

	harness_open(&harness, 1u << 20, 0);
	harness_start(&harness, form->name, false);
	int64_t offset = harness.descriptor.variables[0].offset;

	harness.descriptor = form->descriptor;
	harness.descriptor.count = 1;
	harness.descriptor.variables[0] =
		(struct tag_variable){ .access = TAG_STATIC, .offset = offset };
	assert_int_equal(
		programs_follow(harness.programs, (uint32_t)harness.pid, &harness.descriptor), 0);
	harness_play(&harness, true);
	assert_int_equal(harness.wait_count, form->states);
	for (size_t i = 0; i < harness.wait_count; i++)
		check_state(&harness.waits[i]);
	harness_close(&harness);
}

static struct form forms[] = {
	{ "nodejs", { .form = TAG_FORM_NODEJS }, 13 },
	{ "go-slice", { .form = TAG_FORM_GO, .go = { 48, 184, 352, 0 } }, 11 },
	{ "go-map", { .form = TAG_FORM_GO, .go = { 48, 184, 352, 1 } }, 9 },
	{ "labels", { .form = TAG_FORM_LABELS }, 11 },
	{ "elastic", { .form = TAG_FORM_ELASTIC }, 4 },
};
#define FORMS (sizeof(forms) / sizeof(forms[0]))

int main(int argc, char **argv)
{
	struct CMUnitTest tests[FORMS];

	harness_init(&harness, argc, argv);
	for (size_t i = 0; i < FORMS; i++)
		tests[i] = (struct CMUnitTest){ .name = forms[i].name,
						.test_func = every_state_is_read_as_what_it_is,
						.initial_state = &forms[i] };
	int failed = _cmocka_run_group_tests("every state is read as what it is", tests, FORMS,
					     NULL, NULL);

	return harness_verdict(&harness, failed, argv);
}
