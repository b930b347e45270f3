/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collector/base/macros.h"
#include "collector/cli/bar.h"
#include "collector/cli/waterfall.h"

/* The reference case: 38 ms of 612 on a CPU, the rest in the database and at a lock. */
#define REPORT                                                                                     \
	"{\"span_id\":\"00f067aa0ba902b7\",\"parent_span_id\":\"\",\"service\":\"shop\","          \
	"\"name\":\"GET /report\",\"kind\":\"server\",\"status\":\"unset\","                       \
	"\"start_unix_ns\":\"1763798400000000000\",\"wall_ns\":612000000,\"ledger\":{"             \
	"\"grade\":\"exact\",\"uncertain_ns\":800,\"cpu_ns\":38000000,\"running_ns\":38000000,"    \
	"\"runnable_ns\":13000000,\"blocked_ns\":{\"lock\":18000000,\"net\":543000000},"           \
	"\"elsewhere_ns\":0,\"elsewhere\":[],\"unknown_ns\":0,\"self\":{\"running_ns\":37000000,"  \
	"\"runnable_ns\":13000000,\"blocked_ns\":{\"lock\":18000000},\"elsewhere_ns\":0,"          \
	"\"unknown_ns\":0}},\"waits\":[{\"reason\":\"net\",\"target\":\"10.0.0.5:5432\","          \
	"\"ns\":543000000,\"count\":3,\"longest_ns\":520000000,"                                   \
	"\"decided_by\":\"syscall recvfrom\",\"wakers\":[{\"kind\":\"thread\","                    \
	"\"comm\":\"postgres\",\"tid\":1234,\"span_id\":\"\"}]},{\"reason\":\"lock\","             \
	"\"target\":\"futex 0x7f0010\",\"ns\":18000000,\"count\":1,\"longest_ns\":18000000,"       \
	"\"decided_by\":\"syscall futex\",\"wakers\":[{\"kind\":\"thread\","                       \
	"\"comm\":\"python3\",\"tid\":12,"                                                         \
	"\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e47aa\",\"span_id\":\"00f067aa0ba902b9\"}]}],"  \
	"\"verdict\":{\"kind\":\"waiting\",\"text\":\"92 % waiting: leave the CPU code alone\"},"  \
	"\"timeline\":["                                                                           \
	"{\"start_unix_ns\":\"1763798400000000000\",\"ns\":20000000,\"state\":\"running\"},"       \
	"{\"start_unix_ns\":\"1763798400020000000\",\"ns\":13000000,\"state\":\"runnable\"},"      \
	"{\"start_unix_ns\":\"1763798400576000000\",\"ns\":18000000,\"state\":\"blocked\","        \
	"\"reason\":\"lock\"},"                                                                    \
	"{\"start_unix_ns\":\"1763798400594000000\",\"ns\":18000000,\"state\":\"running\"}]}"

#define QUERY                                                                                      \
	"{\"span_id\":\"00f067aa0ba902b8\",\"parent_span_id\":\"00f067aa0ba902b7\","               \
	"\"service\":\"shop\",\"name\":\"QueryContext\",\"status\":\"error\","                     \
	"\"start_unix_ns\":\"1763798400033000000\",\"wall_ns\":543000000,\"ledger\":{"             \
	"\"grade\":\"bounded\",\"uncertain_ns\":12000,\"cpu_ns\":0,\"running_ns\":0,"              \
	"\"runnable_ns\":0,\"blocked_ns\":{\"net\":543000000},\"elsewhere_ns\":0,"                 \
	"\"elsewhere\":[],\"unknown_ns\":0,\"self\":{\"running_ns\":0,\"runnable_ns\":0,"          \
	"\"blocked_ns\":{},\"elsewhere_ns\":0,\"unknown_ns\":0}},\"waits\":[],\"verdict\":"        \
	"{\"kind\":\"waiting\",\"text\":\"\"},\"timeline\":[{\"start_unix_ns\":"                   \
	"\"1763798400033000000\",\"ns\":543000000,\"state\":\"blocked\",\"reason\":\"net\"}]}"

