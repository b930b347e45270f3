/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/symbolizer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/python_code.h"
#include "bpf/symbol_file.h"
#include "bpf/symbol_jitdump.h"
#include "bpf/symbol_kernel.h"
#include "bpf/symbol_maps.h"
#include "bpf/symbol_merge.h"
#include "bpf/symbol_name.h"
#include "bpf/symbol_open.h"
#include "bpf/symbol_perf_map.h"
#include "collector/base/frame.h"
#include "collector/base/macros.h"
#include "collector/base/map.h"

#define MAX_PROCESSES 4096
#define HOLD_NS       (60 * NS_PER_SEC) /* a process that nobody asked for is forgotten */
#define REREAD_NS     NS_PER_SEC
#define MEET_NS       (200 * NS_PER_MS)
#define FIRST_KERNEL  (1ull << 63)
#define JIT_BYTES     ((size_t)32 << 20) /* of perf maps and jitdumps */

struct process {
	uint32_t pid;
	uint32_t ns_pid;
	uid_t uid; /* the effective one */
	bool root_is_ours;
	struct symbol_maps maps;
	struct symbol_perf_map perf_map, jitdump;
	struct python_layout *python; /* owned; NULL: it runs no Python that we know */
	uint64_t read_ns;             /* when the maps were read last; 0: never */
	uint64_t perf_ns;             /* ... the perf map */
	uint64_t asked_ns;
};

struct symbolizer {
	struct map processes; /* pid -> struct process *, owned */
	struct symbol_files *files;
	struct symbol_table kernel; /* read when first needed */
	bool kernel_read;
	struct symbol_file vdso;
	bool vdso_read;
	struct python_codes codes;
	size_t jit_bytes;          /* of all processes, when one was read last */
	struct symbol_merge merge; /* scratch, as the next */
	struct buf name;
	void (*on_maps)(uint32_t pid, const struct symbol_maps *maps, void *arg);
	void *arg;
	struct symbolizer_stats stats;
};

int symbolizer_new(size_t limit_bytes, struct symbolizer **out_symbolizer)
{
	struct symbolizer *symbolizer = calloc(1, sizeof(*symbolizer));
	int rc;

	if (!symbolizer)
		return -ENOMEM;
	rc = symbol_files_new(limit_bytes, &symbolizer->files);
	if (rc < 0) {
		free(symbolizer);
		return rc;
	}
	map_init(&symbolizer->processes, sizeof(uint32_t), sizeof(struct process *), 0);
	buf_init(&symbolizer->name, 0);
	python_codes_init(&symbolizer->codes);
	symbol_merge_init(&symbolizer->merge);
	*out_symbolizer = symbolizer;
	return 0;
}

static void free_process(struct process *process)
{
	symbol_maps_fini(&process->maps);
	symbol_perf_map_fini(&process->perf_map);
	symbol_perf_map_fini(&process->jitdump);
	free(process->python);
	free(process);
}

void symbolizer_free(struct symbolizer *symbolizer)
{
	struct process **slot;
	size_t cursor = 0;
	const void *key;

	if (!symbolizer)
		return;
	while ((slot = map_next(&symbolizer->processes, &cursor, &key)))
		free_process(*slot);
	map_fini(&symbolizer->processes);
	symbol_files_free(symbolizer->files);
	symbol_table_fini(&symbolizer->kernel);
	symbol_file_fini(&symbolizer->vdso);
	buf_fini(&symbolizer->name);
	python_codes_fini(&symbolizer->codes);
	symbol_merge_fini(&symbolizer->merge);
	free(symbolizer);
}

/* ---- processes */

/* The last of its pids, one for each namespace; and whose it is. */
static void read_status(struct process *process, int directory_fd)
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

static void read_maps(struct symbolizer *symbolizer, struct process *process, uint64_t now_ns)
{
	int fd = symbol_open_process(process->pid);

	process->read_ns = now_ns;
	if (fd < 0)
		return;
	read_status(process, fd);
	process->root_is_ours = is_our_root(fd);
	if (symbol_maps_read(&process->maps, fd) == 0 && symbolizer->on_maps)
		symbolizer->on_maps(process->pid, &process->maps, symbolizer->arg);
	/* a failure leaves what we knew */
	close(fd);
}

/* Those for whom nobody has asked for long; all else is bounded by their number. */
static void expire(struct symbolizer *symbolizer, uint64_t now_ns)
{
	uint32_t old[64], count = 0;
	struct process **slot;
	size_t cursor = 0;
	const void *key;

	while (count < ARRAY_LEN(old) && (slot = map_next(&symbolizer->processes, &cursor, &key))) {
		if ((*slot)->asked_ns + HOLD_NS < now_ns)
			old[count++] = (*slot)->pid;
	}
	for (uint32_t i = 0; i < count; i++)
		symbolizer_forget(symbolizer, old[i]);
}

