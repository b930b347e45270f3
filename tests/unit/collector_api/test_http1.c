/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "collector/http1.h"

#define MAX_BODY 1024

static struct str all(const char *text)
{
	return str_of(text);
}

#define assert_str(actual, expected)                                                               \
	do {                                                                                       \
		struct str a = (actual);                                                           \
		assert_int_equal(a.len, strlen(expected));                                         \
		if (a.len)                                                                         \
			assert_memory_equal(a.data, expected, a.len);                              \
	} while (0)

/* Feeds whole, and byte by byte: both must end alike. Returns the state. */
static enum http1_state feed(struct http1 *http, const char *text)
{
	struct http1 slow;
	size_t used, slow_used = 0, len = strlen(text);

	http1_init(http, MAX_BODY);
	used = http1_feed(http, all(text));
	http1_init(&slow, MAX_BODY);
	while (slow_used < len && slow.state <= HTTP1_BODY) {
		/* A copy of exactly one byte: reading beyond it is caught by the sanitizer. */
		char *byte = malloc(1);

		assert_non_null(byte);
		*byte = text[slow_used];
		slow_used += http1_feed(&slow, (struct str){ byte, 1 });
		free(byte);
	}
	assert_int_equal(slow.state, http->state);
	assert_int_equal(slow.status, http->status);
	if (slow.state == HTTP1_DONE) {
		assert_int_equal(slow_used, used);
		assert_true(str_eq(slow.request.path, http->request.path));
		assert_true(str_eq(slow.request.body, http->request.body));
		assert_int_equal(slow.request.header_count, http->request.header_count);
	}
	http1_fini(&slow);
	return http->state;
}

static void expect_refused(const char *text, int status)
{
	struct http1 http;

	assert_int_equal(feed(&http, text), HTTP1_BROKEN);
	assert_int_equal(http.status, status);
	assert_non_null(http.complaint);
	http1_fini(&http);
}

static void a_get_is_read_in_any_pieces(void **state)
{
	struct http1 http;

	(void)state;
	assert_int_equal(feed(&http, "GET /api/v1/spans?limit=3&a=b HTTP/1.1\r\nHost: localhost\r\n"
				     "accept:  text/plain \t\r\n\r\n"),
			 HTTP1_DONE);
	assert_str(http.request.method, "GET");
	assert_str(http.request.path, "/api/v1/spans");
	assert_str(http.request.query, "limit=3&a=b");
	assert_str(http1_header(&http.request, "Accept"), "text/plain");
	assert_str(http1_header(&http.request, "absent"), "");
	assert_true(http.request.keep_alive);
	assert_false(http.request.is_head);
	http1_fini(&http);
}

static void a_body_of_known_length_ends_where_it_says(void **state)
{
	const char *text = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /";
	struct http1 http;

	(void)state;
	http1_init(&http, MAX_BODY);
	assert_int_equal(http1_feed(&http, all(text)), strlen(text) - 5);
	assert_int_equal(http.state, HTTP1_DONE);
	assert_str(http.request.body, "hello");
	http1_fini(&http);
}

static void chunks_are_joined_and_trailers_dropped(void **state)
{
	struct http1 http;

	(void)state;
	assert_int_equal(feed(&http,
			      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
			      "3\r\nhel\r\n2;ext=\"1\"\r\nlo\r\n0\r\nX-Sum: 1\r\n\r\n"),
			 HTTP1_DONE);
	assert_str(http.request.body, "hello");
	assert_str(http1_header(&http.request, "x-sum"), "");
	http1_fini(&http);
}

static void pipelined_requests_come_one_at_a_time(void **state)
{
	const char *text = "GET /a HTTP/1.1\r\nHost: a\r\n\r\nHEAD /b HTTP/1.1\r\nHost: a\r\n"
			   "Connection: close\r\n\r\n";
	struct str rest = all(text);
	struct http1 http;
	size_t used;

	(void)state;
	http1_init(&http, MAX_BODY);
	used = http1_feed(&http, rest);
	assert_int_equal(http.state, HTTP1_DONE);
	assert_str(http.request.path, "/a");
	http1_next(&http);
	rest = (struct str){ rest.data + used, rest.len - used };
	assert_int_equal(http1_feed(&http, rest), rest.len);
	assert_int_equal(http.state, HTTP1_DONE);
	assert_str(http.request.path, "/b");
	assert_true(http.request.is_head);
	assert_false(http.request.keep_alive);
	http1_fini(&http);
}