#define FOREIGN                                                                                    \
	"{\"span_id\":\"00f067aa0ba902c8\",\"parent_span_id\":\"00f067aa0ba902b8\","               \
	"\"service\":\"db\",\"name\":\"SELECT \\u001b[31m\",\"start_unix_ns\":"                    \
	"\"1763798400133000000\",\"wall_ns\":400000000,\"ledger\":{\"grade\":\"none\","            \
	"\"reason\":\"its process publishes no tags\",\"cpu_ns\":null},\"waits\":[],"              \
	"\"verdict\":{\"kind\":\"none\",\"text\":\"\"},\"timeline\":[]}"

#define CALL                                                                                       \
	"{\"span_id\":\"00f067aa0ba902d1\",\"parent_span_id\":\"00f067aa0ba902b7\","               \
	"\"service\":\"shop\",\"name\":\"GET db\",\"start_unix_ns\":\"1763798400033000000\","      \
	"\"wall_ns\":543000000,\"ledger\":{\"grade\":\"none\",\"cpu_ns\":null},\"waits\":[],"      \
	"\"links\":[{\"span_id\":\"00f067aa0ba902b7\",\"via\":\"waker\",\"ns\":5},"                \
	"{\"span_id\":\"00f067aa0ba902d2\",\"via\":\"parent\",\"ns\":500000000}],"                 \
	"\"verdict\":{\"kind\":\"none\",\"text\":\"\"}}"

#define ANSWER                                                                                     \
	"{\"span_id\":\"00f067aa0ba902d2\",\"parent_span_id\":\"00f067aa0ba902d1\","               \
	"\"service\":\"db\",\"name\":\"query\",\"start_unix_ns\":\"1763798400053000000\","         \
	"\"wall_ns\":500000000,\"ledger\":{\"grade\":\"none\",\"cpu_ns\":null},\"waits\":[],"      \
	"\"verdict\":{\"kind\":\"waiting\",\"text\":\"98 % waiting: 490 ms (98 %) for the "        \
	"disk\"}}"

#define TRACE(spans)                                                                               \
	"{\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"settled\":true,\"spans\":[" spans "]}"

/* As the API does, for one span of another trace. */
static int get(void *unused, const char *path, struct json_value **out_root)
{
	static const char pay[] =
		"{\"name\":\"POST /pay\",\"service\":\"checkout\","
		"\"verdict\":{\"text\":\"97 % waiting: 530 ms (97 %) for the disk\"}}";
	bool is_known = strcmp(path, "/api/v1/spans/4bf92f3577b34da6a3ce929d0e0e47aa/"
				     "00f067aa0ba902b9") == 0;

	(void)unused;
	return is_known ? json_read(str_of(pay), out_root, NULL) : -ENOENT;
}

static char *draw(const struct term *term, const char *text)
{
	struct span_names names = { .get = get };
	struct json_value *root;
	struct buf out;

	assert_int_equal(json_read(str_of(text), &root, NULL), 0);
	buf_init(&out, 0);
	assert_int_equal(waterfall_draw(term, root, &names, false, &out), 0);
	json_read_free(root);
	buf_append_byte(&out, '\0');
	return out.data;
}

