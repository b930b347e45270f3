/* SPDX-License-Identifier: Apache-2.0 */
/* Plays all waits and prints, after the spans, what is true of each. Waits for a byte to begin. */
#include "tests/flow/waits/waits.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/accuracy/truth.h"

#define FILE_PAGES 64
#define MOST_WAITS 300

static struct fact {
	const char *name, *reason;
	char target[128], waker[16], missing[64];
	int waker_tid;
	long left; /* so often it left its CPU to wait */
	struct truth_span *span;
} facts[MOST_WAITS], *fact;
static size_t fact_count;
int child;

void say_target(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(fact->target, sizeof(fact->target), format, arguments);
	va_end(arguments);
}

void say_waker(const char *kind, int tid)
{
	snprintf(fact->waker, sizeof(fact->waker), "%s", kind);
	fact->waker_tid = tid;
}

void say_missing(const char *why)
{
	snprintf(fact->missing, sizeof(fact->missing), "%s", why);
}

void must(bool done)
{
	if (!done) {
		perror(fact ? fact->name : "start");
		abort();
	}
}

void pause_ms(long ms)
{
	struct timespec time = { .tv_nsec = ms * 1000000 };

	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

int own_tid(void)
{
	return (int)syscall(SYS_gettid);
}

static atomic_bool *begun; /* shared with children */
static pid_t player;

static bool is_asleep(void)
{
	char path[64], text[512] = "";

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)player);
	int fd = open(path, O_RDONLY);
	ssize_t bytes = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	char *end = bytes > 0 ? strrchr(text, ')') : NULL;

	if (fd >= 0)
		close(fd);
	return end && end[2] != 'R';
}

void await_begin(void)
{
	while (!atomic_load(begun))
		pause_ms(1);
}

void await_wait(void)
{
	await_begin();
	while (!is_asleep())
		pause_ms(1);
	pause_ms(WAIT_MS);
}

int run_child(void (*work)(void))
{
	fflush(stdout);
	child = fork();
	if (child == 0) {
		work();
		_exit(0);
	}
	return child;
}

void reap_child(void)
{
	waitpid(child, NULL, 0);
}

int open_file(const char *name)
{
	static char page[PAGE] = "x";
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);

	must(fd >= 0);
	for (int i = 0; i < FILE_PAGES; i++)
		must(write(fd, page, sizeof(page)) == sizeof(page));
	must(fsync(fd) == 0);
	return fd;
}

void make_cold(int fd)
{
	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
}

static void *end_it(void *step)
{
	await_wait();
	((const struct step *)step)->end();
	return NULL;
}

static long times_left(void)
{
	struct rusage usage;

	must(getrusage(RUSAGE_THREAD, &usage) == 0);
	return usage.ru_nvcsw;
}

static void play(const struct step *step)
{
	pthread_t other;

	fact = &facts[fact_count++];
	fact->name = step->name;
	fact->reason = step->reason;
	atomic_store(begun, false);
	if (step->before)
		step->before();
	if (fact->missing[0])
		return;
	fact->span = truth_open(step->name);
	if (step->end)
		must(pthread_create(&other, NULL, end_it, (void *)(uintptr_t)step) == 0);
	atomic_store(begun, true);
	fact->left = times_left();
	step->wait();
	fact->left = times_left() - fact->left;
	truth_close(fact->span);
	if (step->end)
		pthread_join(other, NULL);
	if (step->after)
		step->after();
}

static void print_facts(void)
{
	for (size_t i = 0; i < fact_count; i++)
		printf("{\"name\":\"%s\",\"reason\":\"%s\",\"target\":\"%s\",\"waker\":\"%s\","
		       "\"waker_tid\":%d,\"left\":%ld,\"missing\":\"%s\"}\n",
		       facts[i].name, facts[i].reason, facts[i].target, facts[i].waker,
		       facts[i].waker_tid, facts[i].left, facts[i].missing);
}

static bool is_named(const char *name, char *const *names)
{
	while (*names && strcmp(*names, name) != 0)
		names++;
	return *names;
}

int main(int argc, char **argv)
{
	/* the last ones leave work behind that wakes whoever is there */
	static const struct step *const lists[] = { lock_steps,    shared_steps,  socket_steps,
						    peer_steps,    message_steps, poll_steps,
						    seldom_steps,  kernel_steps,  process_steps,
						    crossed_steps, ring_steps,    named_steps,
						    fault_steps,   file_steps };
	sigset_t set;

	must(argc >= 3 && chdir(argv[2]) == 0);
	player = getpid();
	begun = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(begun != MAP_FAILED);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	must(spanwise_process_init(argv[1], NULL) == 0);
	must(getchar() != EOF);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (const struct step *step = lists[i]; step->name; step++)
			if (argc == 3 || is_named(step->name, argv + 3))
				play(step);
	truth_print();
	print_facts();
	return 0;
}
