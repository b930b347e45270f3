/* SPDX-License-Identifier: Apache-2.0 */
/* discover PID [SECONDS]: what discovery says of a process, and what its threads publish right now.
 *
 * Prints one line "process ..." and one line "thread TID TRACE SPAN" for each thread that
 * publishes. Exit status: 0 a variable was found; 1 none within the time; 2 usage. */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>

#include "bpf/discovery.h"
#include "collector/base/macros.h"
#include "collector/clock.h"
#include "tests/context/reference.h"

struct wanted {
	uint32_t pid;
	bool is_known;
	struct event_process process;
	struct tag_descriptor descriptor;
};

static void on_process(const struct event_process *process, const struct tag_descriptor *descriptor,
		       void *arg)
{
	struct wanted *wanted = arg;

	if (process->pid != wanted->pid)
		return;
	wanted->is_known = true;
	wanted->process = *process;
	wanted->descriptor = descriptor ? *descriptor : (struct tag_descriptor){ 0 };
}

static bool read_memory(pid_t tid, uint64_t address, void *out, size_t bytes)
{
	struct iovec local = { out, bytes };
	struct iovec remote = { (void *)(uintptr_t)address, bytes };

	return process_vm_readv(tid, &local, 1, &remote, 1, 0) == (ssize_t)bytes;
}

static void print_record(pid_t tid, const struct tag_record *record)
{
	printf("thread %d ", (int)tid);
	for (size_t i = 0; i < sizeof(record->trace_id); i++)
		printf("%02x", record->trace_id[i]);
	putchar(' ');
	for (size_t i = 0; i < sizeof(record->span_id); i++)
		printf("%02x", record->span_id[i]);
	putchar('\n');
}

static void print_thread(const struct wanted *wanted, pid_t tid)
{
	for (uint32_t i = 0; i < wanted->descriptor.count; i++) {
		struct tag_record record;
		uint64_t address, pointer = 0;

		if (reference_address(tid, &wanted->descriptor.variables[i], &address) < 0 ||
		    !read_memory(tid, address, &pointer, sizeof(pointer)) || !pointer ||
		    !read_memory(tid, pointer, &record, sizeof(record)) || record.valid != 1)
			continue;
		print_record(tid, &record);
		return;
	}
}

static void print_threads(const struct wanted *wanted)
{
	char path[32];
	const struct dirent *entry;
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%u/task", wanted->pid);
	directory = opendir(path);
	while (directory && (entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			print_thread(wanted, atoi(entry->d_name));
	if (directory)
		closedir(directory);
}

static void print_process(const struct wanted *wanted)
{
	static const char *const publishes[] = { "nothing", "tags", "unreadable", "unsupported" };
	const struct event_process *process = &wanted->process;

	printf("process %u comm=%s publishes=%s variable=\"%s\" service=\"%s\" instance=\"%s\" "
	       "container=\"%s\" ns_pid=%u error=%d\n",
	       process->pid, process->comm, publishes[process->publish & 3], process->variable,
	       process->service_name, process->service_instance_id, process->container_id,
	       process->ns_pid, process->error);
}

static void run_until_found(struct discovery *discovery, struct wanted *wanted, uint64_t until_ns)
{
	while (wanted->descriptor.count == 0 && clock_mono_ns() < until_ns) {
		int wait_ms = discovery_run(discovery, clock_mono_ns(), 50 * NS_PER_MS);
		struct timespec pause = { 0, (long)MIN(wait_ms, 20) * (long)NS_PER_MS };

		nanosleep(&pause, NULL);
	}
}

int main(int argc, char **argv)
{
	struct wanted wanted = { 0 };
	const struct discovery_options options = {
		.max_processes = 4096, .rescan_ms = 200, .on_process = on_process, .arg = &wanted
	};
	struct discovery *discovery;

	if (argc < 2) {
		fprintf(stderr, "usage: discover PID [SECONDS]\n");
		return 2;
	}
	wanted.pid = (uint32_t)strtoul(argv[1], NULL, 10);
	if (discovery_new(&options, &discovery) < 0)
		return 2;
	run_until_found(discovery, &wanted,
			clock_mono_ns() +
				strtoul(argc > 2 ? argv[2] : "10", NULL, 10) * NS_PER_SEC);
	if (wanted.is_known)
		print_process(&wanted);
	print_threads(&wanted);
	discovery_free(discovery);
	return wanted.descriptor.count ? 0 : 1;
}
