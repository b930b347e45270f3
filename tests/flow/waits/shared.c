/* SPDX-License-Identifier: Apache-2.0 */
/* Locks that processes share: known by the file that they lie in, and where; each process may have
 * them at another address. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "tests/flow/waits/waits.h"

#define FIRST_PAGE 1 /* of the file, that is mapped: it has an offset */

/* What lies there; each on a place of its own. */
struct shared {
	pthread_mutex_t mutex;
	pthread_cond_t condition;
	pthread_rwlock_t readers;
	sem_t semaphore;
	uint32_t word, other;
	atomic_int is_held, is_over;
};

static struct shared *shared;
static int file = -1, segment = -1;
static pthread_mutexattr_t mutex_kind;

static void say_place(int fd, size_t base, const void *address)
{
	struct stat status;

	must(fstat(fd, &status) == 0);
	say_target("shared futex %lu\\\\+0x%lx on %u:%u", (unsigned long)status.st_ino,
		   base + (size_t)((const char *)address - (const char *)shared),
		   major(status.st_dev), minor(status.st_dev));
}

static void share(int fd)
{
	file = fd;
	must(ftruncate(fd, 4 * PAGE) == 0);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, FIRST_PAGE * PAGE);
	must(shared != MAP_FAILED);
	memset(shared, 0, sizeof(*shared));
	pthread_mutexattr_init(&mutex_kind);
	pthread_mutexattr_setpshared(&mutex_kind, PTHREAD_PROCESS_SHARED);
}

static void share_file(void)
{
	share(open_file("shared.db"));
}

static void share_memory(void)
{
	share((int)syscall(SYS_memfd_create, "shared", 0));
}

static void after_sharing(void)
{
	atomic_store(&shared->is_over, 1);
	reap_child();
	munmap(shared, PAGE);
	close(file);
}

/* Another process has it, at an address of its own. */
static void move_away(void)
{
	struct shared *moved =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, FIRST_PAGE * PAGE);

	must(moved != MAP_FAILED && moved != shared);
	shared = moved;
}

static void hold_mutex(void)
{
	move_away();
	must(pthread_mutex_lock(&shared->mutex) == 0);
	atomic_store(&shared->is_held, 1);
	await_wait();
	must(pthread_mutex_unlock(&shared->mutex) == 0);
}

/* Its process ends with it. */
static void die_with_mutex(void)
{
	must(pthread_mutex_lock(&shared->mutex) == 0);
	atomic_store(&shared->is_held, 1);
	await_wait();
}

static void wait_until_held(void (*holder)(void))
{
	say_waker("thread", run_child(holder));
	while (!atomic_load(&shared->is_held))
		pause_ms(1);
}

static void keep_mutex(void (*holder)(void))
{
	must(pthread_mutex_init(&shared->mutex, &mutex_kind) == 0);
	wait_until_held(holder);
	say_place(file, FIRST_PAGE * PAGE, &shared->mutex);
}

static void before_mutex(void)
{
	share_file();
	keep_mutex(hold_mutex);
}

static void before_inheriting(void)
{
	share_memory();
	pthread_mutexattr_setprotocol(&mutex_kind, PTHREAD_PRIO_INHERIT);
	keep_mutex(hold_mutex);
}

static void before_robust(void)
{
	share_memory();
	pthread_mutexattr_setrobust(&mutex_kind, PTHREAD_MUTEX_ROBUST);
	keep_mutex(die_with_mutex);
}

static void wait_mutex(void)
{
	if (pthread_mutex_lock(&shared->mutex) == EOWNERDEAD)
		pthread_mutex_consistent(&shared->mutex);
	pthread_mutex_unlock(&shared->mutex);
}

static void signal_condition(void)
{
	move_away();
	await_wait();
	pthread_mutex_lock(&shared->mutex);
	atomic_store(&shared->is_held, 1);
	pthread_cond_signal(&shared->condition);
	pthread_mutex_unlock(&shared->mutex);
}

static void before_condition(void)
{
	pthread_condattr_t kind;
	struct stat status;

	share_file();
	pthread_condattr_init(&kind);
	pthread_condattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
	must(pthread_cond_init(&shared->condition, &kind) == 0);
	must(pthread_mutex_init(&shared->mutex, &mutex_kind) == 0);
	say_waker("thread", run_child(signal_condition));
	must(fstat(file, &status) == 0);
	say_target("shared futex %lu\\\\+0x1[0-9a-f]+ on .*", (unsigned long)status.st_ino);
}

static void wait_condition(void)
{
	pthread_mutex_lock(&shared->mutex);
	while (!atomic_load(&shared->is_held))
		pthread_cond_wait(&shared->condition, &shared->mutex);
	pthread_mutex_unlock(&shared->mutex);
}

static void hold_readers(void)
{
	move_away();
	pthread_rwlock_wrlock(&shared->readers);
	atomic_store(&shared->is_held, 1);
	await_wait();
	pthread_rwlock_unlock(&shared->readers);
}

static void before_readers(void)
{
	pthread_rwlockattr_t kind;
	struct stat status;

	share_memory();
	pthread_rwlockattr_init(&kind);
	pthread_rwlockattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
	must(pthread_rwlock_init(&shared->readers, &kind) == 0);
	wait_until_held(hold_readers);
	must(fstat(file, &status) == 0);
	say_target("shared futex %lu\\\\+0x1[0-9a-f]+ on .*", (unsigned long)status.st_ino);
}

static void wait_readers(void)
{
	must(pthread_rwlock_rdlock(&shared->readers) == 0);
	pthread_rwlock_unlock(&shared->readers);
}

static void post_semaphore(void)
{
	move_away();
	await_wait();
	sem_post(&shared->semaphore);
}

