/* SPDX-License-Identifier: Apache-2.0 */
/* Waits that end by timers, signals, other processes, disks and the kernel's own work, each kind in
 * a span, while a thread spins on each CPU, in a span of its own, that has nothing to do with them.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/membarrier.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/accuracy/truth.h"

#define ROUNDS       100
#define MOMENT_NS    300000
#define PAGE         4096
#define MAX_SPINNERS 8

static atomic_int is_over;
static int sockets[2], counter = -1;

static void must(int is_done, const char *what)
{
	if (!is_done) {
		perror(what);
		abort();
	}
}

static void *spin(void *cpu)
{
	struct truth_span *span = truth_open("spin");
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)(uintptr_t)cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	while (!atomic_load(&is_over))
		syscall(SYS_getppid); /* in the middle of a call, too */
	truth_close(span);
	return NULL;
}

static void pause_moment(void)
{
	struct timespec time = { .tv_nsec = MOMENT_NS };

	nanosleep(&time, NULL);
}

static pid_t run_child(void (*work)(void))
{
	pid_t child = fork();

	if (child == 0) {
		work();
		_exit(0);
	}
	return child;
}

/* ---- timers */

static void wait_timer_fd(void)
{
	const struct itimerspec often = { { 0, MOMENT_NS }, { 0, MOMENT_NS } };
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	uint64_t count;

	must(fd >= 0 && timerfd_settime(fd, 0, &often, NULL) == 0, "timerfd");
	for (int i = 0; i < ROUNDS; i++)
		must(read(fd, &count, sizeof(count)) == sizeof(count), "timerfd");
	close(fd);
}

static void wait_signal(void)
{
	const struct itimerval often = { { 0, 400 }, { 0, 400 } }, never = { { 0, 0 }, { 0, 0 } };
	sigset_t set;
	int number;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < ROUNDS; i++)
		sigwait(&set, &number);
	setitimer(ITIMER_REAL, &never, NULL);
}

static void wait_condition(void)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
	struct timespec until;

	pthread_mutex_lock(&mutex);
	for (int i = 0; i < ROUNDS; i++) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += MOMENT_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&condition, &mutex, &until);
	}
	pthread_mutex_unlock(&mutex);
}

/* ---- other processes */

static void send_often(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		pause_moment();
		must(write(sockets[1], "x", 1) == 1, "send");
	}
}

static void wait_unix(void)
{
	pid_t child = run_child(send_often);
	char byte;

	for (int i = 0; i < ROUNDS; i++)
		must(read(sockets[0], &byte, 1) == 1, "receive");
	waitpid(child, NULL, 0);
}

static void count_often(void)
{
	const uint64_t one = 1;

	for (int i = 0; i < ROUNDS; i++) {
		pause_moment();
		must(write(counter, &one, sizeof(one)) == sizeof(one), "eventfd");
	}
}

static void wait_event_fd(void)
{
	pid_t child = run_child(count_often);
	uint64_t count;

	for (uint64_t i = 0; i < ROUNDS; i += count)
		must(read(counter, &count, sizeof(count)) == sizeof(count), "eventfd");
	waitpid(child, NULL, 0);
}

static void wait_child(void)
{
	for (int i = 0; i < ROUNDS / 4; i++)
		waitpid(run_child(pause_moment), NULL, 0);
}

/* ---- a network card: what arrives there, arrives by an interrupt */

/* The first name server that the machine knows, on another machine. false: there is none. */
static int find_name_server(struct sockaddr_in *address)
{
	FILE *file = fopen("/etc/resolv.conf", "r");
	char line[256], host[64];
	int is_found = 0;

	*address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(53) };
	while (file && !is_found && fgets(line, sizeof(line), file))
		is_found = sscanf(line, "nameserver %63s", host) == 1 &&
			   strncmp(host, "127.", 4) != 0 &&
			   inet_pton(AF_INET, host, &address->sin_addr) == 1;
	if (file)
		fclose(file);
	return is_found;
}

