/* SPDX-License-Identifier: Apache-2.0 */
/* Children, signals, and whoever stops a thread from outside. */
#include <fcntl.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/flow/waits/waits.h"

static int process_fd, main_tid;

/* ---- children */

static void sleep_a_while(void)
{
	await_wait();
}

static void before_child(void)
{
	say_waker("thread", run_child(sleep_a_while));
	say_target("child %d", child);
}

static void before_any_child(void)
{
	before_child();
	say_target("any child");
}

static void wait_any_child(void)
{
	siginfo_t info;

	must(waitid(P_ALL, 0, &info, WEXITED) == 0);
}

static void before_process_fd(void)
{
	before_child();
	process_fd = (int)syscall(SYS_pidfd_open, child, 0);
	must(process_fd >= 0);
}

static void wait_process_fd(void)
{
	siginfo_t info;

	must(waitid((idtype_t)3, (id_t)process_fd, &info, WEXITED) == 0); /* P_PIDFD */
}

static void wait_poll_process(void)
{
	struct pollfd one = { process_fd, POLLIN, 0 };

	must(poll(&one, 1, -1) == 1);
}

static void after_process_fd(void)
{
	close(process_fd);
	reap_child();
}

static void after_process_fd_alone(void)
{
	close(process_fd);
}

static void wait_vfork(void)
{
	child = vfork();
	if (child == 0) {
		pause_ms(WAIT_MS);
		_exit(0);
	}
	say_waker("thread", child);
	say_target("child %d", child);
}

/* ---- signals */

static void handle(int number)
{
	(void)number;
}

static void before_signal(void)
{
	const struct sigaction action = { .sa_handler = handle };

	sigaction(SIGUSR2, &action, NULL);
	main_tid = own_tid();
	say_waker("thread", 0);
}

static void end_signal(void)
{
	say_waker("thread", own_tid());
	syscall(SYS_tgkill, getpid(), main_tid, SIGUSR2);
}

static void wait_pause(void)
{
	pause();
}

static void wait_suspend(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigsuspend(&none);
}

