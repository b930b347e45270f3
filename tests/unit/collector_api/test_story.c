/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector/cli/story_parts.h"

#define WALL_NS 100000000

static char *tell(const char *span, bool with_stacks)
{
	const struct term term = { .width = 120 };
	const struct telling telling = { .term = &term, .with_stacks = with_stacks };
	struct span_row row = { .wall_ns = WALL_NS };
	struct json_value *root;
	struct buf out;

	assert_int_equal(json_read(str_of(span), &root, NULL), 0);
	row.span = root;
	buf_init(&out, 0);
	story_put_waits(&telling, &row, &out);
	story_put_items(&term, &row, &out);
	json_read_free(root);
	buf_append_byte(&out, '\0');
	return out.data;
}

static void assert_told(const char *span, const char *expected)
{
	char *text = tell(span, false);

	assert_string_equal(text, expected);
	free(text);
}

#define WAIT(ns, count, longest, target, rest)                                                     \
	"{\"reason\":\"net\",\"target\":\"" target "\",\"ns\":" ns ",\"count\":" count             \
	",\"longest_ns\":" longest ",\"decided_by\":\"syscall poll\"" rest "}"

static void waits_that_look_the_same_are_one(void **state)
{
	static const char span[] =
		"{\"waits\":[" WAIT("30000000", "1", "30000000", "10.0.0.6:1", "") "," WAIT(
			"25000000", "2", "20000000", "10.0.0.5:5432",
			",\"where\":[\"DB.query\"],\"stack\":[\"DB.query\"],\"wakers\":[{\"kind\":"
			"\"network\"}]") "," WAIT("10000000", "3", "9000000", "10.0.0.5:5432",
						  ",\"stack\":[\"DB.commit\"]") "]}";
	char *text;

	(void)state;
	assert_told(
		span,
		"  blocked   net      10.0.0.5:5432             35.0 ms   35 %  5 times, longest "
		"20.0 ms  syscall poll  woken by network\n"
		"            in DB.query\n"
		"            net      10.0.0.6:1                30.0 ms   30 %  syscall poll\n");
	text = tell(span, true); /* each with its stack */
	assert_non_null(strstr(text, "2 times, longest 20.0 ms"));
	assert_non_null(strstr(text, "3 times, longest 9.00 ms"));
	assert_non_null(strstr(text, "DB.commit"));
	free(text);
}

#define LOCK(ended)                                                                                \
	"{\"span_id\":\"00f067aa0ba902b7\",\"waits\":[{\"reason\":\"lock\",\"target\":\"futex "    \
	"0x7f0010\",\"ns\":50000000,\"count\":1,\"longest_ns\":50000000,\"decided_by\":\"syscall " \
	"futex\"," ended "}]}"
#define LOCK_LINE "  blocked   lock     futex 0x7f0010            50.0 ms   50 %  syscall futex  "
#define WHO(kind, tid, ns, span)                                                                   \
	"{\"kind\":\"" kind "\",\"comm\":\"w\",\"pid\":1,\"tid\":" tid ",\"ns\":" ns               \
	",\"span_id\":\"" span "\"}"

static void who_had_the_lock_and_woke_is_said_once(void **state)
{
	(void)state;
	assert_told(LOCK("\"wakers\":[" WHO("thread", "2", "50000000", "") "],\"holders\":[" WHO(
			    "released", "2", "50000000", "") "]"),
		    LOCK_LINE "let go by w/2\n");
	assert_told(LOCK("\"wakers\":[" WHO("thread", "2", "50000000", "") "],\"holders\":[" WHO(
			    "held", "2", "20000000", "") "]"),
		    LOCK_LINE "held by w/2 (20.0 ms)\n");
	assert_told(LOCK("\"wakers\":[" WHO("thread", "3", "50000000", "") "],\"holders\":[" WHO(
			    "held", "2", "49900000", "") "]"),
		    LOCK_LINE "woken by w/3, held by w/2\n");
}

static void holders_in_turn_are_counted(void **state)
{
	(void)state;
	assert_told(LOCK("\"wakers\":[" WHO("thread", "4", "50000000", "") "],\"holders\":[" WHO(
			    "held", "2", "20000000", "") "," WHO("held", "3", "15000000", "") "]"),
		    LOCK_LINE "woken by w/4, held by 2 in turn, the longest by w/2 (20.0 ms)\n");
	/* Since when the first had it nobody knows. */
	assert_told(
		LOCK("\"wakers\":[" WHO("thread", "4", "50000000", "") "],\"holders\":[" WHO(
			"released", "2", "30000000", "") "," WHO("held", "3", "20000000", "") "]"),
		LOCK_LINE "woken by w/4, had by 2 in turn, the longest by w/2 (30.0 ms)\n");
}

#define HELD(tid, ns) WHO("held", tid, ns, "")