static void the_reference_case_as_plain_text(void **state)
{
	/* clang-format off */
	static const char golden[] =
		"trace 4bf92f3577b34da6a3ce929d0e0e4736   612 ms   3 spans   2025-11-22 08:00:00.000\n"
		"\n"
		"span               0                    612 ms     wall   CPU  runq  blocked on                  away  grade\n"
		"GET /report  shop  #rNNNNNNNNNNNNNNNNNNNNNNNL#   612 ms   6 %   2 %  92 % net 10.0.0.5:5432       0 %  exact +-800 ns\n"
		"` QueryContext      NNNNNNNNNNNNNNNNNNNNNNNN     543 ms   0 %   0 % 100 %                         0 %  bounded +-12.0 us\n"
		"  ` SELECT ?[31m         ------------------      400 ms     -     -     -                           -  none\n"
		"\n"
		"# on CPU   r runnable, no CPU   blocked on: L lock   N net   - not measured\n"
		"\n"
		"GET /report (shop)  612 ms  span 00f067aa0ba902b7\n"
		"  verdict   92 % waiting: leave the CPU code alone\n"
		"  blocked   net      10.0.0.5:5432              543 ms   89 %  3 times, longest 520 ms  syscall recvfrom  woken by postgres/1234\n"
		"            lock     futex 0x7f0010            18.0 ms    3 %  syscall futex  woken by python3/12 in span 00f067aa0ba902b9 (POST /pay in checkout)\n"
		"\n"
		"1 of 3 spans have no figures: db: its process publishes no tags. Ask `spanwise doctor TRACE 00f067aa0ba902c8`\n";
	/* clang-format on */
	struct term term = { .width = 120 };
	char *text = draw(&term, TRACE(REPORT "," QUERY "," FOREIGN));

	(void)state;
	assert_string_equal(text, golden);
	free(text);
}

static void a_call_is_followed_to_who_answered_it(void **state)
{
	const struct term term = { .width = 120 };
	char *text = draw(&term, TRACE(REPORT "," CALL "," ANSWER));

	(void)state;
	assert_non_null(strstr(text, "answered    500 ms   82 %  by query in db: 98 % waiting: "
				     "490 ms (98 %) for the disk\n"));
	free(text);
	text = draw(&term, TRACE(REPORT "," CALL));
	assert_null(strstr(text, "answered"));
	free(text);
}

/* The reference case, whose waits a span of another trace ended for `ns`. */
static char *draw_released(const char *via, unsigned ns)
{
	const struct term term = { .width = 120 };
	const char *all = TRACE(REPORT), *after = strstr(all, "\"waits\":");
	char *trace, *text;

	assert_true(asprintf(&trace,
			     "%.*s\"links\":[{\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e47aa\","
			     "\"span_id\":\"00f067aa0ba902b9\",\"via\":\"%s\",\"ns\":%u}],%s",
			     (int)(after - all), all, via, ns, after) > 0);
	text = draw(&term, trace);
	free(trace);
	return text;
}

static void a_wait_is_followed_into_another_trace(void **state)
{
	char *text = draw_released("waker", 540000000);

	(void)state;
	assert_non_null(strstr(text, "released    540 ms   88 %  by POST /pay in checkout: 97 %"));
	free(text);
	text = draw_released("chain", 540000000);
	assert_non_null(strstr(
		text, "released    540 ms   88 %  by POST /pay in checkout, passed on: 97 %"));
	free(text);
	text = draw_released("waker", 5000000);
	assert_null(strstr(text, "released"));
	free(text);
}

static void a_narrow_screen_keeps_bar_and_shares(void **state)
{
	struct term term = { .width = 80 };
	char *text = draw(&term, TRACE(REPORT));

	(void)state;
	assert_non_null(strstr(text, "\nGET /report"));
	assert_non_null(strstr(text, "  612 ms   6 %   2 %  92 %   0 %  exact\n"));
	for (const char *line = text; (line = strstr(line, "GET /report  ")); line++)
		assert_true(strcspn(line, "\n") <= 80);
	free(text);
}

/* The title and the table; what follows is prose. */
static void the_table_fits_any_width_that_is_allowed(void **state)
{
	(void)state;
	for (unsigned width = TERM_MIN_WIDTH; width <= 100; width++) {
		struct term term = { .width = width };
		char *text = draw(&term, TRACE(REPORT "," QUERY "," FOREIGN));
		const char *line = text, *end = strstr(strstr(text, "\n\n") + 2, "\n\n");

		for (; line < end; line += strcspn(line, "\n") + 1)
			assert_in_range(strcspn(line, "\n"), 0, width);
		assert_non_null(strstr(text, "exact"));
		free(text);
	}
}

