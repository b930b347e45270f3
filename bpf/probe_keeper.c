/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/probe_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bpf/perf_events.h"
#include "bpf/probe_packet.h"
#include "bpf/worker.h"
#include "bpf/worker_capabilities.h"
#include "collector/base/macros.h"

/* A worker that dies again and again is given ever more time; one that lived this long has proven
 * itself, and its successor starts at once. */
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS   30000
#define PROVEN_AFTER_MS  60000

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / (long)NS_PER_MS;
}

/* A forked child begins with the collector's signals, files and name; none are its own. */
static void become_own_process(const char *name, int socket_fd)
{
	struct sigaction fresh = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		sigaction(number, &fresh, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* What a terminal or a service manager sends to the whole group is meant for the collector,
	 * which has work to finish: our end comes through the socket. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	prctl(PR_SET_NAME, name);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	syscall(SYS_close_range, 3, socket_fd - 1, 0);
	syscall(SYS_close_range, socket_fd + 1, ~0u, 0);
}

/* true: the collector has gone before the time was up. */
static bool wait_for_collector_to_go(int socket_fd, int timeout_ms)
{
	struct pollfd collector = { .fd = socket_fd, .events = 0 };

	return poll(&collector, 1, timeout_ms) > 0;
}

static pid_t start_worker(const struct probe_options *options, int socket_fd)
{
	pid_t keeper = getpid();
	pid_t worker = fork();

	if (worker != 0)
		return worker;
	prctl(PR_SET_NAME, "spanwise-worker");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != keeper) /* it died before the line above */
		_exit(WORKER_STOPPED);
	_exit(worker_run(options, socket_fd));
}

/* Sleeps until either end is gone; returns the worker's wait status. */
static int watch(pid_t worker, int socket_fd)
{
	int worker_fd = (int)syscall(SYS_pidfd_open, worker, 0);
	struct pollfd either[2] = {
		{ .fd = socket_fd, .events = 0 },
		{ .fd = worker_fd, .events = POLLIN },
	};
	int status = 0;

	while (poll(either, 2, -1) < 0 && errno == EINTR)
		;
	if (either[0].revents)
		kill(worker, SIGKILL);
	while (waitpid(worker, &status, 0) < 0 && errno == EINTR)
		;
	if (worker_fd >= 0)
		close(worker_fd);
	return status;
}

static void tell_died(int socket_fd, int status)
{
	struct probe_message message = { .kind = PROBE_DIED };

	message.error = WIFSIGNALED(status) ? WTERMSIG(status) : -ECHILD;
	snprintf(message.text, sizeof(message.text),
		 WIFSIGNALED(status) ? "the probe's worker was killed by signal %d"
				     : "the probe's worker ended with status %d",
		 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	probe_packet_send(socket_fd, &message, -1, -1);
}

/* true: nothing more to do but to wait for the end. */
static bool is_final(int status)
{
	return WIFEXITED(status) &&
	       (WEXITSTATUS(status) == WORKER_STOPPED || WEXITSTATUS(status) == WORKER_REFUSED);
}

void probe_keeper_run(const struct probe_options *options, int socket_fd)
{
	int backoff_ms = BACKOFF_FIRST_MS;
	int status = 0;

	become_own_process("spanwise-keeper", socket_fd);
	perf_events_keep(options->tick_hz);
	worker_capabilities_keep_needed();
	while (!wait_for_collector_to_go(socket_fd, 0)) {
		int64_t started_ms = now_ms();
		pid_t worker = start_worker(options, socket_fd);

		if (worker > 0)
			status = watch(worker, socket_fd);
		if (worker > 0 && is_final(status))
			break;
		if (worker > 0)
			tell_died(socket_fd, status);
		if (now_ms() - started_ms > PROVEN_AFTER_MS)
			backoff_ms = BACKOFF_FIRST_MS;
		if (wait_for_collector_to_go(socket_fd, backoff_ms))
			break;
		backoff_ms = MIN(2 * backoff_ms, BACKOFF_MAX_MS);
	}
	wait_for_collector_to_go(socket_fd, -1);
	_exit(0);
}
