/* SPDX-License-Identifier: Apache-2.0 */
/* Spans of threads that help each other: what a thread shows is not always below what it showed. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/bench/accuracy/scenario.h"

#define GAME_TURNS 6
#define HELPERS    3
#define MOST_TASKS 512
#define EXIT_NS    (60 * US) /* of a thread's end, where nothing tells how long it took */
#define GONE_NS    (1 * MS)  /* a thread that was joined has left its CPU */
#define ACCOUNT    "/sys/fs/cgroup/cpuacct/spanwise-truth"
#define ALARM_US   700

/* ---- what a thread shows, whatever it showed before: no stack, as truth_open's */

static _Thread_local struct truth_span *shown;
static _Thread_local uint64_t since_cpu_ns;

/* Who was shown until now had the thread, and all above it. */
static void show(struct truth_span *span)
{
	uint64_t now = truth_cpu_ns();

	for (struct truth_span *s = shown; s; s = s->parent)
		s->cpu_ns += now - since_cpu_ns;
	shown = span;
	since_cpu_ns = now;
}

static void loosen(struct truth_span *span, uint64_t slack_ns)
{
	for (; span; span = span->parent)
		span->cpu_slack_ns += slack_ns;
}

/* Between a span's edge and the moment at which it shows, either may count what the thread burns:
 * an interrupt, at times, that takes 20 us and more. */
static struct truth_span *begin_shown(const char *name, struct truth_span *parent)
{
	struct truth_span *before = shown, *span;
	uint64_t cpu_ns = truth_cpu_ns(), way_ns;

	span = truth_begin(name, parent);
	show(span);
	spanwise_attach(span->trace_id, span->span_id, 1, &span->token);
	way_ns = truth_cpu_ns() - cpu_ns;
	loosen(span, way_ns);
	loosen(before, way_ns);
	return span;
}

static void end_shown(struct truth_span *span, struct truth_span *next)
{
	uint64_t cpu_ns = truth_cpu_ns(), way_ns;

	spanwise_detach(&span->token);
	truth_end(span);
	show(next);
	way_ns = truth_cpu_ns() - cpu_ns;
	loosen(span, way_ns);
	loosen(next, way_ns);
}

/* ---- one span that two threads hand to each other by a condition */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t turned;
	struct truth_span *span; /* the other one's turn; NULL: ours */
	bool is_started;
} game = { .lock = PTHREAD_MUTEX_INITIALIZER, .turned = PTHREAD_COND_INITIALIZER };

static void *partner_main(void *unused)
{
	pthread_mutex_lock(&game.lock);
	for (;;) {
		while (!game.span)
			pthread_cond_wait(&game.turned, &game.lock);
		truth_enter(game.span);
		scenario_spin(5 * US, 500 * US);
		truth_leave(game.span);
		game.span = NULL;
		pthread_cond_signal(&game.turned);
	}
	return unused;
}

static void ping_pong(void)
{
	struct truth_span *span = truth_begin("ball", NULL);
	pthread_t thread;

	if (!game.is_started)
		scenario_check(pthread_create(&thread, NULL, partner_main, NULL) == 0, "thread");
	game.is_started = true;
	for (int i = 0; i < GAME_TURNS; i++) {
		truth_enter(span);
		scenario_spin(5 * US, 500 * US);
		truth_leave(span);
		pthread_mutex_lock(&game.lock);
		game.span = span;
		pthread_cond_signal(&game.turned);
		while (game.span)
			pthread_cond_wait(&game.turned, &game.lock);
		pthread_mutex_unlock(&game.lock);
	}
	truth_end(span);
}

/* ---- work stealing: who waits for the parts of its task does others' meanwhile, on its own stack
 */

struct task {
	struct truth_span *parent;
	_Atomic int *pending; /* of whoever waits for it */
	int depth;
};

static struct {
	pthread_mutex_t lock;
	struct task tasks[MOST_TASKS]; /* the youngest last */
	unsigned count;
	bool is_started;
} stock = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void put_task(struct truth_span *parent, _Atomic int *pending, int depth)
{
	pthread_mutex_lock(&stock.lock);
	scenario_check(stock.count < MOST_TASKS, "tasks");
	atomic_fetch_add(pending, 1);
	stock.tasks[stock.count++] = (struct task){ parent, pending, depth };
	pthread_mutex_unlock(&stock.lock);
}

static bool take_task(struct task *out)
{
	bool is_there;

	pthread_mutex_lock(&stock.lock);
	is_there = stock.count > 0;
	if (is_there && truth_between(0, 1)) { /* the oldest: stolen */
		*out = stock.tasks[0];
		stock.tasks[0] = stock.tasks[--stock.count];
	} else if (is_there) {
		*out = stock.tasks[--stock.count];
	}
	pthread_mutex_unlock(&stock.lock);
	return is_there;
}

static void help_until_done(_Atomic int *pending);