static void http_1_0_closes_unless_it_asks(void **state)
{
	struct http1 http;

	(void)state;
	assert_int_equal(feed(&http, "GET / HTTP/1.0\r\n\r\n"), HTTP1_DONE);
	assert_false(http.request.keep_alive);
	http1_fini(&http);
	assert_int_equal(feed(&http, "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"),
			 HTTP1_DONE);
	assert_true(http.request.keep_alive);
	http1_fini(&http);
}

/* RFC 9112, 3.2.2 */
static void a_target_that_names_its_host_makes_the_host_header_nothing(void **state)
{
	struct http1 http;

	(void)state;
	assert_int_equal(feed(&http, "GET http://b:80/c?d HTTP/1.1\r\nHost: a\r\n\r\n"),
			 HTTP1_DONE);
	assert_true(str_eq(http.request.authority, STR("b:80")));
	assert_true(str_eq(http.request.path, STR("/c")));
	assert_true(str_eq(http.request.query, STR("d")));
	http1_fini(&http);
	expect_refused("GET http:///c HTTP/1.1\r\nHost: a\r\n\r\n", 400);
	expect_refused("GET http://a@b/c HTTP/1.1\r\nHost: a\r\n\r\n", 400);
	expect_refused("GET http://b/c HTTP/1.1\r\n\r\n", 400);
}

