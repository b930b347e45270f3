/* SPDX-License-Identifier: Apache-2.0 */
/* Services made by chance: what a span does next is drawn, from everything that a thread may do.
 * Other draws with another number in TRUTH_SEED. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/accuracy/scenario.h"

#define CREW         3
#define DRIVERS      3
#define MOST_ACTIONS 6 /* of a span */
#define MOST_DEPTH   4
#define MOST_PARTS   8 /* that a span has others do, at once */
#define MOST_JOBS    256
#define FILE_BYTES   4096
#define TOUCHED      ((size_t)256 << 10)

/* What a span does, and what it has asked others to do and must wait for. */
struct scene {
	struct truth_span *span;
	int depth;
	bool may_ask; /* the crew asks nobody: who waits for a full crew waits for ever */
	int pending;  /* under the crew's lock */
	pthread_t threads[MOST_PARTS];
	int thread_count, asked;
};

struct job {
	struct scene *from;
	struct truth_span *begun; /* handed over; NULL: it makes its own */
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t has_job, is_done;
	struct job jobs[MOST_JOBS];
	unsigned count;
	bool is_started;
} crew = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.has_job = PTHREAD_COND_INITIALIZER,
	.is_done = PTHREAD_COND_INITIALIZER,
};

static pthread_mutex_t common = PTHREAD_MUTEX_INITIALIZER;

static void play(struct truth_span *span, int depth, bool may_ask);

static void spin(void)
{
	truth_spin_ns(truth_length_ns(5 * US, 2 * MS));
}

static void nap(void)
{
	scenario_sleep_ns(truth_length_ns(20 * US, 3 * MS));
}

/* ---- others: a crew of threads, and threads made for one part */

static void do_job(const struct job *job)
{
	struct truth_span *span = job->begun;

	if (!span)
		span = truth_open_below("asked", job->from->span);
	else
		truth_enter(span);
	play(span, job->from->depth + 1, false);
	if (!job->begun) {
		truth_close(span);
		return;
	}
	truth_leave(span);
	truth_end(span);
}

static void *crew_main(void *unused)
{
	pthread_mutex_lock(&crew.lock);
	for (;;) {
		struct job job;

		while (!crew.count)
			pthread_cond_wait(&crew.has_job, &crew.lock);
		job = crew.jobs[--crew.count];
		pthread_mutex_unlock(&crew.lock);
		do_job(&job);
		pthread_mutex_lock(&crew.lock);
		job.from->pending--;
		pthread_cond_broadcast(&crew.is_done);
	}
	return unused;
}

static void ask(struct scene *scene, struct truth_span *begun)
{
	pthread_mutex_lock(&crew.lock);
	scenario_check(crew.count < MOST_JOBS, "jobs");
	crew.jobs[crew.count++] = (struct job){ scene, begun };
	scene->pending++;
	scene->asked++;
	pthread_cond_signal(&crew.has_job);
	pthread_mutex_unlock(&crew.lock);
}

static void wait_for_all(struct scene *scene)
{
	pthread_mutex_lock(&crew.lock);
	while (scene->pending)
		pthread_cond_wait(&crew.is_done, &crew.lock);
	pthread_mutex_unlock(&crew.lock);
	while (scene->thread_count)
		pthread_join(scene->threads[--scene->thread_count], NULL);
	scene->asked = 0;
}

static void hand_over(struct scene *scene)
{
	struct truth_span *span = truth_begin("handed", scene->span);

	truth_enter(span);
	spin();
	truth_leave(span);
	ask(scene, span);
}

static void *thread_main(void *arg)
{
	struct scene *scene = arg;
	struct truth_span *span = truth_open_below("on-a-thread", scene->span);

	play(span, scene->depth + 1, scene->may_ask);
	truth_close(span);
	return NULL;
}

static void make_thread(struct scene *scene)
{
	if (scene->thread_count == MOST_PARTS)
		wait_for_all(scene);
	scenario_check(pthread_create(&scene->threads[scene->thread_count++], NULL, thread_main,
				      scene) == 0,
		       "thread");
}

/* ---- alone */

static void be_parent(struct scene *scene)
{
	struct truth_span *span = truth_open("within");

	play(span, scene->depth + 1, scene->may_ask);
	truth_close(span);
}

static void show_late(void)
{
	struct truth_span *span = truth_open_detached("shown-late");

	truth_spin_ns(truth_length_ns(1 * US, 50 * US));
	truth_show(span);
	spin();
	truth_hide(span);
	truth_spin_ns(truth_length_ns(1 * US, 50 * US));
	truth_close_detached(span);
}

