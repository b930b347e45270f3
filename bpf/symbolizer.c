/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/symbolizer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/python_code.h"
#include "bpf/symbol_end.h"
#include "bpf/symbol_file.h"
#include "bpf/symbol_kernel.h"
#include "bpf/symbol_maps.h"
#include "bpf/symbol_merge.h"
#include "bpf/symbol_name.h"
#include "bpf/symbol_open.h"
#include "bpf/symbol_processes.h"
#include "collector/base/frame.h"
#include "collector/base/macros.h"

#define REREAD_NS    NS_PER_SEC
#define FIRST_KERNEL (1ull << 63)

struct symbolizer {
	struct symbol_processes processes;
	struct symbol_files *files;
	struct symbol_kernel kernel;
	size_t limit_bytes; /* of all that is kept */
	struct symbol_file vdso;
	bool vdso_read;
	struct python_codes codes;
	struct symbol_merge merge; /* scratch, as the next */
	struct buf name;
	struct symbolizer_stats stats;
};

int symbolizer_new(size_t limit_bytes, struct symbolizer **out_symbolizer)
{
	struct symbolizer *symbolizer = calloc(1, sizeof(*symbolizer));
	int rc;

	if (!symbolizer)
		return -ENOMEM;
	symbolizer->limit_bytes = limit_bytes;
	rc = symbol_files_new(limit_bytes / 2, &symbolizer->files);
	if (rc < 0) {
		free(symbolizer);
		return rc;
	}
	symbol_processes_init(&symbolizer->processes);
	buf_init(&symbolizer->name, 0);
	python_codes_init(&symbolizer->codes);
	symbol_merge_init(&symbolizer->merge);
	*out_symbolizer = symbolizer;
	return 0;
}

void symbolizer_free(struct symbolizer *symbolizer)
{
	if (!symbolizer)
		return;
	symbol_processes_fini(&symbolizer->processes);
	symbol_files_free(symbolizer->files);
	symbol_kernel_fini(&symbolizer->kernel);
	symbol_file_fini(&symbolizer->vdso);
	buf_fini(&symbolizer->name);
	python_codes_fini(&symbolizer->codes);
	symbol_merge_fini(&symbolizer->merge);
	free(symbolizer);
}

void symbolizer_on_maps(struct symbolizer *symbolizer,
			void (*on_maps)(uint32_t pid, const struct symbol_maps *maps, void *arg),
			void *arg)
{
	symbolizer->processes.on_maps = on_maps;
	symbolizer->processes.arg = arg;
}

void symbolizer_on_kernel(struct symbolizer *symbolizer,
			  void (*on_read)(const struct symbol_table *table, void *arg), void *arg)
{
	symbolizer->kernel.on_read = on_read;
	symbolizer->kernel.arg = arg;
}

void symbolizer_look_at_kernel(struct symbolizer *symbolizer, uint64_t now_ns)
{
	symbol_kernel_read(&symbolizer->kernel, now_ns);
	symbol_kernel_drop(&symbolizer->kernel);
}

void symbolizer_python(struct symbolizer *symbolizer, uint32_t pid,
		       const struct python_layout *layout)
{
	struct symbol_process *process = symbol_processes_find(&symbolizer->processes, pid);

	if (process && !process->python)
		process->python = malloc(sizeof(*process->python));
	if (process && process->python)
		*process->python = *layout;
}

bool symbolizer_meet(struct symbolizer *symbolizer, uint32_t pid, uint64_t now_ns)
{
	return symbol_processes_meet(&symbolizer->processes, pid, now_ns);
}

void symbolizer_forget(struct symbolizer *symbolizer, uint32_t pid)
{
	symbol_processes_forget(&symbolizer->processes, pid);
}