static void before_semaphore(void)
{
	share_memory();
	must(sem_init(&shared->semaphore, 1, 0) == 0);
	say_waker("thread", run_child(post_semaphore));
	say_place(file, FIRST_PAGE * PAGE, &shared->semaphore);
}

static void wait_semaphore(void)
{
	must(sem_wait(&shared->semaphore) == 0);
}

/* Of a name, in a file that nobody has open any more. */
static sem_t *named;

static void post_named(void)
{
	await_wait();
	sem_post(sem_open("/spanwise-waits", 0));
}

static void before_named(void)
{
	struct stat status;

	sem_unlink("/spanwise-waits");
	named = sem_open("/spanwise-waits", O_CREAT, 0600, 0);
	if (named == SEM_FAILED || stat("/dev/shm/sem.spanwise-waits", &status) < 0) {
		say_missing("no named semaphores");
		return;
	}
	say_waker("thread", run_child(post_named));
	say_target("shared futex %lu\\\\+0x0 on %u:%u", (unsigned long)status.st_ino,
		   major(status.st_dev), minor(status.st_dev));
}

static void wait_named(void)
{
	must(sem_wait(named) == 0);
}

static void after_named(void)
{
	reap_child();
	sem_close(named);
	sem_unlink("/spanwise-waits");
}

/* ---- words */

static void wake_word(void)
{
	shared = shmat(segment, NULL, 0);
	await_wait();
	*(volatile uint32_t *)&shared->word = 1;
	syscall(SYS_futex, &shared->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* System V's: its file's number is the segment's. */
static void before_segment(void)
{
	segment = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
	if (segment < 0) {
		say_missing("no segments");
		return;
	}
	shared = shmat(segment, NULL, 0);
	say_waker("thread", run_child(wake_word));
	say_target("shared futex %d\\\\+0x%zx on 0:[0-9]+", segment, offsetof(struct shared, word));
}

static void wait_word(void)
{
	while (!*(volatile uint32_t *)&shared->word)
		syscall(SYS_futex, &shared->word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void after_segment(void)
{
	reap_child();
	shmdt(shared);
	shmctl(segment, IPC_RMID, NULL);
}

/* A copy of the file's page, which nobody else has, even if it is asked for as if others had. */
static uint32_t *copied;

static void before_copied(void)
{
	int fd = open_file("copied.db");

	copied = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	must(copied != MAP_FAILED);
	copied[0] = 0;
	close(fd);
	say_target("futex 0x%lx", (unsigned long)copied);
	say_waker("timer", 0);
}

static void wait_copied(void)
{
	struct timespec time = { .tv_nsec = WAIT_MS * 1000000 };

	syscall(SYS_futex, copied, FUTEX_WAIT, 0, &time, NULL, 0);
}

static void after_copied(void)
{
	munmap(copied, PAGE);
}

static void wait_requeue(void)
{
	static uint32_t word, to;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += WAIT_MS * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	say_target("futex 0x%lx", (unsigned long)&word);
	say_waker("timer", 0);
	syscall(SYS_futex, &word, FUTEX_WAIT_REQUEUE_PI | FUTEX_PRIVATE_FLAG, 0, &until, &to, 0);
}

static sem_t local;

static void before_local(void)
{
	sem_init(&local, 0, 0);
	say_target("futex 0x%lx", (unsigned long)&local);
}

static void wait_local(void)
{
	must(sem_wait(&local) == 0);
}

static void end_local(void)
{
	say_waker("thread", own_tid());
	sem_post(&local);
}

/* ---- files */

static int told[2];

static void hold_file(void)
{
	int own = open("both.db", O_RDWR);

	must(own >= 0 && lockf(own, F_LOCK, 0) == 0 && flock(own, LOCK_EX) == 0);
	must(write(told[1], "x", 1) == 1);
	await_wait();
	close(own);
}

static void before_file_lock(void)
{
	char byte;

	file = open_file("both.db");
	must(pipe(told) == 0);
	say_waker("thread", run_child(hold_file));
	must(read(told[0], &byte, 1) == 1);
	close(told[0]);
	close(told[1]);
	say_target("file both.db [0-9]+ on [0-9:]+");
}

static void wait_lockf(void)
{
	must(lockf(file, F_LOCK, 0) == 0);
}

static void wait_flock(void)
{
	must(flock(file, LOCK_SH) == 0);
}

static void after_file_lock(void)
{
	reap_child();
	close(file);
}

const struct step shared_steps[] = {
	{ "shared-mutex", "lock", before_mutex, wait_mutex, NULL, after_sharing },
	{ "shared-pi-mutex", "lock", before_inheriting, wait_mutex, NULL, after_sharing },
	{ "shared-robust-mutex", "lock", before_robust, wait_mutex, NULL, after_sharing },
	{ "shared-condition", "lock", before_condition, wait_condition, NULL, after_sharing },
	{ "shared-rwlock", "lock", before_readers, wait_readers, NULL, after_sharing },
	{ "shared-semaphore", "lock", before_semaphore, wait_semaphore, NULL, after_sharing },
	{ "named-semaphore", "lock", before_named, wait_named, NULL, after_named },
	{ "shared-segment", "lock", before_segment, wait_word, NULL, after_segment },
	{ "futex-copied", "lock", before_copied, wait_copied, NULL, after_copied },
	{ "futex-requeue", "lock", NULL, wait_requeue, NULL, NULL },
	{ "semaphore", "lock", before_local, wait_local, end_local, NULL },
	{ "lockf", "lock", before_file_lock, wait_lockf, NULL, after_file_lock },
	{ "flock-shared", "lock", before_file_lock, wait_flock, NULL, after_file_lock },
	{ NULL, NULL, NULL, NULL, NULL, NULL },
};
