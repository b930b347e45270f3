/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/symbol_processes.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/mono_clock.h"
#include "bpf/symbol_open.h"
#include "collector/base/macros.h"

#define MAX_PROCESSES 4096
#define HOLD_NS       (60 * NS_PER_SEC) /* a process that nobody asked for is forgotten */
#define MEET_NS       (10 * NS_PER_MS)  /* maps are read again on a hint: after so long, ... */
#define MEET_COST     20                /* or so many times what it took, ... */
#define MEET_MOST_NS  (200 * NS_PER_MS) /* or this, whichever is shorter */

void symbol_processes_init(struct symbol_processes *processes)
{
	*processes = (struct symbol_processes){ 0 };
	map_init(&processes->by_pid, sizeof(uint32_t), sizeof(struct symbol_process *), 0);
}

static void free_process(struct symbol_process *process)
{
	symbol_maps_fini(&process->maps);
	symbol_jit_fini(&process->jit);
	free(process->python);
	free(process);
}

void symbol_processes_fini(struct symbol_processes *processes)
{
	struct symbol_process **slot;
	size_t cursor = 0;
	const void *key;

	while ((slot = map_next(&processes->by_pid, &cursor, &key)))
		free_process(*slot);
	map_fini(&processes->by_pid);
}

/* The last of its pids, one for each namespace; and whose it is. */
static void read_status(struct symbol_process *process, int directory_fd)
{
	int fd = openat(directory_fd, "status", O_RDONLY | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	char line[256];

	process->ns_pid = process->pid;
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		char *last = strrchr(line, '\t');

		if (strncmp(line, "NSpid:", 6) == 0 && last)
			process->ns_pid = (uint32_t)strtoul(last, NULL, 10);
		sscanf(line, "Uid: %*u %u", &process->uid);
	}
	fclose(file);
}

static bool is_our_root(int directory_fd)
{
	struct stat its, ours;

	return fstatat(directory_fd, "root/", &its, 0) == 0 && stat("/", &ours) == 0 &&
	       its.st_dev == ours.st_dev && its.st_ino == ours.st_ino;
}

void symbol_processes_read(struct symbol_processes *processes, struct symbol_process *process,
			   uint64_t now_ns)
{
	int fd = symbol_open_process(process->pid);
	uint64_t started_ns = mono_ns();

	process->read_ns = now_ns;
	if (fd < 0)
		return;
	read_status(process, fd);
	process->root_is_ours = is_our_root(fd);
	if (symbol_maps_read(&process->maps, fd) == 0 && processes->on_maps)
		processes->on_maps(process->pid, &process->maps, processes->arg);
	/* a failure leaves what we knew */
	close(fd);
	process->cost_ns = mono_ns() - started_ns;
}

void symbol_processes_forget(struct symbol_processes *processes, uint32_t pid)
{
	struct symbol_process **slot = map_get(&processes->by_pid, &pid);

	if (!slot)
		return;
	free_process(*slot);
	map_delete(&processes->by_pid, &pid);
}

/* Those for whom nobody has asked for long; all else is bounded by their number. */
static void expire(struct symbol_processes *processes, uint64_t now_ns)
{
	uint32_t old[64], count = 0;
	struct symbol_process **slot;
	size_t cursor = 0;
	const void *key;

	while (count < ARRAY_LEN(old) && (slot = map_next(&processes->by_pid, &cursor, &key))) {
		if ((*slot)->asked_ns + HOLD_NS < now_ns)
			old[count++] = (*slot)->pid;
	}
	for (uint32_t i = 0; i < count; i++)
		symbol_processes_forget(processes, old[i]);
}

struct symbol_process *symbol_processes_get(struct symbol_processes *processes, uint32_t pid,
					    uint64_t now_ns)
{
	struct symbol_process **slot = map_get(&processes->by_pid, &pid), *process;

	if (!slot) {
		expire(processes, now_ns);
		if (processes->by_pid.count >= MAX_PROCESSES)
			return NULL;
		process = calloc(1, sizeof(*process));
		slot = process ? map_put(&processes->by_pid, &pid) : NULL;
		if (!slot) {
			free(process);
			return NULL;
		}
		process->pid = pid;
		*slot = process;
	}
	process = *slot;
	process->asked_ns = now_ns;
	if (process->read_ns == 0)
		symbol_processes_read(processes, process, now_ns);
	return process;
}

struct symbol_process *symbol_processes_find(const struct symbol_processes *processes, uint32_t pid)
{
	struct symbol_process **slot = map_get(&processes->by_pid, &pid);

	return slot ? *slot : NULL;
}

bool symbol_processes_meet(struct symbol_processes *processes, uint32_t pid, uint64_t now_ns)
{
	struct symbol_process *process = symbol_processes_get(processes, pid, now_ns);

	if (!process || process->read_ns == now_ns)
		return true;
	if (process->read_ns + MAX(MEET_NS, MIN(MEET_COST * process->cost_ns, MEET_MOST_NS)) >
	    now_ns)
		return false;
	symbol_processes_read(processes, process, now_ns);
	return true;
}

static size_t process_bytes(const struct symbol_process *process)
{
	return sizeof(*process) + symbol_maps_bytes(&process->maps) +
	       symbol_jit_bytes(&process->jit);
}

size_t symbol_processes_bytes(const struct symbol_processes *processes)
{
	size_t bytes = map_bytes(&processes->by_pid), cursor = 0;
	struct symbol_process **slot;
	const void *key;

	while ((slot = map_next(&processes->by_pid, &cursor, &key)))
		bytes += process_bytes(*slot);
	return bytes;
}

bool symbol_processes_drop(struct symbol_processes *processes, const struct symbol_process *kept,
			   bool names_only)
{
	struct symbol_process *oldest = NULL, **slot;
	size_t cursor = 0;
	const void *key;

	while ((slot = map_next(&processes->by_pid, &cursor, &key))) {
		if (*slot == kept || (names_only && symbol_jit_bytes(&(*slot)->jit) == 0))
			continue;
		if (!oldest || (*slot)->asked_ns < oldest->asked_ns)
			oldest = *slot;
	}
	if (!oldest)
		return false;
	if (names_only)
		symbol_jit_fini(&oldest->jit);
	else
		symbol_processes_forget(processes, oldest->pid);
	return true;
}