static void what_could_smuggle_a_request_is_refused(void **state)
{
	(void)state;
	expect_refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
		       "Transfer-Encoding: chunked\r\n\r\n",
		       400);
	expect_refused(
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
		400);
	expect_refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", 400);
	expect_refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n", 400);
	expect_refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
		       400);
	expect_refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		       501);
	expect_refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
	expect_refused("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400);
	expect_refused("GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n", 400);
	expect_refused("GET / HTTP/1.1\nHost: a\r\n\r\n", 400);
	expect_refused("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400);
}

static void malformed_chunks_are_refused(void **state)
{
#define CHUNKED "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	(void)state;
	expect_refused(CHUNKED "x\r\n", 400);
	expect_refused(CHUNKED "-1\r\n", 400);
	expect_refused(CHUNKED "\r\n", 400);
	expect_refused(CHUNKED "3\nabc", 400);
	expect_refused(CHUNKED "3\r\nabcd\r\n", 400);
	expect_refused(CHUNKED "fffffffffffffffff\r\n", 400);
	expect_refused(CHUNKED "ffffffffffffff\r\n", 413);
	expect_refused(CHUNKED "401\r\n", 413);
	expect_refused(CHUNKED "3 x\r\nabc\r\n0\r\n\r\n", 400);
#undef CHUNKED
}

static void bad_request_lines_are_refused(void **state)
{
	(void)state;
	expect_refused("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
	expect_refused("GET /\r\nHost: a\r\n\r\n", 400);
	expect_refused("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505);
	expect_refused("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 505);
	expect_refused("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
	expect_refused("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400);
	expect_refused("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400);
	expect_refused("GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", 400);
	expect_refused("PRI * HTTP/2.0\r\n\r\n", 505);
	expect_refused("\x16\x03\x01\r\n\r\n", 400);
}

/* Who speaks something else altogether is told from its first byte or line, and gets no answer. */
static void what_is_not_http_is_known_at_once(void **state)
{
	static const struct {
		const char *text;
		bool is_foreign;
	} cases[] = {
		{ "\x16", true },
		{ " GET", true },
		{ "GET /\r\n\r\n", true },
		{ "GET  / HTTP/1.1\r\n\r\n", false },
	};
	struct http1 http;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(feed(&http, cases[i].text), HTTP1_BROKEN);
		assert_int_equal(http.is_foreign, cases[i].is_foreign);
		http1_fini(&http);
	}
}

static void targets_may_name_their_host(void **state)
{
	static const char *const cases[][2] = {
		{ "GET http://a:1/b HTTP/1.1\r\nHost: A:1\r\n\r\n", "/b" },
		{ "GET HTTPS://a HTTP/1.1\r\nHost: a\r\n\r\n", "/" },
		{ "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "*" },
	};
	struct http1 http;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(feed(&http, cases[i][0]), HTTP1_DONE);
		assert_str(http.request.path, cases[i][1]);
		http1_fini(&http);
	}
}

static void exactly_one_host_is_needed(void **state)
{
	(void)state;
	expect_refused("GET / HTTP/1.1\r\n\r\n", 400);
	expect_refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400);
	expect_refused("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400);
	expect_refused("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400);
}

static char *repeat(const char *head, const char *piece, size_t count, const char *tail)
{
	size_t size = strlen(head) + strlen(piece) * count + strlen(tail) + 1;
	char *text = malloc(size), *at = text;

	assert_non_null(text);
	at = stpcpy(at, head);
	for (size_t i = 0; i < count; i++)
		at = stpcpy(at, piece);
	stpcpy(at, tail);
	return text;
}

static void each_limit_has_its_own_answer(void **state)
{
	struct {
		char *text;
		int status;
	} cases[] = {
		{ repeat("GET /", "a", HTTP1_MAX_TARGET_BYTES, " HTTP/1.1\r\nHost: a\r\n\r\n"),
		  414 },
		{ repeat("GET / HTTP/1.1\r\nHost: a\r\n", "A: b\r\n", HTTP1_MAX_HEADERS, "\r\n"),
		  431 },
		{ repeat("GET / HTTP/1.1\r\nHost: a\r\nX: ", "a", HTTP1_MAX_HEAD_BYTES, "\r\n\r\n"),
		  431 },
		{ repeat("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n", "", 0, "\r\n"),
		  413 },
		{ repeat("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;", "a",
			 HTTP1_MAX_CHUNK_LINE, "\r\n"),
		  400 },
		{ repeat("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
			 "A: b\r\n", HTTP1_MAX_TRAILERS + 1, "\r\n"),
		  431 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		expect_refused(cases[i].text, cases[i].status);
		free(cases[i].text);
	}
}

static void a_body_at_the_limit_passes(void **state)
{
	char *text = repeat("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1024\r\n\r\n", "x",
			    MAX_BODY, "");
	struct http1 http;

	(void)state;
	assert_int_equal(feed(&http, text), HTTP1_DONE);
	assert_int_equal(http.request.body.len, MAX_BODY);
	http1_fini(&http);
	free(text);
}

static void expect_continue_is_seen_before_the_body(void **state)
{
	const char *head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n"
			   "Content-Length: 2\r\n\r\n";
	struct http1 http;

	(void)state;
	http1_init(&http, MAX_BODY);
	assert_int_equal(http1_feed(&http, all(head)), strlen(head));
	assert_int_equal(http.state, HTTP1_BODY);
	assert_true(http.request.expects_continue);
	http1_feed(&http, all("ok"));
	assert_int_equal(http.state, HTTP1_DONE);
	http1_fini(&http);
	head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: x=y, 100-continue\r\nContent-Length: "
	       "2\r\n\r\n";
	http1_init(&http, MAX_BODY);
	assert_int_equal(http1_feed(&http, all(head)), strlen(head));
	assert_true(http.request.expects_continue);
	http1_fini(&http);
}

static void weights_of_zero_are_a_no(void **state)
{
	(void)state;
	assert_true(http1_accepts(all("gzip"), "gzip"));
	assert_true(http1_accepts(all("deflate, GZIP;q=0.5"), "gzip"));
	assert_false(http1_accepts(all("gzip;q=0"), "gzip"));
	assert_false(http1_accepts(all("gzip; q=0.000, br"), "gzip"));
	assert_false(http1_accepts(all("xgzip"), "gzip"));
	assert_false(http1_accepts(all(""), "gzip"));
	assert_int_equal(http1_weight(all("text/plain;q=0.25, */*"), "text/plain"), 250);
	assert_int_equal(http1_weight(all("a/b;version=1;q=0.9"), "a/b"), 900);
	assert_int_equal(http1_weight(all("a/b;q=0.1, a/b;version=1"), "a/b"), 1000);
	assert_int_equal(http1_weight(all("a/b;q=7.5"), "a/b"), 1000);
	assert_int_equal(http1_weight(all("a/b;q=x"), "a/b"), 0);
}

static int decode(const char *text, bool plus_is_space, char out[64])
{
	struct buf buf;
	int rc;

	buf_init(&buf, 63);
	rc = http1_decode(all(text), plus_is_space, &buf);
	if (buf.len)
		memcpy(out, buf.data, buf.len);
	out[buf.len] = '\0';
	buf_fini(&buf);
	return rc;
}

static void escapes_are_decoded_strictly(void **state)
{
	char out[64];

	(void)state;
	assert_int_equal(decode("GET%20%2Freport+a", true, out), 0);
	assert_string_equal(out, "GET /report a");
	assert_int_equal(decode("a+b%c3%A9", false, out), 0);
	assert_string_equal(out, "a+b\xc3\xa9");
	assert_int_not_equal(decode("%", true, out), 0);
	assert_int_not_equal(decode("%4", true, out), 0);
	assert_int_not_equal(decode("%zz", true, out), 0);
	assert_int_not_equal(decode("a%00b", true, out), 0);
	assert_int_not_equal(decode("a%0ab", false, out), 0);
	assert_int_not_equal(decode("a%7fb", false, out), 0);
	assert_int_not_equal(decode("a\nb", true, out), 0);
	assert_int_equal(decode("a%0Ab%09%7f", true, out), 0);
	assert_string_equal(out, "a\nb\t\x7f");
}

static void a_response_says_how_long_it_is(void **state)
{
	struct http1_response response = { .status = 404,
					   .content_type = "text/plain",
					   .headers = "Allow: GET\r\n",
					   .body = STR("gone\n") };
	struct buf out;

	(void)state;
	buf_init(&out, 0);
	http1_respond(&response, false, false, &out);
	assert_str(buf_str(&out), "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n"
				  "Allow: GET\r\nX-Content-Type-Options: nosniff\r\n"
				  "Cache-Control: no-store\r\nContent-Length: 5\r\n"
				  "Connection: close\r\n\r\ngone\n");
	buf_clear(&out);
	http1_respond(&response, true, true, &out);
	assert_null(memmem(out.data, out.len, "gone", 4));
	assert_non_null(memmem(out.data, out.len, "Content-Length: 5\r\n", 19));
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_get_is_read_in_any_pieces),
		cmocka_unit_test(a_body_of_known_length_ends_where_it_says),
		cmocka_unit_test(chunks_are_joined_and_trailers_dropped),
		cmocka_unit_test(pipelined_requests_come_one_at_a_time),
		cmocka_unit_test(http_1_0_closes_unless_it_asks),
		cmocka_unit_test(a_target_that_names_its_host_makes_the_host_header_nothing),
		cmocka_unit_test(what_could_smuggle_a_request_is_refused),
		cmocka_unit_test(malformed_chunks_are_refused),
		cmocka_unit_test(bad_request_lines_are_refused),
		cmocka_unit_test(what_is_not_http_is_known_at_once),
		cmocka_unit_test(targets_may_name_their_host),
		cmocka_unit_test(exactly_one_host_is_needed),
		cmocka_unit_test(each_limit_has_its_own_answer),
		cmocka_unit_test(a_body_at_the_limit_passes),
		cmocka_unit_test(expect_continue_is_seen_before_the_body),
		cmocka_unit_test(weights_of_zero_are_a_no),
		cmocka_unit_test(escapes_are_decoded_strictly),
		cmocka_unit_test(a_response_says_how_long_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