static struct process *process_of(struct symbolizer *symbolizer, uint32_t pid, uint64_t now_ns)
{
	struct process **slot = map_get(&symbolizer->processes, &pid), *process;

	if (!slot) {
		expire(symbolizer, now_ns);
		if (symbolizer->processes.count >= MAX_PROCESSES)
			return NULL;
		process = calloc(1, sizeof(*process));
		slot = process ? map_put(&symbolizer->processes, &pid) : NULL;
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
		read_maps(symbolizer, process, now_ns);
	return process;
}

void symbolizer_on_maps(struct symbolizer *symbolizer,
			void (*on_maps)(uint32_t pid, const struct symbol_maps *maps, void *arg),
			void *arg)
{
	symbolizer->on_maps = on_maps;
	symbolizer->arg = arg;
}

void symbolizer_python(struct symbolizer *symbolizer, uint32_t pid,
		       const struct python_layout *layout)
{
	struct process **slot = map_get(&symbolizer->processes, &pid);
	struct process *process = slot ? *slot : NULL;

	if (process && !process->python)
		process->python = malloc(sizeof(*process->python));
	if (process && process->python)
		*process->python = *layout;
}

bool symbolizer_meet(struct symbolizer *symbolizer, uint32_t pid, uint64_t now_ns)
{
	struct process *process = process_of(symbolizer, pid, now_ns);

	if (!process || process->read_ns == now_ns)
		return true;
	if (process->read_ns + MEET_NS > now_ns)
		return false;
	read_maps(symbolizer, process, now_ns);
	return true;
}

void symbolizer_forget(struct symbolizer *symbolizer, uint32_t pid)
{
	struct process **slot = map_get(&symbolizer->processes, &pid);

	if (!slot)
		return;
	free_process(*slot);
	map_delete(&symbolizer->processes, &pid);
}

/* ---- one address */

/* Of a process that is gone, the file may still be there: if its paths were ours. */
static const struct symbol_file *open_and_read(struct symbolizer *symbolizer,
					       const struct process *process,
					       struct symbol_mapping *mapping)
{
	const struct symbol_file *file = NULL;
	int directory_fd = symbol_open_process(process->pid);
	int root_fd = directory_fd >= 0 ? symbol_open_root(directory_fd) : -1;
	int fd = directory_fd >= 0 ? symbol_open_file(directory_fd, root_fd, mapping) : -1;

	if (fd < 0 && directory_fd < 0 && process->root_is_ours && mapping->path[0] == '/')
		fd = open(mapping->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0) {
		if (symbol_files_get(symbolizer->files, fd, root_fd, mapping->path, &file,
				     &mapping->key) < 0)
			file = NULL;
		close(fd);
	}
	if (root_fd >= 0)
		close(root_fd);
	if (directory_fd >= 0)
		close(directory_fd);
	return file;
}

static const struct symbol_file *file_of(struct symbolizer *symbolizer,
					 const struct process *process,
					 struct symbol_mapping *mapping)
{
	const struct symbol_file *file =
		mapping->key.size ? symbol_files_recall(symbolizer->files, &mapping->key) : NULL;

	return file ? file : open_and_read(symbolizer, process, mapping);
}

static const struct symbol_file *vdso_of(struct symbolizer *symbolizer)
{
	int fd = symbolizer->vdso_read ? -1 : symbol_open_vdso();

	if (fd >= 0) {
		symbol_file_read(&symbolizer->vdso, fd, -1, "[vdso]");
		close(fd);
	}
	symbolizer->vdso_read = true;
	return &symbolizer->vdso;
}

/* Anybody may put a file into /tmp: names of somebody's code are told by himself, or by root. */
static bool is_its_own(const struct process *process, int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && (status.st_uid == process->uid || status.st_uid == 0);
}

/* Opens it by the name that perf gave it, in the process's own pid and mount namespaces. */
static void read_perf_map(struct process *process, int directory_fd)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "root/tmp/perf-%u.map", process->ns_pid);
	fd = openat(directory_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	if (is_its_own(process, fd))
		symbol_perf_map_read(&process->perf_map, fd);
	close(fd);
}

