/* SPDX-License-Identifier: Apache-2.0 */
/* A server on a loop of its own thread, clients on plain sockets; the queries are this file's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collector/address.h"
#include "collector/base/buf.h"
#include "collector/base/compress.h"
#include "collector/base/macros.h"
#include "collector/daemon.h"
#include "collector/http_conn.h"
#include "collector/metrics.h"
#include "collector/query.h"

static struct fixture {
	uv_loop_t loop;
	uv_async_t stop;
	struct http_server *server;
	pthread_t thread;
	char address[64];
	struct metrics metrics;
} fixture;

/* A query for /slow waits here until the test lets it go. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned waiting;
static bool is_open;

struct metrics *daemon_metrics(struct daemon *daemon)
{
	(void)daemon;
	return &fixture.metrics;
}

static void wait_at_gate(void)
{
	pthread_mutex_lock(&gate);
	waiting++;
	pthread_cond_broadcast(&changed);
	while (!is_open)
		pthread_cond_wait(&changed, &gate);
	pthread_mutex_unlock(&gate);
}

bool query_is_long(struct str path)
{
	return str_eq(path, STR("/slow"));
}

void query_run(struct daemon *daemon, struct str path, struct str query, struct str accept,
	       struct answer *answer)
{
	(void)daemon;
	(void)query;
	(void)accept;
	if (str_eq(path, STR("/slow")))
		wait_at_gate();
	answer->has_etag = true;
	buf_append_text(&answer->body, "{\"path\":\"");
	buf_append_str(&answer->body, path);
	buf_append_text(&answer->body, "\"}");
	for (int i = 0; str_eq(path, STR("/large")) && i < 1000; i++)
		buf_append_text(&answer->body, "0123456789");
}

static void on_stop(uv_async_t *async)
{
	http_server_stop(fixture.server);
	uv_close((uv_handle_t *)async, NULL);
}

static void *run_loop(void *arg)
{
	(void)arg;
	uv_run(&fixture.loop, UV_RUN_DEFAULT);
	return NULL;
}

static int start(void **state)
{
	struct http_server_options options = { .loop = &fixture.loop, .address = "127.0.0.1:0" };

	(void)state;
	is_open = false;
	waiting = 0;
	assert_int_equal(uv_loop_init(&fixture.loop), 0);
	assert_int_equal(uv_async_init(&fixture.loop, &fixture.stop, on_stop), 0);
	assert_int_equal(http_server_start(&options, &fixture.server, fixture.address,
					   sizeof(fixture.address)),
			 0);
	return pthread_create(&fixture.thread, NULL, run_loop, NULL);
}

/* The loop runs dry, or uv_loop_close says what was left behind. */
static int stop(void **state)
{
	(void)state;
	uv_async_send(&fixture.stop);
	pthread_join(fixture.thread, NULL);
	return uv_loop_close(&fixture.loop);
}

