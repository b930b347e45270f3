/* SPDX-License-Identifier: Apache-2.0 */
/* Locks: of memory, of files, of System V. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/flow/waits/waits.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#define SYS_FUTEX_WAIT 455

struct waitv {
	uint64_t value, address;
	uint32_t flags, pad;
};
#define WORD_32      2
#define WORD_PRIVATE 128

static pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER, inheriting, robust_local;
static pthread_rwlock_t readers = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static uint32_t words[4];
static int file = -1, again = -1, semaphores = -1;
static atomic_int is_held;

/* ---- somebody else has it for WAIT_MS */

static void wait_until_held(void)
{
	while (!atomic_load(&is_held))
		pause_ms(1);
}

static pthread_t keeper;

static void keep(void *(*hold)(void *))
{
	atomic_store(&is_held, 0);
	must(pthread_create(&keeper, NULL, hold, NULL) == 0);
	wait_until_held();
}

static void end_keeping(void)
{
	pthread_join(keeper, NULL);
}

static void *hold_plain(void *arg)
{
	pthread_mutex_lock(&plain);
	say_waker("thread", own_tid());
	atomic_store(&is_held, 1);
	await_wait();
	pthread_mutex_unlock(&plain);
	return arg;
}

static void before_plain(void)
{
	keep(hold_plain);
	say_target("futex 0x%lx", (unsigned long)&plain);
}

static void wait_plain(void)
{
	pthread_mutex_lock(&plain);
	pthread_mutex_unlock(&plain);
}

static void *hold_inheriting(void *arg)
{
	pthread_mutex_lock(&inheriting);
	say_waker("thread", own_tid());
	atomic_store(&is_held, 1);
	await_wait();
	pthread_mutex_unlock(&inheriting);
	return arg;
}

static void before_inheriting(void)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&inheriting, &attributes);
	keep(hold_inheriting);
	say_target("futex 0x%lx", (unsigned long)&inheriting);
}

static void wait_inheriting(void)
{
	pthread_mutex_lock(&inheriting);
	pthread_mutex_unlock(&inheriting);
}

/* Its owner ends without letting go. */
static void *hold_robust(void *arg)
{
	pthread_mutex_lock(&robust_local);
	say_waker("thread", own_tid());
	atomic_store(&is_held, 1);
	await_wait();
	return arg;
}

static void before_robust(void)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust_local, &attributes);
	keep(hold_robust);
	say_target("futex 0x%lx", (unsigned long)&robust_local);
}

static void wait_robust(void)
{
	pthread_mutex_lock(&robust_local);
	pthread_mutex_consistent(&robust_local);
	pthread_mutex_unlock(&robust_local);
}

static void *hold_readers(void *arg)
{
	pthread_rwlock_rdlock(&readers);
	say_waker("thread", own_tid());
	atomic_store(&is_held, 1);
	await_wait();
	pthread_rwlock_unlock(&readers);
	return arg;
}

static void before_readers(void)
{
	keep(hold_readers);
	say_target("futex 0x[0-9a-f]+");
}

static void wait_readers(void)
{
	pthread_rwlock_wrlock(&readers);
	pthread_rwlock_unlock(&readers);
}

static struct timespec from_now(clockid_t clock, long ms)
{
	struct timespec time;

	clock_gettime(clock, &time);
	time.tv_nsec += ms * 1000000;
	time.tv_sec += time.tv_nsec / 1000000000;
	time.tv_nsec %= 1000000000;
	return time;
}

static void wait_condition(void)
{
	struct timespec until = from_now(CLOCK_REALTIME, WAIT_MS);

	say_target("futex 0x[0-9a-f]+");
	say_waker("timer", 0);
	pthread_mutex_lock(&plain);
	pthread_cond_timedwait(&condition, &plain, &until);
	pthread_mutex_unlock(&plain);
}

static bool is_signalled;

static void wait_signalled(void)
{
	say_target("futex 0x[0-9a-f]+");
	pthread_mutex_lock(&plain);
	while (!is_signalled)
		pthread_cond_wait(&condition, &plain);
	pthread_mutex_unlock(&plain);
}

static void signal_condition(void)
{
	say_waker("thread", own_tid());
	pthread_mutex_lock(&plain);
	is_signalled = true;
	pthread_mutex_unlock(&plain);
	pthread_cond_broadcast(&condition);
}