static void read_jitdump(struct process *process, int directory_fd)
{
	int root_fd = symbol_open_root(directory_fd), fd = -1;

	for (uint32_t i = 0; i < process->maps.count && fd < 0; i++) {
		if (symbol_jitdump_is(process->maps.mappings[i].path))
			fd = symbol_open_file(directory_fd, root_fd, &process->maps.mappings[i]);
	}
	if (fd >= 0) {
		symbol_jitdump_read(&process->jitdump, fd);
		close(fd);
	}
	if (root_fd >= 0)
		close(root_fd);
}

static const char *find_jit(struct process *process, uint64_t address)
{
	const char *name = symbol_perf_map_find(&process->perf_map, address);

	return name ? name : symbol_perf_map_find(&process->jitdump, address);
}

static size_t jit_bytes(const struct process *process)
{
	return symbol_perf_map_bytes(&process->perf_map) + symbol_perf_map_bytes(&process->jitdump);
}

/* Keeps all of them together within JIT_BYTES: others than `kept` go, to be read again. */
static void drop_jit(struct symbolizer *symbolizer, const struct process *kept)
{
	struct process **slot;
	size_t cursor = 0, bytes = 0;
	const void *key;

	while ((slot = map_next(&symbolizer->processes, &cursor, &key)))
		bytes += jit_bytes(*slot);
	cursor = 0;
	while (bytes > JIT_BYTES && (slot = map_next(&symbolizer->processes, &cursor, &key))) {
		if (*slot == kept)
			continue;
		bytes -= jit_bytes(*slot);
		symbol_perf_map_fini(&(*slot)->perf_map);
		symbol_perf_map_fini(&(*slot)->jitdump);
	}
	symbolizer->jit_bytes = bytes;
}

static const char *jit_name(struct symbolizer *symbolizer, struct process *process,
			    uint64_t address, uint64_t now_ns)
{
	const char *name = find_jit(process, address);
	int directory_fd;

	if (name || process->perf_ns + REREAD_NS > now_ns)
		return name;
	process->perf_ns = now_ns;
	directory_fd = symbol_open_process(process->pid);
	if (directory_fd < 0)
		return NULL;
	read_perf_map(process, directory_fd);
	read_jitdump(process, directory_fd);
	close(directory_fd);
	name = find_jit(process, address);
	drop_jit(symbolizer, process);
	return name;
}

static struct str demangled(struct symbolizer *symbolizer, const char *name)
{
	buf_clear(&symbolizer->name);
	if (name)
		symbol_name_put(name, &symbolizer->name);
	return buf_str(&symbolizer->name);
}

static void take_native(struct symbolizer *symbolizer, const struct process *process,
			const struct frame *frame)
{
	struct symbol_merge *merge = &symbolizer->merge;
	size_t offset = merge->encoded.len;

	frame_put(&merge->encoded, frame);
	symbol_merge_native(merge, offset, frame,
			    process && process->python ? process->python->module : NULL);
}

