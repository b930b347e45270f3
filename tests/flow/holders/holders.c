/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that want one lock, of every kind, and know who had it when: "first" takes it, "second"
 * and "last" wait for it. With a fourth, "thief", who takes it as "first" lets go, before "second",
 * which is woken for it, can: so the last one to wait is "second".
 *
 *   flow_holders SERVICE LOCK [thief]       spans, then a line for each that had it */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/accuracy/truth.h"

#define HOLD_MS 60

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static sem_t semaphore;

/* A lock made of a condition. */
static pthread_cond_t is_free = PTHREAD_COND_INITIALIZER;
static int is_taken;

static void must(int is_done, const char *what)
{
	if (!is_done) {
		perror(what);
		abort();
	}
}

static void make_mutex(int type, int protocol, int robust)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, type);
	pthread_mutexattr_setprotocol(&attributes, protocol);
	pthread_mutexattr_setrobust(&attributes, robust);
	must(pthread_mutex_init(&mutex, &attributes) == 0, "mutex");
}

static void make_plain(void)
{
	make_mutex(PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED);
}

static void make_recursive(void)
{
	make_mutex(PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED);
}

static void make_checking(void)
{
	make_mutex(PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED);
}

static void make_adaptive(void)
{
	make_mutex(PTHREAD_MUTEX_ADAPTIVE_NP, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED);
}

static void make_inheriting(void)
{
	make_mutex(PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT, PTHREAD_MUTEX_STALLED);
}

static void make_robust(void)
{
	make_mutex(PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST);
}

static void make_semaphore(void)
{
	must(sem_init(&semaphore, 0, 1) == 0, "semaphore");
}

static int try_mutex(void)
{
	return pthread_mutex_trylock(&mutex) == 0;
}

static void lock_mutex(void)
{
	pthread_mutex_lock(&mutex);
}

static void unlock_mutex(void)
{
	pthread_mutex_unlock(&mutex);
}

/* Twice, as recursive ones may. */
static void lock_twice(void)
{
	pthread_mutex_lock(&mutex);
	pthread_mutex_lock(&mutex);
}

static void unlock_twice(void)
{
	pthread_mutex_unlock(&mutex);
	pthread_mutex_unlock(&mutex);
}

static int try_write(void)
{
	return pthread_rwlock_trywrlock(&rwlock) == 0;
}

static void lock_write(void)
{
	pthread_rwlock_wrlock(&rwlock);
}

static void unlock_rwlock(void)
{
	pthread_rwlock_unlock(&rwlock);
}

static int try_semaphore(void)
{
	return sem_trywait(&semaphore) == 0;
}

static void take_semaphore(void)
{
	sem_wait(&semaphore);
}

static void give_semaphore(void)
{
	sem_post(&semaphore);
}

static int try_condition(void)
{
	pthread_mutex_lock(&mutex);
	int is_mine = !is_taken;

	is_taken = 1;
	pthread_mutex_unlock(&mutex);
	return is_mine;
}

static void take_condition(void)
{
	pthread_mutex_lock(&mutex);
	while (is_taken)
		pthread_cond_wait(&is_free, &mutex);
	is_taken = 1;
	pthread_mutex_unlock(&mutex);
}

static void give_condition(void)
{
	pthread_mutex_lock(&mutex);
	is_taken = 0;
	pthread_cond_signal(&is_free);
	pthread_mutex_unlock(&mutex);
}

/* Of a file; each has opened it for itself. */
static char file_name[] = "/tmp/spanwise-holders-XXXXXX";
static _Thread_local int file = -1;

static void make_file(void)
{
	int made = mkstemp(file_name);

	must(made >= 0, file_name);
	close(made);
}

static int own_file(void)
{
	if (file < 0)
		file = open(file_name, O_RDWR | O_CLOEXEC);
	must(file >= 0, file_name);
	return file;
}

static int try_flock(void)
{
	return flock(own_file(), LOCK_EX | LOCK_NB) == 0;
}

static void take_flock(void)
{
	must(flock(own_file(), LOCK_EX) == 0, "flock");
}

static void give_flock(void)
{
	flock(own_file(), LOCK_UN);
}

static int record(int call, short type)
{
	struct flock whole = { .l_type = type, .l_whence = SEEK_SET };

	return fcntl(own_file(), call, &whole);
}

static int try_record(void)
{
	return record(F_OFD_SETLK, F_WRLCK) == 0;
}

static void take_record(void)
{
	must(record(F_OFD_SETLKW, F_WRLCK) == 0, "fcntl");
}