/* Asks for the root's name servers; whether there is an answer. */
static int ask_name_server(int fd)
{
	static const char question[] = { 7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1 };
	struct pollfd answer = { fd, POLLIN, 0 };
	char bytes[1500];

	return send(fd, question, sizeof(question), 0) > 0 && poll(&answer, 1, 500) == 1 &&
	       recv(fd, bytes, sizeof(bytes), 0) > 0;
}

static void wait_network(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), is_there;
	struct sockaddr_in address;

	is_there =
		find_name_server(&address) && connect(fd, (void *)&address, sizeof(address)) == 0;
	for (int i = 0; is_there && i < ROUNDS / 4; i++)
		is_there = ask_name_server(fd);
	close(fd);
}

/* ---- disks, and the kernel's own work */

static void wait_disk(void)
{
	static char page[PAGE];
	int fd = open("page", O_RDWR | O_CREAT, 0600);

	for (int i = 0; i < ROUNDS / 2; i++)
		must(pwrite(fd, page, PAGE, 0) == PAGE && fsync(fd) == 0, "page");
	close(fd);
}

static void wait_grace_period(void)
{
	for (int i = 0; i < 4; i++)
		syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

struct uring {
	struct io_uring_params parameters;
	struct io_uring_sqe *entries;
	char *queue;
	int fd;
};

static unsigned *at(const struct uring *ring, unsigned offset)
{
	return (unsigned *)(void *)(ring->queue + offset);
}

/* Submits one and waits for it. */
static void pass(struct uring *ring, const struct io_uring_sqe *entry)
{
	const struct io_uring_params *p = &ring->parameters;
	unsigned *tail = at(ring, p->sq_off.tail), *head = at(ring, p->cq_off.head);

	ring->entries[0] = *entry;
	at(ring, p->sq_off.array)[*tail & *at(ring, p->sq_off.ring_mask)] = 0;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	must(syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1,
	     "io_uring");
	__atomic_store_n(head, *at(ring, p->cq_off.tail), __ATOMIC_RELEASE);
}

static void wait_uring(void)
{
	struct __kernel_timespec moment = { 0, MOMENT_NS };
	const struct io_uring_sqe timeout = {
		.opcode = IORING_OP_TIMEOUT, .fd = -1, .addr = (uintptr_t)&moment, .len = 1
	};
	struct uring ring = { .fd = -1 };

	ring.fd = (int)syscall(SYS_io_uring_setup, 8, &ring.parameters);
	if (ring.fd < 0)
		return; /* it is forbidden on some machines */
	ring.queue = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd,
			  IORING_OFF_SQ_RING);
	ring.entries =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_SQES);
	must(ring.queue != MAP_FAILED && ring.entries != MAP_FAILED, "io_uring");
	for (int i = 0; i < ROUNDS; i++)
		pass(&ring, &timeout);
	close(ring.fd);
}

static const struct {
	const char *name;
	void (*wait)(void);
} kinds[] = { { "timerfd", wait_timer_fd },          { "signal", wait_signal },
	      { "condition", wait_condition },       { "unix", wait_unix },
	      { "eventfd", wait_event_fd },          { "child", wait_child },
	      { "network", wait_network },           { "disk", wait_disk },
	      { "grace period", wait_grace_period }, { "io_uring", wait_uring } };

static void play_all(void)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct truth_span *span = truth_open(kinds[i].name);

		kinds[i].wait();
		truth_close(span);
	}
}

int main(int argc, char **argv)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t spinners[MAX_SPINNERS];
	sigset_t set;

	must(argc > 1 && spanwise_process_init(argv[1], NULL) == 0, "start");
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets) == 0, "sockets");
	counter = eventfd(0, 0);
	must(getchar() != EOF, "cue");
	cpus = cpus < MAX_SPINNERS ? cpus : MAX_SPINNERS;
	for (long i = 0; i < cpus; i++)
		must(pthread_create(&spinners[i], NULL, spin, (void *)(uintptr_t)i) == 0, "spin");
	play_all();
	atomic_store(&is_over, 1);
	for (long i = 0; i < cpus; i++)
		pthread_join(spinners[i], NULL);
	truth_print();
	return 0;
}