static int dial(void)
{
	struct timeval timeout = { .tv_sec = 20 };
	struct sockaddr_storage address;
	int fd;

	assert_int_equal(address_parse(fixture.address, &address), 0);
	fd = socket(address.ss_family, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* All until the server closes, and then the socket too. */
static struct buf hear(int fd)
{
	struct buf out;
	ssize_t got;

	buf_init(&out, 0);
	while (buf_reserve(&out, 4096) && (got = recv(fd, out.data + out.len, 4096, 0)) > 0)
		out.len += (size_t)got;
	buf_append_byte(&out, '\0');
	close(fd);
	return out;
}

static struct buf exchange(const char *request)
{
	int fd = dial();

	say(fd, request);
	return hear(fd);
}

#define CLOSE "Host: localhost\r\nConnection: close\r\n\r\n"

static void requests_sent_ahead_are_answered_in_order(void **state)
{
	struct buf out = exchange("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n"
				  "GET /b HTTP/1.1\r\nHost: localhost\r\n\r\n"
				  "GET /c HTTP/1.1\r\n" CLOSE);
	const char *a = strstr(out.data, "\"/a\""), *b = strstr(out.data, "\"/b\"");
	const char *c = strstr(out.data, "\"/c\"");

	(void)state;
	assert_true(a && b && c && a < b && b < c);
	assert_non_null(strstr(b, "Connection: close"));
	buf_fini(&out);
}

static void a_rebound_name_is_turned_away(void **state)
{
	struct buf out =
		exchange("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");

	(void)state;
	assert_non_null(strstr(out.data, "HTTP/1.1 421 "));
	assert_non_null(strstr(out.data, "\"code\":\"wrong_host\""));
	buf_fini(&out);
	out = exchange("GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n"
		       "Connection: close\r\n\r\n");
	assert_non_null(strstr(out.data, "HTTP/1.1 421 "));
	buf_fini(&out);
	out = exchange("GET http://localhost/ HTTP/1.1\r\nHost: evil.example\r\n"
		       "Connection: close\r\n\r\n");
	assert_null(strstr(out.data, "HTTP/1.1 421 "));
	buf_fini(&out);
}

static void other_methods_are_told_which_ones_work(void **state)
{
	struct buf out = exchange("DELETE / HTTP/1.1\r\n" CLOSE);

	(void)state;
	assert_non_null(strstr(out.data, "HTTP/1.1 405 "));
	assert_non_null(strstr(out.data, "Allow: GET, HEAD\r\n"));
	buf_fini(&out);
}

static void a_broken_request_is_answered_before_the_end(void **state)
{
	struct buf out = exchange("nonsense\r\n\r\nand more, never read");

	(void)state;
	assert_non_null(strstr(out.data, "HTTP/1.1 400 "));
	assert_non_null(strstr(out.data, "Connection: close"));
	buf_fini(&out);
}

static void large_answers_are_packed_for_those_who_can_read_it(void **state)
{
	struct buf out = exchange("GET /large HTTP/1.1\r\nAccept-Encoding: gzip\r\n" CLOSE), plain;
	char *body = strstr(out.data, "\r\n\r\n");

	(void)state;
	assert_non_null(body);
	assert_non_null(strstr(out.data, "Content-Encoding: gzip\r\n"));
	buf_init(&plain, 0);
	body += 4;
	assert_int_equal(
		compress_gunzip((struct str){ body, (size_t)(out.data + out.len - 1 - body) },
				&plain),
		0);
	assert_int_equal(plain.len, strlen("{\"path\":\"/large\"}") + 10000);
	buf_fini(&plain);
	buf_fini(&out);
}

static void what_did_not_change_is_not_sent_again(void **state)
{
	struct buf out = exchange("GET /a HTTP/1.1\r\n" CLOSE);
	char *etag = strstr(out.data, "ETag: "), request[256];

	(void)state;
	assert_non_null(etag);
	*strstr(etag, "\r\n") = '\0';
	snprintf(request, sizeof(request), "GET /a HTTP/1.1\r\nIf-None-Match: \"x\", %s\r\n" CLOSE,
		 etag + strlen("ETag: "));
	buf_fini(&out);
	out = exchange(request);
	assert_non_null(strstr(out.data, "HTTP/1.1 304 "));
	assert_null(strstr(out.data, "\"/a\""));
	buf_fini(&out);
	out = exchange("GET /a HTTP/1.1\r\nIf-None-Match: \"x\"\r\n" CLOSE);
	assert_non_null(strstr(out.data, "HTTP/1.1 200 "));
	buf_fini(&out);
}

/* The pool and its queue are full of requests at the gate; then it opens. */
static void too_many_queries_are_told_to_come_again(void **state)
{
	int fds[HTTP_MAX_WORKING];
	struct buf out;
	bool is_refused = false;

	(void)state;
	is_open = false;
	for (int i = 0; i < HTTP_MAX_WORKING; i++) {
		fds[i] = dial();
		say(fds[i], "GET /slow HTTP/1.1\r\n" CLOSE);
	}
	/* Those before it may still be on their way to the loop; then it would wait as they do. */
	for (int i = 0; i < 1000 && !is_refused; i++) {
		struct timeval moment = { .tv_usec = 20000 };
		int fd = dial();

		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof(moment));
		say(fd, "GET /slow HTTP/1.1\r\n" CLOSE);
		out = hear(fd);
		is_refused = strstr(out.data, "HTTP/1.1 429 ") != NULL &&
			     strstr(out.data, "Retry-After: 1\r\n") != NULL;
		buf_fini(&out);
	}
	assert_true(is_refused);
	pthread_mutex_lock(&gate);
	is_open = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&gate);
	for (int i = 0; i < HTTP_MAX_WORKING; i++) {
		out = hear(fds[i]);
		assert_non_null(strstr(out.data, "HTTP/1.1 "));
		buf_fini(&out);
	}
	is_open = false;
	waiting = 0;
}

