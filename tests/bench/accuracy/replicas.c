/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that say the same of themselves: a service that runs twice on a machine, a master that
 * exports what others do, a service that is started anew. */
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/accuracy/scenario.h"

#define CALLS 6

static void wait_for(pid_t child)
{
	int status;

	scenario_check(child > 0 && waitpid(child, &status, 0) == child && status == 0, "child");
}

/* ---- a service that runs in two containers, each the first process of its own, and calls itself
 */

struct call {
	struct truth_span *span;
};

static const char *claims; /* what the replicas say of themselves */

static void handle(struct truth_span *client)
{
	struct truth_span *server = truth_make("server", client), *part;

	server->is_entry = 1;
	server->kind = "server";
	server->resource = claims;
	truth_open_made(server);
	scenario_spin(5 * US, 200 * US);
	if (truth_one_in(2)) {
		part = truth_open("part");
		part->resource = claims;
		scenario_spin(5 * US, 100 * US);
		truth_close(part);
	}
	if (truth_one_in(3))
		scenario_nap(20 * US, 500 * US);
	truth_close(server);
}

static void be_called(int fd)
{
	struct call call;

	while (read(fd, &call, sizeof(call)) == sizeof(call)) {
		handle(call.span);
		scenario_check(write(fd, "", 1) == 1, "answer");
	}
	_exit(0);
}

static void call_replica(int fd)
{
	struct truth_span *request = truth_open_below("request", NULL), *client;
	struct call call;
	char answer;

	request->resource = claims;
	scenario_spin(5 * US, 200 * US);
	client = truth_open("client");
	client->resource = claims;
	client->kind = "client";
	call.span = client;
	scenario_check(write(fd, &call, sizeof(call)) == sizeof(call), "call");
	if (truth_one_in(3))
		scenario_spin(5 * US, 500 * US);
	truth_wait_begin();
	scenario_check(read(fd, &answer, 1) == 1, "answer");
	truth_wait_end();
	truth_close(client);
	scenario_spin(5 * US, 200 * US);
	truth_close(request);
}

static void be_replica(int fd, bool asks)
{
	if (!asks)
		be_called(fd);
	for (int i = 0; i < CALLS; i++) {
		call_replica(fd);
		if (truth_one_in(2))
			scenario_sleep_ns(truth_length_ns(20 * US, 1 * MS));
	}
	close(fd);
	_exit(0);
}

static void contain(int ours, int other, bool asks)
{
	pid_t child;

	close(other);
	scenario_check(unshare(CLONE_NEWPID) == 0, "process ids");
	child = fork();
	if (child == 0) {
		if (asks)
			scenario_sleep_ns(60 * MS); /* both are found */
		truth_between(0, 1);
		be_replica(ours, asks);
	}
	close(ours);
	wait_for(child);
	_exit(0);
}

static void run_replicas(const char *resource)
{
	pid_t children[2];
	int pair[2];

	claims = resource;
	scenario_check(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0, "sockets");
	for (int i = 0; i < 2; i++) {
		children[i] = fork();
		if (children[i] == 0)
			contain(pair[i], pair[!i], i);
	}
	close(pair[0]);
	close(pair[1]);
	for (int i = 0; i < 2; i++)
		wait_for(children[i]);
	truth_between(0, 1);
}

static void replicas(void)
{
	run_replicas("{\"process.pid\":1}");
}

static void nameless(void)
{
	run_replicas("{}");
}

/* ---- spans that another process exports, which has spans of its own */

static void be_worker(void)
{
	for (int i = 0; i < CALLS; i++) {
		struct truth_span *span = truth_open_below("work", NULL);

		scenario_spin(5 * US, 300 * US);
		scenario_nap_now_and_then();
		if (truth_one_in(2)) {
			struct truth_span *part = truth_open("part");

			scenario_spin(5 * US, 100 * US);
			truth_close(part);
		}
		truth_close(span);
		scenario_pause();
	}
}

static void forwarded(void)
{
	pid_t children[2];

	for (int i = 0; i < 2; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			truth_between(0, 1);
			for (int k = 0; k <= i; k++)
				truth_between(0, 1);
			scenario_sleep_ns(60 * MS);
			be_worker();
			_exit(0);
		}
	}
	scenario_sleep_ns(60 * MS);
	be_worker();
	for (int i = 0; i < 2; i++)
		wait_for(children[i]);
	truth_between(0, 1);
}

/* ---- a service that is started anew all the time, and says the same of itself */

static void restarted(void)
{
	pid_t child = fork();

	if (child == 0) {
		claims = "{\"service.instance.id\":\"shop-1\"}";
		truth_between(0, 1);
		for (int i = 0; i < 10; i++) {
			struct truth_span *span = truth_open_below("work", NULL);

			span->resource = claims;
			scenario_spin(5 * US, 300 * US);
			scenario_nap_now_and_then();
			truth_close(span);
			scenario_pause();
		}
		_exit(0);
	}
	wait_for(child);
	truth_between(0, 1);
}

const struct scenario scenario_replicas[] = {
	{ .name = "replicas", .turn = replicas },
	{ .name = "nameless", .turn = nameless },
	{ .name = "forwarded", .turn = forwarded },
	{ .name = "restarted", .turn = restarted },
	{ .name = NULL },
};