static void *hold_for_writing(void *arg)
{
	pthread_rwlock_wrlock(&readers);
	say_waker("thread", own_tid());
	atomic_store(&is_held, 1);
	await_wait();
	pthread_rwlock_unlock(&readers);
	return arg;
}

static void before_writer(void)
{
	keep(hold_for_writing);
	say_target("futex 0x[0-9a-f]+");
}

static void wait_writer(void)
{
	pthread_rwlock_rdlock(&readers);
	pthread_rwlock_unlock(&readers);
}

/* Longer than it is waited for. */
static void *hold_inheriting_long(void *arg)
{
	pthread_mutex_lock(&inheriting);
	atomic_store(&is_held, 1);
	await_wait();
	pause_ms(4 * WAIT_MS);
	pthread_mutex_unlock(&inheriting);
	return arg;
}

static void before_inheriting_timed(void)
{
	keep(hold_inheriting_long);
	say_target("futex 0x%lx", (unsigned long)&inheriting);
	say_waker("timer", 0);
}

static void wait_inheriting_timed(void)
{
	struct timespec until = from_now(CLOCK_REALTIME, WAIT_MS);

	must(pthread_mutex_timedlock(&inheriting, &until) == ETIMEDOUT);
}

static void before_barrier(void)
{
	pthread_barrier_init(&barrier, NULL, 2);
	say_target("futex 0x[0-9a-f]+");
}

static void pass_barrier(void)
{
	pthread_barrier_wait(&barrier);
}

static void *nap(void *arg)
{
	say_waker("thread", own_tid());
	await_wait();
	return arg;
}

static void wait_join(void)
{
	pthread_t thread;

	say_target("futex 0x[0-9a-f]+");
	must(pthread_create(&thread, NULL, nap, NULL) == 0);
	pthread_join(thread, NULL);
}

/* ---- words */

static void wait_bitset(void)
{
	struct timespec until = from_now(CLOCK_MONOTONIC, WAIT_MS);

	say_target("futex 0x%lx", (unsigned long)&words[0]);
	say_waker("timer", 0);
	syscall(SYS_futex, &words[0], FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, &until, NULL,
		FUTEX_BITSET_MATCH_ANY);
}

static void wait_vector(unsigned count)
{
	struct timespec until = from_now(CLOCK_MONOTONIC, WAIT_MS);
	struct waitv vector[2] = { { 0, (uintptr_t)&words[1], WORD_32 | WORD_PRIVATE, 0 },
				   { 0, (uintptr_t)&words[2], WORD_32 | WORD_PRIVATE, 0 } };

	must(syscall(SYS_futex_waitv, vector, count, 0, &until, CLOCK_MONOTONIC) < 0);
}

static void wait_vector_of_one(void)
{
	say_target("futex 0x%lx", (unsigned long)&words[1]);
	wait_vector(1);
}

static void wait_vector_of_two(void)
{
	say_target("futex 0x%lx or 1 other", (unsigned long)&words[1]);
	wait_vector(2);
}

static void wait_futex2(void)
{
	struct timespec until = from_now(CLOCK_MONOTONIC, WAIT_MS);

	say_target("futex 0x%lx", (unsigned long)&words[3]);
	syscall(SYS_FUTEX_WAIT, &words[3], 0ul, ~0u, WORD_32 | WORD_PRIVATE, &until,
		CLOCK_MONOTONIC);
}

/* One word in the memory of two processes; a child wakes. */
static uint32_t *shared;

static void wake_shared(void)
{
	await_wait();
	*(volatile uint32_t *)shared = 1;
	syscall(SYS_futex, shared, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void before_shared(void)
{
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	say_target("shared futex [0-9]+\\\\+0x0 on 0:[0-9]+");
	say_waker("thread", run_child(wake_shared));
}

static void wait_shared(void)
{
	while (!*(volatile uint32_t *)shared)
		syscall(SYS_futex, shared, FUTEX_WAIT, 0, NULL, NULL, 0);
}

/* ---- files */

static void before_file_lock(void)
{
	if (file < 0) {
		file = open_file("guarded.db");
		again = open("guarded.db", O_RDWR);
	}
	say_target("file guarded.db [0-9]+ on [0-9:]+");
}

static void before_flock(void)
{
	before_file_lock();
	flock(again, LOCK_EX);
}

static void wait_flock(void)
{
	flock(file, LOCK_EX);
	flock(file, LOCK_UN);
}

static void end_flock(void)
{
	say_waker("thread", own_tid());
	flock(again, LOCK_UN);
}

static struct flock whole(short type)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET };
}