/* Of a process that is gone, the file may still be there: if its paths were ours. */
static const struct symbol_file *open_and_read(struct symbolizer *symbolizer,
					       const struct symbol_process *process,
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
					 const struct symbol_process *process,
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

static const char *jit_name(struct symbolizer *symbolizer, struct symbol_process *process,
			    uint64_t address, uint64_t now_ns)
{
	const char *name = symbol_jit_find(&process->jit, address);
	struct symbol_jit_owner owner = { .ns_pid = process->ns_pid,
					  .uid = process->uid,
					  .maps = &process->maps };

	if (name || process->jit_ns + REREAD_NS > now_ns)
		return name;
	process->jit_ns = now_ns;
	owner.directory_fd = symbol_open_process(process->pid);
	if (owner.directory_fd < 0)
		return NULL;
	symbol_jit_read(&process->jit, &owner, symbolizer->limit_bytes / 2);
	close(owner.directory_fd);
	return symbol_jit_find(&process->jit, address);
}

static struct str demangled(struct symbolizer *symbolizer, const char *name)
{
	buf_clear(&symbolizer->name);
	if (name)
		symbol_name_put(name, &symbolizer->name);
	return buf_str(&symbolizer->name);
}

static void take_native(struct symbolizer *symbolizer, const struct symbol_process *process,
			const struct frame *frame)
{
	struct symbol_merge *merge = &symbolizer->merge;
	size_t offset = merge->encoded.len;

	frame_put(&merge->encoded, frame);
	symbol_merge_native(merge, offset, frame,
			    process && process->python ? process->python->module : NULL);
}

static uint32_t trim(struct symbolizer *symbolizer, struct symbol_process *process,
		     const uint64_t *addresses, uint32_t count, uint64_t now_ns, uint32_t *end)
{
	uint32_t was = *end, kept = symbol_end_trim(&process->maps, addresses, count, end);

	if (kept == count || process->read_ns + REREAD_NS > now_ns)
		return kept;
	symbol_processes_read(&symbolizer->processes, process, now_ns);
	*end = was;
	return symbol_end_trim(&process->maps, addresses, count, end);
}

/* What "returns" to a function's first instruction was called by nobody: makecontext, for one, has
 * put it on the stack. */
static const char *function_at(const struct symbol_table *functions, uint64_t vaddr)
{
	const char *name = symbol_table_find(functions, vaddr);

	return name ? name : symbol_table_find(functions, vaddr + 1);
}

static void take_user(struct symbolizer *symbolizer, struct symbol_process *process, uint64_t word,
		      uint64_t now_ns)
{
	uint64_t at = word & ~STACK_SIGNAL;
	struct frame frame = { .kind = FRAME_UNKNOWN, .address = at };
	struct symbol_mapping *mapping = symbol_maps_find(&process->maps, at);
	const struct symbol_file *file = NULL;
	uint64_t vaddr;

	symbolizer->stats.frames++;
	if (!mapping && process->read_ns + REREAD_NS < now_ns) {
		symbol_processes_read(&symbolizer->processes, process, now_ns);
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
		frame.name = demangled(symbolizer, function_at(&file->functions, vaddr));
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
static void take_python(struct symbolizer *symbolizer, struct symbol_process *process,
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

static size_t bytes_of(const struct symbolizer *symbolizer)
{
	return symbol_files_bytes(symbolizer->files) +
	       symbol_table_bytes(&symbolizer->kernel.table) +
	       python_codes_bytes(&symbolizer->codes) +
	       symbol_processes_bytes(&symbolizer->processes);
}

/* Everything can be read again, at some cost, but what is of a process that is gone: that goes
 * last. */
static void make_room(struct symbolizer *symbolizer, const struct symbol_process *kept)
{
	size_t most = symbolizer->limit_bytes;

	if (bytes_of(symbolizer) <= most)
		return;
	while (bytes_of(symbolizer) > most &&
	       symbol_processes_drop(&symbolizer->processes, kept, true))
		;
	while (bytes_of(symbolizer) > most && symbol_files_drop(symbolizer->files))
		;
	if (bytes_of(symbolizer) > most)
		symbol_kernel_drop(&symbolizer->kernel);
	if (bytes_of(symbolizer) > most)
		python_codes_clear(&symbolizer->codes);
	while (bytes_of(symbolizer) > most &&
	       symbol_processes_drop(&symbolizer->processes, kept, false))
		;
}

void symbolizer_put(struct symbolizer *symbolizer, const struct event_stack *stack, uint64_t now_ns,
		    struct buf *out)
{
	struct symbol_process *process =
		symbol_processes_get(&symbolizer->processes, stack->pid, now_ns);
	const uint64_t *addresses = (const uint64_t *)stack->addresses;
	uint32_t count = MIN(stack->count, (uint32_t)EVENT_MAX_FRAMES);
	uint32_t first_kernel = count, first_python = 0, native, end = stack->header.flags;

	symbol_merge_clear(&symbolizer->merge);
	while (first_kernel > 0 && addresses[first_kernel - 1] >= FIRST_KERNEL)
		first_kernel--;
	symbol_kernel_put(&symbolizer->kernel, addresses + first_kernel, count - first_kernel,
			  now_ns, out);
	while (first_python < first_kernel && !PYTHON_IS_WORD(addresses[first_python]))
		first_python++;
	native = process ? trim(symbolizer, process, addresses, first_python, now_ns, &end) : 0;
	symbolizer->stats.unknown += first_python - native;
	for (uint32_t i = 0; i < native; i++)
		take_user(symbolizer, process, addresses[i], now_ns);
	if (process && process->python)
		take_python(symbolizer, process, addresses + first_python,
			    first_kernel - first_python);
	symbol_merge_put(&symbolizer->merge, out);
	symbol_end_put(end, out);
	make_room(symbolizer, process);
}

void symbolizer_stats(const struct symbolizer *symbolizer, struct symbolizer_stats *out_stats)
{
	*out_stats = symbolizer->stats;
	out_stats->frames += symbolizer->kernel.frames;
	out_stats->unnamed += symbolizer->kernel.unnamed;
	out_stats->bytes = bytes_of(symbolizer);
}