/* There is room for four, the longest. */
static void holders_that_found_no_room_are_owned_up_to(void **state)
{
	(void)state;
	assert_told(
		LOCK("\"wakers\":[],\"holders\":[" HELD("2", "20000000") "," HELD(
			"3", "10000000") "," HELD("4", "10000000") "," HELD("5", "10000000") "]"),
		LOCK_LINE "held by 4 in turn, the longest by w/2 (20.0 ms)\n");
	assert_told(
		LOCK("\"wakers\":[],\"holders\":[" HELD("2", "20000000") "," HELD(
			"3", "10000000") "," HELD("4", "10000000") "," HELD("5", "9000000") "]"),
		LOCK_LINE "held by 4 and more in turn, the longest by w/2 (20.0 ms)\n");
}

#define NET(target, kind, comm)                                                                    \
	"{\"waits\":[" WAIT("30000000", "1", "30000000", target,                                   \
			    ",\"wakers\":[{\"kind\":\"" kind "\",\"comm\":\"" comm                 \
			    "\",\"tid\":7,\"ns\":30000000}]") "]}"
#define NET_LINE(target) "  blocked   net      " target "  30.0 ms   30 %  syscall poll  "

static void who_sent_over_loopback_is_named_and_what_did_not_come_is_said(void **state)
{
	(void)state;
	assert_told(NET("127.0.0.1:5432", "network", "postgres"),
		    NET_LINE("127.0.0.1:5432          ") "woken by postgres/7\n");
	assert_told(NET("[::1]:5432", "network", "postgres"),
		    NET_LINE("[::1]:5432              ") "woken by postgres/7\n");
	assert_told(NET("10.0.0.5:5432", "network", "whoever"),
		    NET_LINE("10.0.0.5:5432           ") "woken by network\n");
	assert_told(NET("10.0.0.5:5432", "timer", ""),
		    NET_LINE("10.0.0.5:5432           ") "timed out\n");
}

static void the_span_itself_is_called_so(void **state)
{
	(void)state;
	assert_told(LOCK("\"wakers\":[" WHO("thread", "2", "50000000", "00f067aa0ba902b7") "]"),
		    LOCK_LINE "woken by w/2 in this span\n");
	assert_told(LOCK("\"wakers\":[" WHO("thread", "2", "50000000", "00f067aa0ba902b8") "]"),
		    LOCK_LINE "woken by w/2 in span 00f067aa0ba902b8\n");
}

#define ITEM(kind, ns, rest) "{\"kind\":\"" kind "\",\"ns\":" ns rest "}"
#define CALL(ns, server)                                                                           \
	ITEM("child", ns, ",\"name\":\"GET\",\"peer\":\"db:1\",\"server_span_id\":\"" server "\"")
#define ELSEWHERE(items) "{\"ledger\":{\"elsewhere\":[" items "]}}"

static void calls_of_one_name_are_one_and_the_largest_comes_first(void **state)
{
	(void)state;
	assert_told(ELSEWHERE(ITEM("queued", "1000000", "") "," CALL("10000000", "aa") "," ITEM(
			    "uncovered", "15000000", "") "," CALL("11000000", "bb")),
		    "  elsewhere  21.0 ms   21 %  in the calls GET to db:1 (the longest served by "
		    "span bb)\n"
		    "             15.0 ms   15 %  no thread and no child span: awaiting in the "
		    "runtime\n"
		    "             1.00 ms    1 %  before a thread was seen with it: queued or "
		    "awaited\n");
	assert_told(ELSEWHERE(CALL("10000000", "aa")),
		    "  elsewhere  10.0 ms   10 %  in GET to db:1 (served by span aa)\n");
}

static void a_call_awaits_its_answer(void **state)
{
	(void)state;
	assert_told(
		ELSEWHERE(ITEM("answer", "90000000",
			       ",\"name\":\"GET\",\"peer\":\"db:1\",\"server_span_id\":\"aa\"")),
		"  elsewhere  90.0 ms   90 %  awaiting the answer of db:1 (served by span aa)\n");
	assert_told(ELSEWHERE(ITEM("answer", "90000000", "")),
		    "  elsewhere  90.0 ms   90 %  awaiting the answer\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_that_look_the_same_are_one),
		cmocka_unit_test(who_had_the_lock_and_woke_is_said_once),
		cmocka_unit_test(holders_in_turn_are_counted),
		cmocka_unit_test(holders_that_found_no_room_are_owned_up_to),
		cmocka_unit_test(who_sent_over_loopback_is_named_and_what_did_not_come_is_said),
		cmocka_unit_test(the_span_itself_is_called_so),
		cmocka_unit_test(calls_of_one_name_are_one_and_the_largest_comes_first),
		cmocka_unit_test(a_call_awaits_its_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