static void colours_never_leak_into_plain_text(void **state)
{
	struct term plain = { .width = 120, .utf8 = true };
	struct term coloured = { .width = 120, .utf8 = true, .colour = true };
	char *without = draw(&plain, TRACE(REPORT "," FOREIGN));
	char *with = draw(&coloured, TRACE(REPORT "," FOREIGN));

	(void)state;
	assert_null(strchr(without, '\033'));
	assert_non_null(strstr(with, "\033[32m█"));
	assert_null(strstr(with, "SELECT \033[31m"));
	free(without);
	free(with);
}

static void an_empty_trace_says_so(void **state)
{
	struct term term = { .width = 120 };
	char *text = draw(&term, "{\"spans\":[]}");

	(void)state;
	assert_string_equal(text, "the trace has no spans\n");
	free(text);
}

#define LINK(id, parent, start)                                                                    \
	"{\"span_id\":\"" id "\",\"parent_span_id\":\"" parent "\",\"start_unix_ns\":\"" start     \
	"\",\"wall_ns\":1}"

static void check_tree(const char *text, const char *ids, const char *depths)
{
	struct json_value *root;
	struct span_tree tree;

	assert_int_equal(json_read(str_of(text), &root, NULL), 0);
	assert_int_equal(span_tree_init(&tree, root), 0);
	assert_int_equal(tree.count, strlen(ids));
	for (size_t i = 0; i < tree.count; i++) {
		assert_int_equal(json_read_text(tree.rows[i].span, "span_id")[0], ids[i]);
		assert_int_equal(tree.rows[i].depth, depths[i] - '0');
	}
	span_tree_fini(&tree);
	json_read_free(root);
}

static void parents_come_before_children_and_siblings_by_start(void **state)
{
	(void)state;
	check_tree(TRACE(LINK("d", "b", "40") "," LINK("c", "a", "30") "," LINK(
			   "b", "a", "20") "," LINK("a", "", "10") "," LINK("e", "gone", "5")),
		   "eabdc", "00121");
}

static void spans_in_a_circle_stand_there_once(void **state)
{
	(void)state;
	check_tree(TRACE(LINK("a", "b", "1") "," LINK("b", "a", "2") "," LINK("c", "c", "3")),
		   "cab", "000");
}

static void cells_fill_up_in_proportion(void **state)
{
	struct bar_parts parts = { .running = 1, .runnable = 1, .elsewhere = 1 };
	char cells[11] = "";

	(void)state;
	bar_compose(&parts, cells, 10);
	assert_string_equal(cells, "####rrr...");
	parts = (struct bar_parts){ .blocked = { [REASON_NET] = 88, [REASON_LOCK] = 12 } };
	bar_compose(&parts, cells, 10);
	assert_string_equal(cells, "LNNNNNNNNN");
	parts = (struct bar_parts){ 0 };
	bar_compose(&parts, cells, 10);
	assert_string_equal(cells, "----------");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reference_case_as_plain_text),
		cmocka_unit_test(a_call_is_followed_to_who_answered_it),
		cmocka_unit_test(a_wait_is_followed_into_another_trace),
		cmocka_unit_test(a_narrow_screen_keeps_bar_and_shares),
		cmocka_unit_test(the_table_fits_any_width_that_is_allowed),
		cmocka_unit_test(colours_never_leak_into_plain_text),
		cmocka_unit_test(an_empty_trace_says_so),
		cmocka_unit_test(parents_come_before_children_and_siblings_by_start),
		cmocka_unit_test(spans_in_a_circle_stand_there_once),
		cmocka_unit_test(cells_fill_up_in_proportion),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