static void before_open_lock(void)
{
	struct flock lock = whole(F_WRLCK);

	before_file_lock();
	must(fcntl(again, F_OFD_SETLKW, &lock) == 0);
}

static void wait_open_lock(void)
{
	struct flock lock = whole(F_WRLCK);

	must(fcntl(file, F_OFD_SETLKW, &lock) == 0);
	lock.l_type = F_UNLCK;
	fcntl(file, F_OFD_SETLKW, &lock);
}

static void end_open_lock(void)
{
	struct flock lock = whole(F_UNLCK);

	say_waker("thread", own_tid());
	fcntl(again, F_OFD_SETLKW, &lock);
}

static int told[2];

static void hold_posix_lock(void)
{
	struct flock lock = whole(F_WRLCK);
	int own = open("guarded.db", O_RDWR);

	must(fcntl(own, F_SETLKW, &lock) == 0);
	must(write(told[1], "x", 1) == 1);
	await_wait();
}

static void before_posix_lock(void)
{
	char byte;

	before_file_lock();
	must(pipe(told) == 0);
	say_waker("thread", run_child(hold_posix_lock));
	must(read(told[0], &byte, 1) == 1);
}

static void wait_posix_lock(void)
{
	struct flock lock = whole(F_WRLCK);

	must(fcntl(file, F_SETLKW, &lock) == 0);
	lock.l_type = F_UNLCK;
	fcntl(file, F_SETLKW, &lock);
}

/* ---- System V */

static void before_semaphore(void)
{
	semaphores = semget(IPC_PRIVATE, 1, 0600);
	must(semaphores >= 0);
	say_target("semaphore set %d", semaphores);
}

static void wait_semaphore(void)
{
	struct sembuf take = { .sem_op = -1 };

	semop(semaphores, &take, 1);
}

static void wait_semaphore_timed(void)
{
	struct sembuf take = { .sem_op = -1 };
	struct timespec time = { .tv_nsec = WAIT_MS * 1000000 };

	say_waker("timer", 0);
	semtimedop(semaphores, &take, 1, &time);
}

static void end_semaphore(void)
{
	struct sembuf give = { .sem_op = 1 };

	say_waker("thread", own_tid());
	semop(semaphores, &give, 1);
}

static void drop_semaphore(void)
{
	semctl(semaphores, 0, IPC_RMID);
}

const struct step lock_steps[] = {
	{ "mutex", "lock", before_plain, wait_plain, NULL, end_keeping },
	{ "pi-mutex", "lock", before_inheriting, wait_inheriting, NULL, end_keeping },
	{ "robust-mutex", "lock", before_robust, wait_robust, NULL, end_keeping },
	{ "pi-mutex-timed", "lock", before_inheriting_timed, wait_inheriting_timed, NULL,
	  end_keeping },
	{ "rwlock", "lock", before_readers, wait_readers, NULL, end_keeping },
	{ "rwlock-reader", "lock", before_writer, wait_writer, NULL, end_keeping },
	{ "cond-timed", "lock", NULL, wait_condition, NULL, NULL },
	{ "cond", "lock", NULL, wait_signalled, signal_condition, NULL },
	{ "barrier", "lock", before_barrier, pass_barrier, pass_barrier, NULL },
	{ "join", "lock", NULL, wait_join, NULL, NULL },
	{ "futex-bitset", "lock", NULL, wait_bitset, NULL, NULL },
	{ "futex_waitv-1", "lock", NULL, wait_vector_of_one, NULL, NULL },
	{ "futex_waitv-2", "lock", NULL, wait_vector_of_two, NULL, NULL },
	{ "futex_wait", "lock", NULL, wait_futex2, NULL, NULL },
	{ "futex-shared", "lock", before_shared, wait_shared, NULL, reap_child },
	{ "flock", "lock", before_flock, wait_flock, end_flock, NULL },
	{ "ofd-lock", "lock", before_open_lock, wait_open_lock, end_open_lock, NULL },
	{ "posix-lock", "lock", before_posix_lock, wait_posix_lock, NULL, reap_child },
	{ "semop", "lock", before_semaphore, wait_semaphore, end_semaphore, drop_semaphore },
	{ "semtimedop", "lock", before_semaphore, wait_semaphore_timed, NULL, drop_semaphore },
	{ NULL, NULL, NULL, NULL, NULL, NULL },
};
