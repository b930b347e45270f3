/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector/base/json_read.h"
#include "collector/base/macros.h"
#include "collector/render.h"

static const uint8_t trace_id[TRACE_ID_BYTES] = { 0x4b, 0xf9, [15] = 0x36 };
static const uint8_t span_id[SPAN_ID_BYTES] = { 0x00, 0xf0, [7] = 0xb7 };

static struct ledger_wait wait = {
	.reason = REASON_NET,
	.waker_count = 1,
	.syscall = 45, /* recvfrom */
	.count = 3,
	.ns = 540000000,
	.self_ns = 1000,
	.longest_ns = 520000000,
	.target = { .kind = TARGET_INET4, .port = 5432, .address = { 10, 0, 0, 5 } },
	.wakers = { { .pid = 7, .tid = 8, .kind = WAKER_THREAD, .comm = "postgres", .ns = 9 } },
};

static struct ledger_slice slices[] = {
	{ 1763798400000000000, 38000000, 12, STATE_RUNNING, 0 },
	{ 1763798400038000000, 540000000, 12, STATE_BLOCKED, REASON_NET },
};

static struct store_span make_span(void)
{
	struct store_span stored = {
		.span = { .start_unix_ns = 1763798400000000000,
			  .end_unix_ns = 1763798400612000000,
			  .name = STR("GET /report"),
			  .kind = SPAN_KIND_SERVER,
			  .status = SPAN_STATUS_ERROR },
		.service = STR("shop"),
	};

	memcpy(stored.span.trace_id, trace_id, sizeof(trace_id));
	memcpy(stored.span.span_id, span_id, sizeof(span_id));
	return stored;
}

static void add_ledger(struct store_span *stored)
{
	stored->has_ledger = true;
	stored->ledger = (struct ledger){
		.wall_ns = 612000000,
		.pid = 10,
		.revision = 1,
		.grade = GRADE_EXACT,
		.settled = true,
		.uncertain_ns = 800,
		.cpu_ns = 38000000,
		.cpu_self_ns = 37000000,
		.preempted_ns = 1000000,
		.all = { .running_ns = 38000000,
			 .runnable_ns = 13000000,
			 .blocked_ns = { [REASON_NET] = 540000000, [REASON_LOCK] = 18000000 },
			 .elsewhere_ns = 3000000 },
		.self = { .running_ns = 37000000, .blocked_ns = { [REASON_NET] = 1000 } },
		.wait_count = 1,
		.waits = &wait,
		.slice_count = ARRAY_LEN(slices),
		.slices = slices,
	};
	memcpy(stored->ledger.trace_id, trace_id, sizeof(trace_id));
	memcpy(stored->ledger.span_id, span_id, sizeof(span_id));
}

/* The verdict's wording is the business of ledger_judge and tested there. */
static char *without_verdict(struct buf *out)
{
	char *verdict;

	buf_append_byte(out, '\0');
	verdict = strstr(out->data, ",\"verdict\":{");
	if (verdict) {
		char *end = strchr(verdict, '}');

		assert_non_null(end);
		memmove(verdict, end + 1, strlen(end + 1) + 1);
	}
	return out->data;
}

static void render(const struct store_span *stored, unsigned parts, struct buf *out)
{
	struct json json;

	buf_init(out, 0);
	json_init(&json, out);
	render_span(&json, stored, parts, NULL);
}

#define SPAN_HEAD                                                                                  \
	"{\"span_id\":\"00f00000000000b7\",\"parent_span_id\":\"\",\"service\":\"shop\","          \
	"\"name\":\"GET /report\",\"kind\":\"server\",\"status\":\"error\","                       \
	"\"start_unix_ns\":\"1763798400000000000\",\"wall_ns\":612000000,"

#define LEDGER                                                                                     \
	"\"ledger\":{\"grade\":\"exact\",\"uncertain_ns\":800,\"cpu_ns\":38000000,"                \
	"\"cpu_self_ns\":37000000,\"forked_cpu_ns\":0,\"cpu_wall_ratio\":0.0621,"                  \
	"\"running_ns\":38000000,\"runnable_ns\":13000000,\"runnable\":{\"woken_ns\":12000000,"    \
	"\"preempted_ns\":1000000,\"throttled_ns\":0,\"yielded_ns\":0},\"blocked_ns\":{\"lock\":"  \
	"18000000,"                                                                                \
	"\"net\":540000000},\"elsewhere_ns\":3000000,\"elsewhere\":[],\"unknown_ns\":0,"           \
	"\"self\":{\"running_ns\":37000000,\"runnable_ns\":0,\"blocked_ns\":{\"net\":1000},"       \
	"\"elsewhere_ns\":0,\"unknown_ns\":0},\"revision\":1},"