static void wait_timed(void)
{
	const struct timespec time = { .tv_nsec = WAIT_MS * 1000000 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	say_waker("timer", 0);
	sigtimedwait(&set, NULL, &time);
}

static void wait_signal_fd(void)
{
	const struct itimerval once = { .it_value.tv_usec = WAIT_MS * 1000 };
	struct signalfd_siginfo info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	int fd = signalfd(-1, &set, 0);

	say_target("signalfd");
	say_waker("timer", 0);
	must(fd >= 0 && setitimer(ITIMER_REAL, &once, NULL) == 0);
	must(read(fd, &info, sizeof(info)) == sizeof(info));
	close(fd);
}

/* ---- stopped from outside, wherever it is */

static void stop_parent(void)
{
	await_begin();
	kill(getppid(), SIGSTOP);
	pause_ms(4 * WAIT_MS);
	kill(getppid(), SIGCONT);
}

static void start_stopping(void)
{
	say_waker("thread", run_child(stop_parent));
}

/* Until whoever stops it has done so. */
static void spin_through(void)
{
	int status;

	while (waitpid(child, &status, WNOHANG) == 0)
		;
}

static void trace_parent(void)
{
	await_begin();
	must(ptrace(PTRACE_SEIZE, main_tid, NULL, NULL) == 0);
	must(ptrace(PTRACE_INTERRUPT, main_tid, NULL, NULL) == 0);
	must(waitpid(main_tid, NULL, __WALL) == main_tid);
	pause_ms(4 * WAIT_MS);
	ptrace(PTRACE_DETACH, main_tid, NULL, NULL);
}

static void start_tracing(void)
{
	main_tid = own_tid();
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	say_waker("thread", run_child(trace_parent));
}

/* Each of its calls, at both ends, as strace does. */
static void trace_calls_of_parent(void)
{
	await_begin();
	must(ptrace(PTRACE_SEIZE, main_tid, NULL, PTRACE_O_TRACESYSGOOD) == 0);
	must(ptrace(PTRACE_INTERRUPT, main_tid, NULL, NULL) == 0);
	for (int stop = 0; stop < 8; stop++) {
		must(waitpid(main_tid, NULL, __WALL) == main_tid);
		pause_ms(4);
		must(ptrace(PTRACE_SYSCALL, main_tid, NULL, NULL) == 0);
	}
	must(waitpid(main_tid, NULL, __WALL) == main_tid);
	ptrace(PTRACE_DETACH, main_tid, NULL, NULL);
}

static void start_tracing_calls(void)
{
	main_tid = own_tid();
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	say_waker("thread", run_child(trace_calls_of_parent));
}

static void stop_oneself(void)
{
	await_wait();
	raise(SIGSTOP);
}

static void before_stopping_child(void)
{
	say_waker("thread", run_child(stop_oneself));
	say_target("child %d", child);
}

static void wait_stopped_child(void)
{
	must(waitpid(child, NULL, WUNTRACED) == child);
}

static void after_stopped_child(void)
{
	kill(child, SIGCONT);
	reap_child();
}

static char cgroup[128];

static bool put(const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", cgroup, name);
	int fd = open(path, O_WRONLY);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

static void move_to(const char *folder)
{
	char pid[16];

	snprintf(cgroup, sizeof(cgroup), "%s", folder);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (!put("cgroup.procs", pid))
		say_missing("no cgroup");
}

static const char *root;
static char frozen[128];

/* From outside; version 1, or 2. */
static void freeze_parent(void)
{
	move_to(root);
	await_begin();
	snprintf(cgroup, sizeof(cgroup), "%s", frozen);
	if (!put("freezer.state", "FROZEN"))
		put("cgroup.freeze", "1");
	pause_ms(4 * WAIT_MS);
	if (!put("freezer.state", "THAWED"))
		put("cgroup.freeze", "0");
}

static void start_freezing_in(const char *folder)
{
	root = folder;
	snprintf(frozen, sizeof(frozen), "%s/spanwise-waits-%d", root, (int)getpid());
	if (mkdir(frozen, 0755) < 0)
		say_missing("no cgroup");
	else
		move_to(frozen);
	say_waker("thread", run_child(freeze_parent));
}

static void start_freezing(void)
{
	start_freezing_in("/sys/fs/cgroup/freezer");
}

static void start_freezing_unified(void)
{
	struct stat status;

	start_freezing_in(stat("/sys/fs/cgroup/cgroup.procs", &status) == 0
				  ? "/sys/fs/cgroup"
				  : "/sys/fs/cgroup/unified");
}

static void end_freezing(void)
{
	move_to(root);
	rmdir(frozen);
}

/* ---- a cgroup whose memory is used up, and nobody is killed for it (version 1) */

#define ROOM_BYTES (16u << 20)

static char *used;

/* Was never in it, or it might not have the room to do so. */
static void make_room_for_parent(void)
{
	await_wait();
	snprintf(cgroup, sizeof(cgroup), "%s", frozen);
	put("memory.limit_in_bytes", "-1");
}

static void before_limit(void)
{
	char bytes[16];

	root = "/sys/fs/cgroup/memory";
	snprintf(bytes, sizeof(bytes), "%u", ROOM_BYTES);
	snprintf(frozen, sizeof(frozen), "%s/spanwise-waits-%d", root, (int)getpid());
	mkdir(frozen, 0755);
	snprintf(cgroup, sizeof(cgroup), "%s", frozen);
	if (!put("memory.oom_control", "1") || !put("memory.limit_in_bytes", bytes)) {
		say_missing("no memory cgroup of version 1");
		return;
	}
	say_waker("thread", run_child(make_room_for_parent));
	move_to(frozen);
	used = mmap(NULL, 2 * ROOM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	must(used != MAP_FAILED);
}

static void wait_limit(void)
{
	for (size_t at = 0; at < 2 * ROOM_BYTES; at += PAGE)
		*(volatile char *)&used[at] = 1;
}

static void after_limit(void)
{
	reap_child();
	munmap(used, 2 * ROOM_BYTES);
	move_to(root);
	rmdir(frozen);
}

/* ---- one that uses more than it should, and is slowed down for it (version 2) */

#define HIGH_BYTES (16u << 20)
#define OVER_BYTES (1u << 20)

static void before_high(void)
{
	char bytes[16];

	root = "/sys/fs/cgroup";
	snprintf(cgroup, sizeof(cgroup), "%s", root);
	put("cgroup.subtree_control", "+memory");
	snprintf(bytes, sizeof(bytes), "%u", HIGH_BYTES);
	snprintf(frozen, sizeof(frozen), "%s/spanwise-high-%d", root, (int)getpid());
	mkdir(frozen, 0755);
	snprintf(cgroup, sizeof(cgroup), "%s", frozen);
	if (!put("memory.high", bytes)) {
		rmdir(frozen);
		say_missing("no memory cgroup of version 2");
		return;
	}
	put("memory.swap.max", "0");
	say_waker("timer", 0);
	say_target(" *");
	move_to(frozen);
	used = mmap(NULL, HIGH_BYTES + OVER_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(used != MAP_FAILED);
}

static void wait_high(void)
{
	for (size_t at = 0; at < HIGH_BYTES + OVER_BYTES; at += PAGE)
		*(volatile char *)&used[at] = 1;
}

static void after_high(void)
{
	munmap(used, HIGH_BYTES + OVER_BYTES);
	move_to(root);
	rmdir(frozen);
}

/* ---- the kernel's own matters */

/* ---- a CPU that is given up, and that somebody else takes */

static pthread_t taker;
static atomic_bool is_over;

static void go_to_cpu(int first, int last)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int cpu = first; cpu <= last; cpu++)
		CPU_SET(cpu, &set);
	must(sched_setaffinity(0, sizeof(set), &set) == 0);
}

static void *take_cpu(void *arg)
{
	while (!atomic_load(&is_over))
		;
	return arg;
}

static void before_yield(void)
{
	go_to_cpu(0, 0);
	atomic_store(&is_over, false);
	must(pthread_create(&taker, NULL, take_cpu, NULL) == 0);
}

static void wait_yield(void)
{
	struct timespec begin, now;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		sched_yield();
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 <
		 WAIT_MS);
}

static void after_yield(void)
{
	atomic_store(&is_over, true);
	pthread_join(taker, NULL);
	go_to_cpu(0, CPU_SETSIZE - 1);
}

static void wait_grace_period(void)
{
	for (int i = 0; i < 2; i++)
		syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

const struct step process_steps[] = {
	{ "wait4", "child", before_child, reap_child, NULL, NULL },
	{ "waitid-any", "child", before_any_child, wait_any_child, NULL, NULL },
	{ "waitid-pidfd", "child", before_process_fd, wait_process_fd, NULL,
	  after_process_fd_alone },
	{ "poll-pidfd", "child", before_process_fd, wait_poll_process, NULL, after_process_fd },
	{ "vfork", "child", NULL, wait_vfork, NULL, reap_child },
	{ "pause", "signal", before_signal, wait_pause, end_signal, NULL },
	{ "sigsuspend", "signal", before_signal, wait_suspend, end_signal, NULL },
	{ "sigtimedwait", "signal", NULL, wait_timed, NULL, NULL },
	{ "signalfd", "signal", NULL, wait_signal_fd, NULL, NULL },
	{ "stopped", "signal", start_stopping, spin_through, NULL, NULL },
	{ "traced", "signal", start_tracing, spin_through, NULL, NULL },
	{ "traced-calls", "signal", start_tracing_calls, spin_through, NULL, NULL },
	{ "child-stopped", "child", before_stopping_child, wait_stopped_child, NULL,
	  after_stopped_child },
	{ "frozen", "signal", start_freezing, spin_through, NULL, end_freezing },
	{ "frozen-unified", "signal", start_freezing_unified, spin_through, NULL, end_freezing },
	{ "memory-limit", "fault", before_limit, wait_limit, NULL, after_limit },
	{ "memory-high", "fault", before_high, wait_high, NULL, after_high },
	{ "yield", "yielded", before_yield, wait_yield, NULL, after_yield },
	{ "membarrier", "other", NULL, wait_grace_period, NULL, NULL },
	{ NULL, NULL, NULL, NULL, NULL, NULL },
};
