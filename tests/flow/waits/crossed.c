/* SPDX-License-Identifier: Apache-2.0 */
/* Waits that end otherwise than they were meant to, or have to do with two things at once: the room
 * of the one end and the bytes of the other, a lock and who ends with it, one child of several. */
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/flow/waits/sockets.h"
#include "tests/flow/waits/waits.h"

static char block[65536];

static unsigned long inode_of(int fd)
{
	struct stat status;

	must(fstat(fd, &status) == 0);
	return status.st_ino;
}

/* ---- from one descriptor to another, without room there */

static int from[2], to[2], file = -1;

static void before_full_pipe(void)
{
	must(pipe(from) == 0 && pipe(to) == 0);
	must(write(from[1], "x", 1) == 1);
	must(fcntl(to[1], F_SETFL, O_NONBLOCK) == 0);
	while (write(to[1], block, PAGE) > 0)
		;
	must(fcntl(to[1], F_SETFL, 0) == 0);
	say_target("pipe %lu", inode_of(to[0]));
}

static void before_full_from_file(void)
{
	before_full_pipe();
	file = open_file("pages.bin");
	lseek(file, 0, SEEK_SET);
}

static void before_full_from_socket(void)
{
	open_tcp();
	drain_tcp();
	before_full_pipe();
	must(send(tcp[1], block, 1, 0) == 1);
}

static void wait_splice(void)
{
	must(splice(from[0], NULL, to[1], NULL, 1, 0) == 1);
}

static void wait_tee(void)
{
	must(tee(from[0], to[1], 1, 0) == 1);
}

static void wait_sendfile(void)
{
	must(sendfile(to[1], file, NULL, 1) == 1);
}

static void wait_splice_file(void)
{
	must(splice(file, NULL, to[1], NULL, 1, 0) == 1);
}

static void wait_splice_socket(void)
{
	must(splice(tcp[0], NULL, to[1], NULL, 1, 0) == 1);
}

static void end_full_pipe(void)
{
	say_waker("thread", own_tid());
	must(read(to[0], block, 2 * PAGE) > 0);
}

static void after_pipes(void)
{
	for (int i = 0; i < 2; i++) {
		close(from[i]);
		close(to[i]);
	}
}

static void after_file(void)
{
	close(file);
	after_pipes();
}

static void before_full_socket(void)
{
	before_tcp();
	must(pipe(from) == 0 && pipe(to) == 0 && write(from[1], "x", 1) == 1);
	while (send(tcp[0], block, sizeof(block), MSG_DONTWAIT) > 0)
		;
}

static void wait_full_socket(void)
{
	must(splice(from[0], NULL, tcp[0], NULL, 1, 0) == 1);
}

static void after_full_socket(void)
{
	drain_tcp();
	after_pipes();
}

/* ---- interrupted */

static pthread_t player;

static void do_nothing(int number)
{
	(void)number;
}

static void before_interrupted(void)
{
	struct sigaction action = { .sa_handler = do_nothing };

	must(sigaction(SIGUSR2, &action, NULL) == 0 && sigaction(SIGALRM, &action, NULL) == 0);
	player = pthread_self();
}

static void wait_interrupted(void)
{
	struct timespec time = { .tv_sec = 60 };

	must(nanosleep(&time, NULL) < 0);
}

static void before_interrupted_pipe(void)
{
	before_interrupted();
	must(pipe(from) == 0 && pipe(to) == 0);
	say_target("pipe %lu", inode_of(from[0]));
}

static void wait_interrupted_pipe(void)
{
	must(read(from[0], block, 1) < 0);
}

static void interrupt(void)
{
	say_waker("thread", own_tid());
	pthread_kill(player, SIGUSR2);
}

/* A signal that nobody sends. */
static void wait_alarm(void)
{
	const struct itimerval time = { .it_value = { .tv_usec = WAIT_MS * 1000 } };
	sigset_t none;

	sigemptyset(&none);
	say_waker("timer", 0);
	must(setitimer(ITIMER_REAL, &time, NULL) == 0);
	sigsuspend(&none);
}

/* ---- locks */

static uint32_t condition, inheriting;