/* What stands between the wait and us. */
static bool is_scheduler(const char *name)
{
	static const char *const prefixes[] = { "bpf_",        "__bpf_",     "__traceiter_",
						"__schedule",  "schedule",   "preempt_schedule",
						"perf_trace_", "trampoline_" };

	for (size_t i = 0; name && i < ARRAY_LEN(prefixes); i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

/* Return addresses, all but the innermost. */
static void put_kernel(struct symbolizer *symbolizer, const uint64_t *addresses, uint32_t count,
		       struct buf *out)
{
	bool is_inside = false; /* past the scheduler */

	if (count && !symbolizer->kernel_read) {
		symbol_kernel_read(&symbolizer->kernel);
		symbolizer->kernel_read = true;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct frame frame = { .kind = FRAME_KERNEL,
				       .address = addresses[i],
				       .module = STR("[kernel]") };
		const char *name = symbol_table_find(&symbolizer->kernel, addresses[i] - (i > 0));

		symbolizer->stats.frames++;
		symbolizer->stats.unnamed += !name;
		if (!is_inside && is_scheduler(name))
			continue;
		is_inside = true;
		frame.name = name ? str_of(name) : (struct str){ 0 };
		frame_put(out, &frame);
	}
}

/* In place of the frames that are missing, why they are. */
static void put_end(uint32_t end, struct buf *out)
{
	static const char *const texts[STACK_ENDS] = {
		[STACK_TOO_DEEP] = "[truncated: too deep]",
		[STACK_NO_RULE] = "[truncated: code without unwind rules]",
		[STACK_NO_FILE] = "[truncated: code in no file]",
		[STACK_UNREADABLE] = "[truncated: memory not readable]",
		[STACK_BROKEN] = "[truncated: broken frame]",
		[STACK_WITHOUT_TABLES] = "[truncated: unwind tables not read yet]",
	};
	struct frame frame = { .kind = FRAME_UNKNOWN };

	if (end >= STACK_ENDS || !texts[end])
		return;
	frame.name = str_of(texts[end]);
	frame_put(out, &frame);
}

static void take_user(struct symbolizer *symbolizer, struct process *process, uint64_t word,
		      uint64_t now_ns)
{
	uint64_t at = word & ~STACK_SIGNAL;
	struct frame frame = { .kind = FRAME_UNKNOWN, .address = at };
	struct symbol_mapping *mapping = symbol_maps_find(&process->maps, at);
	const struct symbol_file *file = NULL;
	uint64_t vaddr;

	symbolizer->stats.frames++;
	if (!mapping && process->read_ns + REREAD_NS < now_ns) {
		read_maps(symbolizer, process, now_ns);
		mapping = symbol_maps_find(&process->maps, at);
	}
	if (!mapping) {
		symbolizer->stats.unknown++;
		take_native(symbolizer, process, &frame);
		return;
	}
	if (strcmp(mapping->path, "[vdso]") == 0)
		file = vdso_of(symbolizer);
	else if (mapping->inode)
		file = file_of(symbolizer, process, mapping);
	frame.module = str_of(mapping->path);
	if (file && symbol_file_vaddr(file, at - mapping->start + mapping->offset, &vaddr) == 0) {
		frame.kind = FRAME_NATIVE;
		frame.address = vaddr;
		frame.name = demangled(symbolizer, symbol_table_find(&file->functions, vaddr));
	} else if (mapping->inode) {
		frame.kind = FRAME_NATIVE;
		frame.address = at - mapping->start + mapping->offset;
	} else {
		frame.kind = FRAME_JIT;
		frame.name = demangled(symbolizer, jit_name(symbolizer, process, at, now_ns));
		symbolizer->stats.jit_unnamed += frame.name.len == 0;
	}
	if (word & STACK_SIGNAL && frame.name.len == 0) /* a stripped C library does not name it */
		frame.name = STR("[signal]");
	symbolizer->stats.unnamed += frame.name.len == 0;
	take_native(symbolizer, process, &frame);
}

/* Python's own frames, which come last. */
static void take_python(struct symbolizer *symbolizer, struct process *process,
			const uint64_t *words, uint32_t count)
{
	struct symbol_merge *merge = &symbolizer->merge;
	int directory_fd = symbol_open_process(process->pid), memory_fd = -1;

	if (directory_fd >= 0) {
		memory_fd = openat(directory_fd, "mem", O_RDONLY | O_CLOEXEC);
		close(directory_fd);
	}
	for (uint32_t i = 0; i < count; i++) {
		size_t offset = merge->encoded.len;

		symbolizer->stats.frames++;
		if (!python_codes_put(&symbolizer->codes, process->pid, memory_fd, process->python,
				      words[i], &merge->encoded))
			symbolizer->stats.unnamed++;
		symbol_merge_python(merge, offset, words[i] & PYTHON_ENTRY);
	}
	if (memory_fd >= 0)
		close(memory_fd);
}

void symbolizer_put(struct symbolizer *symbolizer, const struct event_stack *stack, uint64_t now_ns,
		    struct buf *out)
{
	struct process *process = process_of(symbolizer, stack->pid, now_ns);
	const uint64_t *addresses = (const uint64_t *)stack->addresses;
	uint32_t count = MIN(stack->count, (uint32_t)EVENT_MAX_FRAMES);
	uint32_t first_kernel = count, first_python = 0;

	symbol_merge_clear(&symbolizer->merge);
	while (first_kernel > 0 && addresses[first_kernel - 1] >= FIRST_KERNEL)
		first_kernel--;
	put_kernel(symbolizer, addresses + first_kernel, count - first_kernel, out);
	while (first_python < first_kernel && !PYTHON_IS_WORD(addresses[first_python]))
		first_python++;
	for (uint32_t i = 0; i < first_python && process; i++)
		take_user(symbolizer, process, addresses[i], now_ns);
	if (process && process->python)
		take_python(symbolizer, process, addresses + first_python,
			    first_kernel - first_python);
	symbol_merge_put(&symbolizer->merge, out);
	put_end(stack->header.flags, out);
}

void symbolizer_stats(const struct symbolizer *symbolizer, struct symbolizer_stats *out_stats)
{
	*out_stats = symbolizer->stats;
	out_stats->files_bytes = symbol_files_bytes(symbolizer->files) + symbolizer->jit_bytes +
				 symbol_table_bytes(&symbolizer->kernel) + symbolizer->codes.bytes +
				 map_bytes(&symbolizer->codes.known);
}
