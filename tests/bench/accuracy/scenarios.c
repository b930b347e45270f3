/* SPDX-License-Identifier: Apache-2.0 */
/* The programs of the bench: truth_scenarios NAME SPANS runs one and prints spans and truths. */
#include <errno.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/accuracy/scenario.h"

/* ---- a partner: asked over a pipe or a connection, it answers after a while ---- */

struct partner {
	int ask_fd, answer_fd;  /* ours */
	int asked_fd, reply_fd; /* the partner's */
	_Atomic uint32_t *word; /* not NULL: the answer is a futex, not a byte */
	pthread_t thread;
};

static void futex(_Atomic uint32_t *word, int operation, uint32_t value)
{
	syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void *partner_main(void *arg)
{
	struct partner *partner = arg;
	uint64_t delay_ns;

	while (read(partner->asked_fd, &delay_ns, sizeof(delay_ns)) == sizeof(delay_ns)) {
		scenario_sleep_ns(delay_ns);
		if (partner->word) {
			atomic_store(partner->word, 1);
			futex(partner->word, FUTEX_WAKE, 1);
		} else if (write(partner->reply_fd, "!", 1) != 1) {
			break;
		}
	}
	return NULL;
}

static void partner_ask(struct partner *partner, uint64_t delay_ns)
{
	if (partner->word)
		atomic_store(partner->word, 0);
	scenario_check(write(partner->ask_fd, &delay_ns, sizeof(delay_ns)) == sizeof(delay_ns),
		       "ask");
}

static void partner_wait(struct partner *partner)
{
	char byte;

	truth_wait_begin();
	if (partner->word) {
		while (atomic_load(partner->word) == 0)
			futex(partner->word, FUTEX_WAIT, 0);
	} else {
		scenario_check(read(partner->answer_fd, &byte, 1) == 1, "answer");
	}
	truth_wait_end();
}

static void partner_over_pipes(struct partner *partner)
{
	int there[2], back[2];

	scenario_check(pipe(there) == 0 && pipe(back) == 0, "pipe");
	*partner = (struct partner){
		.ask_fd = there[1], .answer_fd = back[0], .asked_fd = there[0], .reply_fd = back[1]
	};
}

static void partner_over_tcp(struct partner *partner)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), ours = socket(AF_INET, SOCK_STREAM, 0);
	int theirs;

	scenario_check(bind(listener, (struct sockaddr *)&address, length) == 0 &&
			       listen(listener, 1) == 0 &&
			       getsockname(listener, (struct sockaddr *)&address, &length) == 0,
		       "listen");
	scenario_check(connect(ours, (struct sockaddr *)&address, length) == 0, "connect");
	theirs = accept(listener, NULL, NULL);
	scenario_check(theirs >= 0, "accept");
	close(listener);
	*partner = (struct partner){
		.ask_fd = ours, .answer_fd = ours, .asked_fd = theirs, .reply_fd = theirs
	};
}

/* ---- scenarios: each turn makes at least one root span ---- */

static struct partner partner;
static _Atomic uint32_t partner_word;

static void spin(void)
{
	struct truth_span *span = truth_open("spin");

	truth_spin_ns(truth_length_ns(50 * US, 100 * MS));
	truth_close(span);
}

/* Its process ends with the last one, so that nothing comes after it to be seen by. */
static void last_breath(void)
{
	struct truth_span *span = truth_open("last");

	truth_spin_ns(truth_length_ns(50 * US, 2 * MS));
	truth_close(span);
}

static void nap(void)
{
	struct truth_span *span = truth_open("sleep");

	truth_spin_ns(truth_length_ns(20 * US, 5 * MS));
	truth_wait_begin();
	scenario_sleep_ns(truth_length_ns(50 * US, 80 * MS));
	truth_wait_end();
	truth_spin_ns(truth_length_ns(20 * US, 5 * MS));
	truth_close(span);
}