static void wait_requeued(void)
{
	say_target("futex 0x%lx", (unsigned long)&condition);
	syscall(SYS_futex, &condition, FUTEX_WAIT_REQUEUE_PI | FUTEX_PRIVATE_FLAG, 0, NULL,
		&inheriting, 0);
	inheriting = 0;
}

static void end_requeued(void)
{
	say_waker("thread", own_tid());
	syscall(SYS_futex, &condition, FUTEX_CMP_REQUEUE_PI | FUTEX_PRIVATE_FLAG, 1, 0, &inheriting,
		0);
}

/* The same word at two places of one process. */
static int memory;
static volatile uint32_t *low, *high;

static void before_mapped_twice(void)
{
	memory = (int)syscall(SYS_memfd_create, "prices", 0);
	must(memory >= 0 && ftruncate(memory, 4 * PAGE) == 0);
	low = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	high = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 2 * PAGE);
	must(low != MAP_FAILED && high != MAP_FAILED);
	say_target("shared futex %lu\\\\+0x2010 on 0:[0-9]+", inode_of(memory));
}

static void wait_mapped_twice(void)
{
	while (!high[4])
		syscall(SYS_futex, high + 4, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void end_mapped_twice(void)
{
	volatile uint32_t *word = low + 2 * PAGE / sizeof(*low) + 4;

	say_waker("thread", own_tid());
	*word = 1;
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void after_mapped_twice(void)
{
	munmap((void *)(uintptr_t)low, 4 * PAGE);
	munmap((void *)(uintptr_t)high, PAGE);
	close(memory);
}

static int set;

static void change_set(unsigned short number, short by, short flags)
{
	struct sembuf change = { .sem_num = number, .sem_op = by, .sem_flg = flags };

	must(semop(set, &change, 1) == 0);
}

static void before_zero(void)
{
	set = semget(IPC_PRIVATE, 2, 0600);
	must(set >= 0);
	change_set(1, 1, 0);
	say_target("semaphore set %d", set);
}

static void wait_zero(void)
{
	struct sembuf both[2] = { { .sem_num = 0 }, { .sem_num = 1 } };

	must(semop(set, both, 2) == 0);
}

static void end_zero(void)
{
	say_waker("thread", own_tid());
	change_set(1, -1, 0);
}

static void after_set(void)
{
	semctl(set, 0, IPC_RMID);
}

/* Who ends lets go. */
static atomic_bool *is_held;

static void await_held(void (*hold)(void))
{
	is_held = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(is_held != MAP_FAILED);
	say_waker("thread", run_child(hold));
	while (!atomic_load(is_held))
		pause_ms(1);
}

static void hold_set(void)
{
	change_set(0, -1, SEM_UNDO);
	atomic_store(is_held, true);
	await_wait();
}

static void before_undone(void)
{
	set = semget(IPC_PRIVATE, 1, 0600);
	must(set >= 0);
	change_set(0, 1, 0);
	await_held(hold_set);
	say_target("semaphore set %d", set);
}

static void wait_undone(void)
{
	change_set(0, -1, 0);
}

static void after_undone(void)
{
	reap_child();
	after_set();
}

static struct flock part_from(short type, off_t start, off_t bytes)
{
	return (struct flock){
		.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = bytes
	};
}

static void hold_part(void)
{
	struct flock part = part_from(F_WRLCK, 100, 10);
	int own = open("parts.db", O_RDWR);

	must(own >= 0 && fcntl(own, F_SETLKW, &part) == 0);
	atomic_store(is_held, true);
	await_wait();
}

static void before_part(void)
{
	file = open_file("parts.db");
	await_held(hold_part);
	say_target("file parts.db [0-9]+ on [0-9:]+");
}

static void wait_part(void)
{
	struct flock part = part_from(F_RDLCK, 105, 50);

	must(fcntl(file, F_SETLKW, &part) == 0);
}

static void after_part(void)
{
	reap_child();
	close(file);
}

/* ---- children */

static void end_later(void)
{
	await_begin();
	pause_ms(4 * WAIT_MS);
}

static void before_children(void)
{
	run_child(end_later);
	int first = run_child(await_wait);

	run_child(end_later);
	child = first;
	say_target("child %d", first);
	say_waker("thread", first);
}

static void wait_child(void)
{
	must(waitpid(child, NULL, 0) == child);
}

static void before_group(void)
{
	say_waker("thread", run_child(await_wait));
	say_target("any child");
}

static void wait_group(void)
{
	must(waitpid(0, NULL, 0) == child);
}

static void after_children(void)
{
	while (waitpid(-1, NULL, 0) > 0)
		;
}

/* ---- pollers of pollers, and pages that others read */

static int inner, outer;

static void before_nested(void)
{
	struct epoll_event interest = { .events = EPOLLIN };

	must(pipe(from) == 0 && pipe(to) == 0);
	inner = epoll_create1(0);
	outer = epoll_create1(0);
	must(epoll_ctl(inner, EPOLL_CTL_ADD, from[0], &interest) == 0);
	must(epoll_ctl(outer, EPOLL_CTL_ADD, inner, &interest) == 0);
}

static void wait_nested(void)
{
	struct epoll_event event;

	must(epoll_wait(outer, &event, 1, -1) == 1);
}

static void end_nested(void)
{
	say_waker("thread", own_tid());
	must(write(from[1], "x", 1) == 1);
}

static void after_nested(void)
{
	close(inner);
	close(outer);
	after_pipes();
}

static int faults = -1;
static char *page;

static void before_read_of_another(void)
{
	struct uffdio_api api = { .api = UFFD_API };

	faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (faults < 0 || ioctl(faults, UFFDIO_API, &api) < 0) {
		say_missing("no userfaultfd");
		return;
	}
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register range = { .range = { (uintptr_t)page, PAGE },
					 .mode = UFFDIO_REGISTER_MODE_MISSING };

	must(page != MAP_FAILED && ioctl(faults, UFFDIO_REGISTER, &range) == 0);
}

static void wait_read_of_another(void)
{
	struct iovec into = { block, 1 }, of = { page, 1 };

	must(process_vm_readv(getpid(), &into, 1, &of, 1, 0) == 1);
}

static void end_read_of_another(void)
{
	struct uffdio_zeropage zeros = { .range = { (uintptr_t)page, PAGE } };

	say_waker("thread", own_tid());
	must(ioctl(faults, UFFDIO_ZEROPAGE, &zeros) == 0);
}

static void after_read_of_another(void)
{
	munmap(page, PAGE);
	close(faults);
}

const struct step crossed_steps[] = {
	{ "splice-full", "pipe", before_full_pipe, wait_splice, end_full_pipe, after_pipes },
	{ "tee-full", "pipe", before_full_pipe, wait_tee, end_full_pipe, after_pipes },
	{ "sendfile-full-pipe", "pipe", before_full_from_file, wait_sendfile, end_full_pipe,
	  after_file },
	{ "splice-file-full", "pipe", before_full_from_file, wait_splice_file, end_full_pipe,
	  after_file },
	{ "splice-socket-full", "pipe", before_full_from_socket, wait_splice_socket, end_full_pipe,
	  after_pipes },
	{ "splice-full-socket", "net", before_full_socket, wait_full_socket, drain_tcp,
	  after_full_socket },
	{ "sleep-interrupted", "sleep", before_interrupted, wait_interrupted, interrupt, NULL },
	{ "pipe-interrupted", "pipe", before_interrupted_pipe, wait_interrupted_pipe, interrupt,
	  after_pipes },
	{ "alarm", "signal", before_interrupted, wait_alarm, NULL, NULL },
	{ "futex-requeue-pi", "lock", NULL, wait_requeued, end_requeued, NULL },
	{ "futex-mapped-twice", "lock", before_mapped_twice, wait_mapped_twice, end_mapped_twice,
	  after_mapped_twice },
	{ "semop-zero", "lock", before_zero, wait_zero, end_zero, after_set },
	{ "semop-undone", "lock", before_undone, wait_undone, NULL, after_undone },
	{ "posix-lock-part", "lock", before_part, wait_part, NULL, after_part },
	{ "wait4-of-several", "child", before_children, wait_child, NULL, after_children },
	{ "wait4-group", "child", before_group, wait_group, NULL, after_children },
	{ "epoll-nested", "poll", before_nested, wait_nested, end_nested, after_nested },
	{ "process_vm_readv", "fault", before_read_of_another, wait_read_of_another,
	  end_read_of_another, after_read_of_another },
	{ NULL, NULL, NULL, NULL, NULL, NULL },
};