#define WAITS                                                                                      \
	"\"waits\":[{\"reason\":\"net\",\"target\":\"10.0.0.5:5432\",\"ns\":540000000,"            \
	"\"self_ns\":1000,\"count\":3,\"longest_ns\":520000000,"                                   \
	"\"decided_by\":\"syscall "                                                                \
	"recvfrom\",\"lock\":null,\"stack_id\":\"\",\"stack\":[],\"wakers\":["                     \
	"{\"kind\":\"thread\",\"comm\":\"postgres\",\"pid\":7,\"tid\":8,\"trace_id\":\"\","        \
	"\"span_id\":\"\",\"ns\":9}],\"holders\":[]}],\"code\":[],\"links\":[]"

static void a_ledger_becomes_exactly_this(void **state)
{
	struct store_span stored = make_span();
	struct buf out;

	(void)state;
	add_ledger(&stored);
	render(&stored, 0, &out);
	assert_string_equal(without_verdict(&out),
			    SPAN_HEAD "\"pid\":10,\"settled\":true," LEDGER WAITS "}");
	buf_fini(&out);
}

static void the_timeline_comes_when_asked_for(void **state)
{
	struct store_span stored = make_span();
	struct buf out;

	(void)state;
	add_ledger(&stored);
	render(&stored, RENDER_TIMELINE, &out);
	assert_non_null(strstr(without_verdict(&out),
			       ",\"timeline\":[{\"start_unix_ns\":\"1763798400000000000\","
			       "\"ns\":38000000,\"tid\":12,\"state\":\"running\"},"
			       "{\"start_unix_ns\":\"1763798400038000000\",\"ns\":540000000,"
			       "\"tid\":12,\"state\":\"blocked\",\"reason\":\"net\"}],"
			       "\"timeline_truncated\":false}"));
	buf_fini(&out);
}

static void figures_without_a_measurement_are_null(void **state)
{
	struct store_span stored = make_span();
	const struct json_value *ledger, *value;
	struct json_value *root;
	void *cursor = NULL;
	const char *key;
	struct buf out;

	(void)state;
	stored.has_ledger = true;
	stored.ledger = (struct ledger){
		.grade = GRADE_NONE, .none_cause = NONE_NO_TAGS, .revision = 1, .settled = true
	};
	render(&stored, RENDER_TRACE_ID, &out);
	assert_int_equal(json_read(buf_str(&out), &root, NULL), 0);
	assert_string_equal(json_read_text(root, "trace_id"), "4bf90000000000000000000000000036");
	ledger = json_read_get(root, "ledger");
	assert_string_equal(json_read_text(ledger, "grade"), "none");
	assert_string_equal(json_read_text(ledger, "reason"), ledger_none_text(NONE_NO_TAGS));
	assert_int_equal(json_read_count(ledger), 16);
	while ((value = json_read_next(ledger, &cursor, &key))) {
		if (strcmp(key, "grade") && strcmp(key, "reason") && strcmp(key, "revision"))
			assert_true(json_read_is_null(value));
	}
	json_read_free(root);
	buf_fini(&out);
}

static void a_span_without_a_ledger_is_open(void **state)
{
	struct store_span stored = make_span();
	struct buf out;

	(void)state;
	render(&stored, 0, &out);
	assert_string_equal(without_verdict(&out), SPAN_HEAD
			    "\"pid\":0,\"settled\":false,\"ledger\":null,\"waits\":[],\"code\":[],"
			    "\"links\":[],\"verdict\":null}");
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ledger_becomes_exactly_this),
		cmocka_unit_test(the_timeline_comes_when_asked_for),
		cmocka_unit_test(figures_without_a_measurement_are_null),
		cmocka_unit_test(a_span_without_a_ledger_is_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