static void do_task(const struct task *task)
{
	struct truth_span *before = shown, *span = begin_shown("task", task->parent);
	_Atomic int pending = 0;

	scenario_spin(10 * US, 500 * US);
	if (task->depth < 2 && truth_between(0, 1)) {
		put_task(span, &pending, task->depth + 1);
		put_task(span, &pending, task->depth + 1);
		help_until_done(&pending);
		scenario_spin(5 * US, 100 * US);
	}
	end_shown(span, before);
	atomic_fetch_sub(task->pending, 1);
}

static void help_until_done(_Atomic int *pending)
{
	struct task task;

	while (!pending || atomic_load(pending)) {
		if (take_task(&task))
			do_task(&task);
		else
			scenario_sleep_ns(100 * US);
	}
}

static void *helper_main(void *unused)
{
	help_until_done(NULL);
	return unused;
}

static void stealing(void)
{
	struct truth_span *root = begin_shown("request", NULL);
	_Atomic int pending = 0;
	pthread_t thread;

	for (int i = 0; !stock.is_started && i < HELPERS; i++)
		scenario_check(pthread_create(&thread, NULL, helper_main, NULL) == 0, "thread");
	stock.is_started = true;
	scenario_spin(5 * US, 100 * US);
	for (uint64_t tasks = truth_between(1, 5); tasks > 0; tasks--)
		put_task(root, &pending, 0);
	help_until_done(&pending);
	scenario_spin(5 * US, 100 * US);
	end_shown(root, NULL);
}

/* ---- a thread that ends in the middle of its span, which another one ends */

/* Its span is on to a thread's last instruction, after which it can read no clock: the scheduler
 * adds up what a group of threads has burned. 0: it does not, here. */
static uint64_t account_ns(void)
{
	FILE *file = fopen(ACCOUNT "/cpuacct.usage", "r");
	unsigned long long ns = 0;

	if (file && fscanf(file, "%llu", &ns) != 1)
		ns = 0;
	if (file)
		fclose(file);
	return ns;
}

static bool join_account(void)
{
	int file = open(ACCOUNT "/tasks", O_WRONLY | O_CLOEXEC);
	bool is_in = file >= 0 && write(file, "0", 1) == 1;

	if (file >= 0)
		close(file);
	return is_in;
}

struct leaver {
	struct truth_span *span;
	uint64_t entered_cpu_ns, left_cpu_ns;
	uint64_t ahead_ns; /* the account is, of the thread's clock */
	bool is_accounted;
};

/* Reading the thread's clock brings the account up to date. */
static void *leaver_main(void *arg)
{
	struct leaver *leaver = arg;

	leaver->is_accounted = join_account();
	leaver->ahead_ns = UINT64_MAX;
	for (int i = 0; i < 3 && leaver->is_accounted; i++) {
		uint64_t cpu_ns = truth_cpu_ns(), ahead_ns = account_ns() - cpu_ns;

		leaver->ahead_ns = ahead_ns < leaver->ahead_ns ? ahead_ns : leaver->ahead_ns;
	}
	truth_enter(leaver->span);
	leaver->entered_cpu_ns = leaver->span->entered_cpu_ns;
	scenario_spin(20 * US, 1 * MS);
	leaver->left_cpu_ns = truth_cpu_ns();
	return NULL;
}

static void exits_within(void)
{
	struct leaver leaver = { .span = truth_begin("left", NULL) };
	pthread_t thread;

	mkdir(ACCOUNT, 0755);
	scenario_check(pthread_create(&thread, NULL, leaver_main, &leaver) == 0, "thread");
	pthread_join(thread, NULL);
	scenario_sleep_ns(GONE_NS);
	if (leaver.is_accounted)
		leaver.left_cpu_ns = account_ns() - leaver.ahead_ns;
	leaver.span->cpu_ns += leaver.left_cpu_ns - leaver.entered_cpu_ns;
	leaver.span->cpu_slack_ns += leaver.is_accounted ? 0 : EXIT_NS;
	rmdir(ACCOUNT);
	scenario_spin(20 * US, 500 * US);
	truth_end(leaver.span);
}

/* ---- a signal handler with a trace of its own */

static volatile sig_atomic_t is_armed;

static void on_alarm(int unused)
{
	struct truth_span *before = shown, *span;

	(void)unused;
	if (!is_armed)
		return;
	is_armed = 0;
	span = begin_shown("handler", NULL);
	truth_spin_ns(100 * US);
	end_shown(span, before);
	is_armed = 1;
}

static void alarmed(void)
{
	const struct itimerval often = { { 0, ALARM_US }, { 0, ALARM_US } },
			       never = { { 0, 0 }, { 0, 0 } };
	struct truth_span *span, *step;

	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &often, NULL);
	span = begin_shown("request", NULL);
	for (int i = 0; i < 3; i++) {
		step = begin_shown("step", span);
		is_armed = 1;
		scenario_spin(50 * US, 3 * MS);
		is_armed = 0;
		end_shown(step, span);
	}
	end_shown(span, NULL);
	setitimer(ITIMER_REAL, &never, NULL);
}

const struct scenario scenario_odd[] = {
	{ .name = "ping-pong", .turn = ping_pong },
	{ .name = "stealing", .turn = stealing },
	{ .name = "exits-within", .turn = exits_within },
	{ .name = "alarmed", .turn = alarmed },
	{ .name = NULL },
};