static void ask_partner(const char *name)
{
	struct truth_span *span = truth_open(name);

	truth_spin_ns(truth_length_ns(20 * US, 5 * MS));
	for (uint64_t left = truth_between(1, 4); left > 0; left--) {
		partner_ask(&partner, truth_length_ns(20 * US, 20 * MS));
		partner_wait(&partner);
		truth_spin_ns(truth_length_ns(10 * US, 1 * MS));
	}
	truth_close(span);
}

static void futex_wait(void)
{
	ask_partner("futex");
}

static void pipe_wait(void)
{
	ask_partner("pipe");
}

static void tcp_wait(void)
{
	ask_partner("tcp");
}

static void nest(unsigned depth)
{
	static const char *const names[] = { "level 0", "level 1", "level 2", "level 3",
					     "level 4" };
	struct truth_span *span = truth_open(names[depth]);

	truth_spin_ns(truth_length_ns(20 * US, 2 * MS));
	if (depth < 4)
		nest(depth + 1);
	truth_wait_begin();
	scenario_sleep_ns(truth_length_ns(20 * US, 2 * MS));
	truth_wait_end();
	truth_spin_ns(truth_length_ns(20 * US, 1 * MS));
	truth_close(span);
}

static void nested(void)
{
	nest(0);
}

static void back_to_back(void)
{
	struct truth_span *root = truth_open("request");

	for (int i = 0; i < 20; i++) {
		struct truth_span *span = truth_open("step");

		truth_spin_ns(truth_length_ns(5 * US, 500 * US));
		truth_close(span);
	}
	truth_close(root);
}

static const struct scenario scenarios[] = {
	{ .name = "spin", .turn = spin },
	{ .name = "sleep", .turn = nap },
	{ .name = "futex",
	  .turn = futex_wait,
	  .connect = partner_over_pipes,
	  .word = &partner_word },
	{ .name = "pipe", .turn = pipe_wait, .connect = partner_over_pipes },
	{ .name = "tcp", .turn = tcp_wait, .connect = partner_over_tcp },
	{ .name = "nested", .turn = nested },
	{ .name = "back-to-back", .turn = back_to_back },
	{ .name = "exit", .turn = last_breath, .ends_at_once = 1 },
};

static void run(const struct scenario *scenario, long turns, const char *service)
{
	scenario_check(spanwise_process_init(service, NULL) == 0, "process context");
	if (scenario->connect) {
		scenario->connect(&partner);
		partner.word = scenario->word;
		scenario_check(pthread_create(&partner.thread, NULL, partner_main, &partner) == 0,
			       "thread");
	}
	scenario_wait_until_found();
	for (long i = 0; i < turns; i++) {
		scenario->turn();
		truth_spin_ns(truth_between(5 * US, 50 * US));
	}
	if (!scenario->ends_at_once)
		scenario_sleep_ns(20 * MS); /* a service lives on */
	truth_print();
}

static const struct scenario *find(const char *name)
{
	const struct scenario *const others[] = {
		scenario_styles, scenario_rough,   scenario_odd,      scenario_wild,
		scenario_chance, scenario_medley,  scenario_relays,   scenario_fibers,
		scenario_pools,  scenario_raw,     scenario_slips,    scenario_crossed,
		scenario_alike,  scenario_outside, scenario_replicas, scenario_strangers
	};

	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		if (strcmp(name, scenarios[i].name) == 0)
			return &scenarios[i];
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		for (const struct scenario *other = others[i]; other->name; other++) {
			if (strcmp(name, other->name) == 0)
				return other;
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const struct scenario *scenario = argc == 4 ? find(argv[1]) : NULL;
	struct truth_span *open = truth_resume();

	if (!scenario) {
		fprintf(stderr, "usage: truth_scenarios SCENARIO TURNS SERVICE\n");
		return 2;
	}
	scenario_arguments = argv;
	if (open && scenario->resumed) {
		scenario->resumed(open);
		return 0;
	}
	run(scenario, strtol(argv[2], NULL, 10), argv[3]);
	return 0;
}
