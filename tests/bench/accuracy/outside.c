/* SPDX-License-Identifier: Apache-2.0 */
/* What others do: a writer that keeps a record for each span, requests that come in from elsewhere
 * several at a time, a service that calls itself, ids that are counted, libraries with resources of
 * their own, spans that nobody shows on threads that show something else. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/accuracy/scenario.h"
#include "tests/bench/accuracy/shown.h"

#define CALLS   6
#define THREADS 3

/* They run it side by side; returns when all have. */
static void run_at_once(void *(*run)(void *))
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		scenario_check(pthread_create(&threads[i], NULL, run, NULL) == 0, "thread");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* ---- requests of one trace that come in at once from a node that exports nothing */

static _Atomic int left_to_come;

static void *serve_main(void *arg)
{
	struct truth_span *gateway = arg;

	while (atomic_fetch_sub(&left_to_come, 1) > 0) {
		struct truth_span *server = truth_make("server", gateway), *part;

		server->kind = truth_one_in(2) ? "server" : NULL;
		truth_open_made(server);
		scenario_spin(5 * US, 500 * US);
		scenario_nap_now_and_then();
		for (int i = (int)truth_between(0, 2); i > 0; i--) {
			part = truth_open("part");
			scenario_spin(5 * US, 300 * US);
			scenario_nap_now_and_then();
			truth_close(part);
		}
		truth_close(server);
		scenario_pause();
	}
	return NULL;
}