static void hide_one(void)
{
	struct truth_span *span = truth_open("unsampled");

	span->is_unexported = 1;
	spin();
	if (truth_between(0, 1))
		show_late();
	else
		nap();
	spin();
	truth_close(span);
}

static void hold_the_lock(void)
{
	pthread_mutex_lock(&common);
	if (truth_between(0, 1))
		truth_spin_ns(truth_length_ns(5 * US, 300 * US));
	else
		scenario_sleep_ns(truth_length_ns(20 * US, 500 * US));
	pthread_mutex_unlock(&common);
}

static void change_cpu(void)
{
	cpu_set_t all, one;

	sched_getaffinity(0, sizeof(all), &all);
	CPU_ZERO(&one);
	CPU_SET(truth_between(0, (uint64_t)sysconf(_SC_NPROCESSORS_ONLN) - 1), &one);
	sched_setaffinity(0, sizeof(one), &one);
	truth_spin_ns(truth_length_ns(5 * US, 200 * US));
	sched_setaffinity(0, sizeof(all), &all);
}

static void touch_memory(void)
{
	char *memory =
		mmap(NULL, TOUCHED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	scenario_check(memory != MAP_FAILED, "memory");
	for (size_t i = 0; i < TOUCHED; i += FILE_BYTES)
		((volatile char *)memory)[i] = 1;
	munmap(memory, TOUCHED);
}

static void write_file(void)
{
	char name[] = "/var/tmp/spanwise-chance-XXXXXX";
	static const char bytes[FILE_BYTES];
	int file = mkstemp(name);

	scenario_check(file >= 0, "file");
	unlink(name);
	scenario_check(write(file, bytes, sizeof(bytes)) == sizeof(bytes), "write");
	fdatasync(file);
	close(file);
}

/* The child has its parent's span at first, and then some of its own. */
static void fork_off(void)
{
	pid_t child = fork();
	int status;

	scenario_check(child >= 0, "fork");
	if (child == 0) {
		spin();
		for (int i = 0; i < 2; i++) {
			struct truth_span *span = truth_open_below("forked", NULL);

			spin();
			nap();
			truth_close(span);
		}
		_exit(0);
	}
	if (truth_between(0, 1))
		spin();
	scenario_check(waitpid(child, &status, 0) == child && status == 0, "child");
}

/* ---- what comes next */

static void act_alone(void)
{
	switch (truth_between(0, 12)) {
	case 0:
		sched_yield();
		break;
	case 1:
		change_cpu();
		break;
	case 2:
		touch_memory();
		break;
	case 3:
		show_late();
		break;
	case 4:
	case 5:
		hold_the_lock();
		break;
	case 6:
	case 7:
	case 8:
		nap();
		break;
	case 9:
		if (truth_between(0, 9) == 0)
			write_file();
		break;
	default:
		spin();
	}
}

static void act_with_others(struct scene *scene)
{
	switch (truth_between(0, 7)) {
	case 0:
		make_thread(scene);
		break;
	case 1:
		if (scene->may_ask && scene->asked < MOST_PARTS)
			hand_over(scene);
		break;
	case 2:
	case 3:
		if (scene->may_ask && scene->asked < MOST_PARTS)
			ask(scene, NULL);
		if (truth_between(0, 1))
			wait_for_all(scene);
		break;
	case 4:
		hide_one();
		break;
	case 5:
		if (truth_between(0, 5) == 0)
			fork_off();
		break;
	default:
		be_parent(scene);
	}
}

/* On a thread that carries the span. All that it began is over when this returns. */
static void play(struct truth_span *span, int depth, bool may_ask)
{
	struct scene scene = { .span = span, .depth = depth, .may_ask = may_ask };
	uint64_t actions = truth_between(1, MOST_ACTIONS);

	for (uint64_t i = 0; i < actions; i++) {
		if (depth < MOST_DEPTH && truth_between(0, 2) == 0)
			act_with_others(&scene);
		else
			act_alone();
	}
	wait_for_all(&scene);
}

static void play_root(struct truth_span *root)
{
	play(root, 0, true);
}

static void by_chance(void)
{
	pthread_t one;

	for (int i = 0; i < CREW && !crew.is_started; i++)
		scenario_check(pthread_create(&one, NULL, crew_main, NULL) == 0, "thread");
	crew.is_started = true;
	scenario_drive(DRIVERS, play_root, nap);
}

const struct scenario scenario_chance[] = {
	{ .name = "chance", .turn = by_chance },
	{ .name = NULL },
};