/* As many long ones as the pool has threads, and more that wait, do not keep a short one. */
static void a_short_query_does_not_wait_for_long_ones(void **state)
{
	int fds[8];
	struct buf out;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = dial();
		say(fds[i], "GET /slow HTTP/1.1\r\n" CLOSE);
	}
	pthread_mutex_lock(&gate);
	while (waiting < 3)
		pthread_cond_wait(&changed, &gate);
	pthread_mutex_unlock(&gate);
	out = exchange("GET /a HTTP/1.1\r\n" CLOSE);
	assert_non_null(strstr(out.data, "\"/a\""));
	buf_fini(&out);
	pthread_mutex_lock(&gate);
	assert_int_equal(waiting, 3);
	is_open = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&gate);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		out = hear(fds[i]);
		assert_non_null(strstr(out.data, "\"/slow\""));
		buf_fini(&out);
	}
}

static void a_client_that_leaves_takes_nobody_along(void **state)
{
	struct buf out;
	int fd = dial();

	(void)state;
	say(fd, "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n");
	close(fd);
	fd = dial();
	say(fd, "GET /a HTT");
	close(fd);
	out = exchange("GET /b HTTP/1.1\r\n" CLOSE);
	assert_non_null(strstr(out.data, "\"/b\""));
	buf_fini(&out);
}

static void stopping_waits_for_the_request_at_work(void **state)
{
	int fd = dial();

	(void)state;
	say(fd, "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
	pthread_mutex_lock(&gate);
	while (!waiting)
		pthread_cond_wait(&changed, &gate);
	uv_async_send(&fixture.stop);
	pthread_mutex_unlock(&gate);
	/* Closed while its request is still at the gate. */
	assert_true(recv(fd, &(char){ 0 }, 1, 0) <= 0);
	pthread_mutex_lock(&gate);
	is_open = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&gate);
	close(fd);
}

static int join_only(void **state)
{
	(void)state;
	pthread_join(fixture.thread, NULL);
	return uv_loop_close(&fixture.loop);
}

static void a_port_in_use_is_an_error(void **state)
{
	struct http_server *second = NULL;
	char bound[64];
	uv_loop_t loop;
	struct http_server_options options = { .loop = &loop, .address = fixture.address };

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(http_server_start(&options, &second, bound, sizeof(bound)), UV_EADDRINUSE);
	assert_null(second);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(requests_sent_ahead_are_answered_in_order, start,
						stop),
		cmocka_unit_test_setup_teardown(a_rebound_name_is_turned_away, start, stop),
		cmocka_unit_test_setup_teardown(other_methods_are_told_which_ones_work, start,
						stop),
		cmocka_unit_test_setup_teardown(a_broken_request_is_answered_before_the_end, start,
						stop),
		cmocka_unit_test_setup_teardown(large_answers_are_packed_for_those_who_can_read_it,
						start, stop),
		cmocka_unit_test_setup_teardown(what_did_not_change_is_not_sent_again, start, stop),
		cmocka_unit_test_setup_teardown(too_many_queries_are_told_to_come_again, start,
						stop),
		cmocka_unit_test_setup_teardown(a_short_query_does_not_wait_for_long_ones, start,
						stop),
		cmocka_unit_test_setup_teardown(a_client_that_leaves_takes_nobody_along, start,
						stop),
		cmocka_unit_test_setup_teardown(stopping_waits_for_the_request_at_work, start,
						join_only),
		cmocka_unit_test_setup_teardown(a_port_in_use_is_an_error, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