static void come_in(bool share_parent)
{
	struct truth_span *gateway = truth_make("gateway", NULL);
	pthread_t threads[THREADS];

	gateway->is_unexported = 1;
	gateway->is_open = 0;
	atomic_store(&left_to_come, 9);
	for (int i = 0; i < THREADS; i++) {
		struct truth_span *parent = gateway;

		if (!share_parent) {
			parent = truth_make("far client", gateway);
			parent->is_unexported = 1;
		}
		scenario_check(pthread_create(&threads[i], NULL, serve_main, parent) == 0,
			       "thread");
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void come_in_at_once(void)
{
	come_in(truth_one_in(2));
}

/* ---- a service that calls itself over a socket: client and server spans of one process */

struct call {
	struct truth_span *span;
};

static void *self_main(void *arg)
{
	int fd = *(int *)arg;
	struct call call;

	while (read(fd, &call, sizeof(call)) == sizeof(call)) {
		struct truth_span *server = shown_begin("server", call.span), *part;

		server->kind = "server";
		shown_show(server);
		shown_spin();
		scenario_pause(); /* not a wait of the client, which may be at work meanwhile */
		if (truth_one_in(2)) {
			part = shown_enter("part", server);
			shown_spin();
			shown_end(part);
			shown_show(server);
		}
		shown_end(server);
		shown_show(NULL);
		if (truth_one_in(2))
			shown_spin(); /* logs, after the end */
		scenario_check(write(fd, "", 1) == 1, "answer");
		if (truth_one_in(2))
			shown_spin();
	}
	return NULL;
}

static void self_call(void)
{
	pthread_t server;
	int pair[2];

	scenario_check(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0, "sockets");
	scenario_check(pthread_create(&server, NULL, self_main, &pair[1]) == 0, "thread");
	for (int i = 0; i < CALLS; i++) {
		struct truth_span *request = shown_enter("request", NULL), *client;
		struct call call;
		char answer;

		shown_spin();
		client = shown_begin("client", request);
		client->kind = "client";
		if (truth_one_in(2))
			shown_show(client);
		call.span = client;
		scenario_check(write(pair[0], &call, sizeof(call)) == sizeof(call), "call");
		if (truth_one_in(3))
			shown_spin();
		scenario_check(read(pair[0], &answer, 1) == 1, "answer");
		shown_end(client);
		shown_show(request);
		shown_spin();
		shown_end(request);
		shown_show(NULL);
	}
	close(pair[0]);
	pthread_join(server, NULL);
	close(pair[1]);
}

/* ---- all that a process does is of one trace, without a root; ids are counted anew in each trace
 */

static void count_ids(struct truth_span *span, uint64_t number)
{
	memset(span->span_id, 0, sizeof(span->span_id));
	for (int i = 0; i < 8; i++)
		span->span_id[7 - i] = (uint8_t)(number >> (8 * i));
}

static struct {
	uint8_t trace_id[16];
	_Atomic uint64_t ids;
} counted;

static struct truth_span *make_counted(const char *name, struct truth_span *parent)
{
	struct truth_span *span = truth_make(name, parent);

	memcpy(span->trace_id, counted.trace_id, sizeof(span->trace_id));
	count_ids(span, atomic_fetch_add(&counted.ids, 1) + 1);
	if (parent)
		memcpy(span->parent_id, parent->span_id, sizeof(span->parent_id));
	return span;
}

static void *counted_main(void *unused)
{
	for (int i = 0; i < CALLS; i++) {
		struct truth_span *root = make_counted("root", NULL), *part;

		truth_open_made(root);
		scenario_spin(5 * US, 500 * US);
		for (int k = (int)truth_between(0, 3); k > 0; k--) {
			part = make_counted("part", root);
			truth_open_made(part);
			scenario_spin(5 * US, 200 * US);
			scenario_nap_now_and_then();
			truth_close(part);
		}
		scenario_nap_now_and_then();
		truth_close(root);
		scenario_pause();
	}
	return unused;
}

static void counted_ids(void)
{
	static uint64_t traces;

	if (!traces)
		traces = truth_now_ns() / 1000;
	traces++;
	memset(&counted, 0, sizeof(counted));
	for (int i = 0; i < 8; i++) /* 64 bits, as of old */
		counted.trace_id[15 - i] = (uint8_t)(traces >> (8 * i));
	run_at_once(counted_main);
}

/* ---- a writer that keeps a record with each span, made anew from those of spans that are over:
 * the variable points to it while the thread has the span, and nothing is ever written in place */

struct record {
	uint8_t trace_id[16], span_id[8];
	volatile uint8_t valid;
	uint8_t flags;
	uint16_t attrs_bytes;
	struct record *next;
} __attribute__((aligned(8)));

extern __thread void *volatile otel_thread_ctx_v1;

static struct {
	pthread_mutex_t lock;
	struct record *free;
} records = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct record *take_record(const struct truth_span *span)
{
	static struct record all[64];
	static size_t made;
	struct record *record;

	pthread_mutex_lock(&records.lock);
	record = records.free;
	if (record)
		records.free = record->next;
	else
		record = &all[made++ % 64];
	pthread_mutex_unlock(&records.lock);
	memcpy(record->trace_id, span->trace_id, sizeof(record->trace_id));
	memcpy(record->span_id, span->span_id, sizeof(record->span_id));
	record->valid = 1;
	return record;
}

static void give_record(struct record *record)
{
	pthread_mutex_lock(&records.lock);
	record->next = records.free;
	records.free = record;
	pthread_mutex_unlock(&records.lock);
}

static void play_recorded(int depth)
{
	struct truth_span *span =
		depth ? truth_open_detached("part") : truth_open_detached("recorded");
	struct record *record = take_record(span);
	void *before = otel_thread_ctx_v1;

	otel_thread_ctx_v1 = record;
	scenario_spin(5 * US, 500 * US);
	scenario_nap_now_and_then();
	for (int i = depth < 3 ? (int)truth_between(0, 3) : 0; i > 0; i--) {
		play_recorded(depth + 1);
		if (truth_one_in(2))
			scenario_spin(5 * US, 300 * US);
	}
	otel_thread_ctx_v1 = before;
	truth_close_detached(span);
	give_record(record);
}

static void *recorded_main(void *unused)
{
	otel_thread_ctx_v1 = NULL;
	for (int i = 0; i < 3; i++) {
		play_recorded(0);
		if (truth_one_in(2))
			scenario_spin(5 * US, 300 * US);
	}
	return unused;
}

static void recorded(void)
{
	run_at_once(recorded_main);
}

/* ---- libraries with a resource of their own, in one process */

static void *library_main(void *unused)
{
	static const char *const names[] = { "{\"service.name\":\"front\"}",
					     "{\"service.name\":\"back\"}" };

	for (int i = 0; i < 6; i++) {
		struct truth_span *root = truth_open_below("root", NULL), *part, *deeper;

		root->resource = names[i % 2];
		scenario_spin(5 * US, 300 * US);
		for (int k = (int)truth_between(0, 3); k > 0; k--) {
			part = truth_open("part");
			part->resource = names[k % 2];
			scenario_spin(5 * US, 200 * US);
			scenario_nap_now_and_then();
			if (truth_one_in(2)) {
				deeper = truth_open("deeper");
				deeper->resource = names[truth_between(0, 1)];
				scenario_spin(5 * US, 100 * US);
				truth_close(deeper);
			}
			truth_close(part);
		}
		truth_close(root);
		scenario_nap_now_and_then();
	}
	return unused;
}

static void libraries(void)
{
	run_at_once(library_main);
}

/* ---- a thread that shows a span long after that is over, and has others that it never shows */

static void *leaking_main(void *unused)
{
	struct truth_span *leaked = truth_open_below("leaked", NULL);

	scenario_spin(20 * US, 200 * US);
	truth_close(leaked);
	spanwise_publish(leaked->trace_id, leaked->span_id, 1);
	for (int i = 0; i < 6; i++) {
		struct truth_span *span = truth_open_detached("unshown"), *part;

		scenario_spin(5 * US, 500 * US);
		scenario_nap_now_and_then();
		part = truth_open_detached("part");
		scenario_spin(5 * US, 200 * US);
		truth_close_detached(part);
		scenario_nap_now_and_then();
		truth_close_detached(span);
		scenario_spin(5 * US, 100 * US);
	}
	return unused;
}

static void leaking(void)
{
	run_at_once(leaking_main);
}

const struct scenario scenario_outside[] = {
	{ .name = "come-in", .turn = come_in_at_once },
	{ .name = "self-call", .turn = self_call },
	{ .name = "counted-ids", .turn = counted_ids },
	{ .name = "recorded", .turn = recorded },
	{ .name = "libraries", .turn = libraries },
	{ .name = "leaking", .turn = leaking },
	{ .name = NULL },
};