static void give_record(void)
{
	record(F_OFD_SETLK, F_UNLCK);
}

static const struct lock {
	const char *name;
	void (*make)(void);
	int (*try)(void);
	void (*take)(void);
	void (*give)(void);
} locks[] = {
	{ "plain", make_plain, try_mutex, lock_mutex, unlock_mutex },
	{ "recursive", make_recursive, try_mutex, lock_twice, unlock_twice },
	{ "checking", make_checking, try_mutex, lock_mutex, unlock_mutex },
	{ "adaptive", make_adaptive, try_mutex, lock_mutex, unlock_mutex },
	{ "inheriting", make_inheriting, try_mutex, lock_mutex, unlock_mutex },
	{ "robust", make_robust, try_mutex, lock_mutex, unlock_mutex },
	{ "rwlock", make_plain, try_write, lock_write, unlock_rwlock },
	{ "semaphore", make_semaphore, try_semaphore, take_semaphore, give_semaphore },
	{ "condition", make_plain, try_condition, take_condition, give_condition },
	{ "flock", make_file, try_flock, take_flock, give_flock },
	{ "record", make_file, try_record, take_record, give_record },
};

static const struct lock *lock;

static void sleep_ms(long ms)
{
	struct timespec time = { .tv_nsec = ms * 1000000 };

	nanosleep(&time, NULL);
}

/* ---- who wants it */

static struct part {
	const char *name;
	pthread_t thread;
	atomic_int tid, has_it;
	struct truth_span *span;
	uint64_t from_ns, to_ns, gone_ns; /* CLOCK_MONOTONIC; it lets go between the last two */
} first = { .name = "first" }, second = { .name = "second" }, last = { .name = "last" },
  thief = { .name = "thief" };

static atomic_int may_go;

static void begin(struct part *part)
{
	part->span = truth_open(part->name);
	atomic_store(&part->tid, (int)syscall(SYS_gettid));
}

static void hold(struct part *part)
{
	part->from_ns = truth_now_ns();
	atomic_store(&part->has_it, 1);
	while (part == &first && !atomic_load(&may_go))
		sleep_ms(1);
	sleep_ms(HOLD_MS);
	part->to_ns = truth_now_ns();
	lock->give();
	part->gone_ns = truth_now_ns();
	truth_close(part->span);
}

static void *want(void *arg)
{
	struct part *part = arg;

	begin(part);
	lock->take();
	hold(part);
	return NULL;
}

static void *steal(void *arg)
{
	struct part *part = arg;

	begin(part);
	while (!lock->try())
		;
	hold(part);
	return NULL;
}

static int is_asleep(int tid)
{
	char path[64], text[512] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	file = fopen(path, "r");
	must(file && fgets(text, sizeof(text), file), path);
	fclose(file);
	return strrchr(text, ')')[2] == 'S';
}

static void start(struct part *part, void *(*run)(void *))
{
	must(pthread_create(&part->thread, NULL, run, part) == 0, "thread");
	while (!atomic_load(&part->tid))
		sleep_ms(1);
	while (run == want && !atomic_load(&part->has_it) && !is_asleep(part->tid))
		sleep_ms(1);
}

static void tell(const struct part *part)
{
	if (part->tid)
		printf("{\"part\":\"%s\",\"tid\":%d,\"from_ns\":%llu,\"to_ns\":%llu,"
		       "\"gone_ns\":%llu}\n",
		       part->name, part->tid, (unsigned long long)part->from_ns,
		       (unsigned long long)part->to_ns, (unsigned long long)part->gone_ns);
}

int main(int argc, char **argv)
{
	struct part *all[] = { &first, &second, &last, &thief };

	must(argc >= 3 && spanwise_process_init(argv[1], NULL) == 0, "start");
	for (size_t i = 0; i < sizeof(locks) / sizeof(locks[0]); i++)
		if (strcmp(locks[i].name, argv[2]) == 0)
			lock = &locks[i];
	must(lock != NULL, argv[2]);
	must(getchar() != EOF, "cue");
	lock->make();
	start(&first, want);
	start(&second, want);
	start(&last, want);
	if (argc > 3)
		start(&thief, steal);
	atomic_store(&may_go, 1);
	for (size_t i = 0; i < 4; i++)
		if (all[i]->tid)
			pthread_join(all[i]->thread, NULL);
	if (lock->make == make_file)
		unlink(file_name);
	truth_print();
	for (size_t i = 0; i < 4; i++)
		tell(all[i]);
	return 0;
}
