/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/stack_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/kernel_waits.h"
#include "bpf/mono_clock.h"
#include "bpf/probe.h"
#include "bpf/probe_packet.h"
#include "bpf/process_news.h"
#include "bpf/symbol_open.h"
#include "collector/base/macros.h"
#include "collector/base/map.h"

#define NAP_NS          (20 * NS_PER_MS) /* no stack wakes us: that would cost the switch */
#define TOLD_AGAIN_NS   (60 * NS_PER_SEC)
#define NAMED_LATER_NS  (5 * NS_PER_SEC) /* told again so soon, if names may have come since */
#define MAX_TOLD        65536
#define MAX_STACK_BYTES ((size_t)EVENT_MAX_FRAMES * 2200)
#define SYMBOL_BYTES    ((size_t)16 << 20) /* unless told otherwise */

struct stack_worker {
	pthread_t thread;
	struct ring_buffer *ring; /* owned, as the rest */
	struct symbolizer *symbolizer;
	struct unwind_load *tables; /* NULL: walks go by frame pointers */
	int socket_fd, pythons_fd, kernel_waits_fd;
	struct map told; /* id -> uint64_t, when */
	struct buf frames;
	uint64_t now_ns;
	bool told_python; /* of one that we cannot read */

	pthread_mutex_t lock; /* all down to the end */
	pthread_cond_t wake;
	bool stopping;
	struct process_news_list news;
	atomic_bool has_news; /* without the lock */
	struct symbolizer_stats stats;
	struct unwind_load_stats walked;
};

/* ---- one stack */

static void send(struct stack_worker *worker, const struct event_stack *stack)
{
	struct str frames = buf_str(&worker->frames);
	struct probe_message message = { .kind = PROBE_STACK };

	message.stack.id = stack->id;
	message.stack.pid = stack->pid;
	message.stack.total_bytes = (uint32_t)frames.len;
	do {
		size_t bytes = MIN(frames.len - message.stack.offset, (size_t)PROBE_PIECE_BYTES);

		message.stack.bytes = (uint32_t)bytes;
		if (bytes)
			memcpy(message.stack.data, frames.data + message.stack.offset, bytes);
		if (probe_packet_send(worker->socket_fd, &message, -1, -1) < 0)
			return; /* the worker's main loop notices too */
		message.stack.offset += (uint32_t)bytes;
	} while (message.stack.offset < frames.len);
}

/* Have we told of it lately? If not, we do now. */
static bool is_told(struct stack_worker *worker, uint64_t id)
{
	uint64_t *told_ns = map_get(&worker->told, &id);

	if (told_ns && *told_ns + TOLD_AGAIN_NS > worker->now_ns)
		return true;
	if (!told_ns && worker->told.count >= MAX_TOLD)
		map_clear(&worker->told);
	told_ns = map_put(&worker->told, &id);
	if (told_ns)
		*told_ns = worker->now_ns;
	return false;
}

static void tell_again_soon(struct stack_worker *worker, uint64_t id)
{
	uint64_t *told_ns = map_get(&worker->told, &id);

	if (told_ns)
		*told_ns = worker->now_ns + NAMED_LATER_NS - TOLD_AGAIN_NS;
}

/* Of those that were asked for so far, how many may have names the next time. */
static uint64_t count_open(const struct stack_worker *worker)
{
	struct symbolizer_stats stats;

	symbolizer_stats(worker->symbolizer, &stats);
	return stats.unknown + stats.jit_unnamed;
}

static bool is_sound(const struct event_stack *stack, size_t bytes)
{
	return bytes >= offsetof(struct event_stack, addresses) &&
	       stack->header.kind == EVENT_STACK && stack->count <= EVENT_MAX_FRAMES &&
	       bytes >= offsetof(struct event_stack, addresses) +
				stack->count * sizeof(stack->addresses[0]);
}

/* ---- the thread */

/* Asks for it at the end of a nap. Lost news cost nothing but an early look: the maps are read when
 * a stack comes, too. */
static void tell(struct stack_worker *worker, struct process_news news)
{
	if (!worker)
		return;
	pthread_mutex_lock(&worker->lock);
	process_news_put(&worker->news, news);
	atomic_store(&worker->has_news, true);
	pthread_mutex_unlock(&worker->lock);
}

/* Once: an operator who looks for Python's functions should not have to guess. */
static void note_python(struct stack_worker *worker, uint32_t pid, const struct python_place *place)
{
	struct probe_message message = { .kind = PROBE_NOTE };

	if (worker->told_python)
		return;
	worker->told_python = true;
	snprintf(message.text, sizeof(message.text),
		 "process %u runs a Python whose frames are not read (those of CPython 3.7 and "
		 "later are): "
		 "its stacks show the interpreter's own functions (%s)",
		 pid, place->module);
	probe_packet_send(worker->socket_fd, &message, -1, -1);
}

/* From now on the kernel half sees its Python frames, and we can name them. */
static void find_python(struct stack_worker *worker, uint32_t pid)
{
	const struct python_place *place = unwind_load_python(worker->tables, pid);
	int directory_fd = place ? symbol_open_process(pid) : -1, memory_fd, rc;
	struct python_layout layout;

	if (directory_fd < 0)
		return;
	memory_fd = openat(directory_fd, "mem", O_RDONLY | O_CLOEXEC);
	close(directory_fd);
	if (memory_fd < 0)
		return;
	rc = python_layout_read(memory_fd, place, &layout);
	if (rc == 0) {
		symbolizer_python(worker->symbolizer, pid, &layout);
		bpf_map_update_elem(worker->pythons_fd, &pid, &layout.kernel, BPF_ANY);
	} else if (rc == -ENOTSUP) {
		note_python(worker, pid, place);
	}
	close(memory_fd);
}

/* Of a process that we were told of, or whose stack we saw: now the kernel half can walk it. */
static void on_maps(uint32_t pid, const struct symbol_maps *maps, void *arg)
{
	struct stack_worker *worker = arg;

	if (worker->tables && unwind_load_process(worker->tables, pid, maps) == 0)
		find_python(worker, pid);
}

/* The kernel half does not walk it any more. */
static void unload(struct stack_worker *worker, uint32_t pid)
{
	if (!worker->tables)
		return;
	unwind_load_forget(worker->tables, pid);
	bpf_map_delete_elem(worker->pythons_fd, &pid);
}

static void forget(struct stack_worker *worker, uint32_t pid)
{
	symbolizer_forget(worker->symbolizer, pid);
	unload(worker, pid);
}

static void take(struct stack_worker *worker, const struct process_news *news)
{
	switch (news->change) {
	case PROCESS_MAPPED:
		if (!symbolizer_meet(worker->symbolizer, news->pid, worker->now_ns))
			tell(worker, *news); /* it was looked at a moment ago: later */
		return;
	case PROCESS_OTHER_PROGRAM:
		forget(worker, news->pid);
		return;
	case PROCESS_GONE: /* names are still asked for */
		unload(worker, news->pid);
	}
}

static void take_news(struct stack_worker *worker)
{
	static struct process_news_list taken; /* one thread */

	pthread_mutex_lock(&worker->lock);
	taken = worker->news;
	worker->news.count = 0;
	atomic_store(&worker->has_news, false);
	pthread_mutex_unlock(&worker->lock);
	for (uint32_t i = 0; i < taken.count; i++)
		take(worker, &taken.news[i]);
}

static int on_stack(void *arg, void *data, size_t bytes)
{
	struct stack_worker *worker = arg;
	const struct event_stack *stack = data;
	uint64_t pending;

	if (atomic_load(
		    &worker->has_news)) /* a new process does not wait for the names of others */
		take_news(worker);
	if (!is_sound(stack, bytes) || is_told(worker, stack->id))
		return 0;
	buf_clear(&worker->frames);
	pending = count_open(worker);
	symbolizer_put(worker->symbolizer, stack, worker->now_ns, &worker->frames);
	if (count_open(worker) != pending)
		tell_again_soon(worker, stack->id);
	if (buf_error(&worker->frames) == 0)
		send(worker, stack);
	return 0;
}

/* false: it is over. */
static bool nap(struct stack_worker *worker)
{
	uint64_t until_ns = mono_ns() + NAP_NS;
	struct timespec until = { .tv_sec = (time_t)(until_ns / NS_PER_SEC),
				  .tv_nsec = (long)(until_ns % NS_PER_SEC) };
	bool goes_on;

	pthread_mutex_lock(&worker->lock);
	symbolizer_stats(worker->symbolizer, &worker->stats);
	if (worker->tables)
		unwind_load_stats(worker->tables, &worker->walked);
	if (!worker->stopping)
		pthread_cond_timedwait(&worker->wake, &worker->lock, &until);
	goes_on = !worker->stopping;
	pthread_mutex_unlock(&worker->lock);
	return goes_on;
}

/* From now on the kernel half knows what some of the kernel's functions wait for; without, reasons
 * stay open. */
static void tell_kernel_waits(const struct symbol_table *kernel, void *arg)
{
	struct stack_worker *worker = arg;
	struct kernel_wait *waits = malloc(KERNEL_WAITS * sizeof(*waits));

	if (!waits)
		return;
	kernel_waits_pick(kernel, waits);
	for (uint32_t i = 0; i < KERNEL_WAITS; i++)
		bpf_map_update_elem(worker->kernel_waits_fd, &i, &waits[i], BPF_ANY);
	free(waits);
}

static void *run(void *arg)
{
	struct stack_worker *worker = arg;

	pthread_setname_np(pthread_self(), "stacks");
	symbolizer_look_at_kernel(worker->symbolizer, mono_ns());
	do {
		worker->now_ns = mono_ns();
		take_news(worker);
		ring_buffer__consume(worker->ring);
	} while (nap(worker));
	return NULL;
}

/* ---- life */

static void free_worker(struct stack_worker *worker)
{
	ring_buffer__free(worker->ring);
	symbolizer_free(worker->symbolizer);
	unwind_load_free(worker->tables);
	map_fini(&worker->told);
	buf_fini(&worker->frames);
	pthread_cond_destroy(&worker->wake);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}

int stack_worker_start(int stacks_fd, const struct unwind_load_fds *tables, int socket_fd,
		       size_t symbol_bytes, struct stack_worker **out_worker)
{
	struct stack_worker *worker = calloc(1, sizeof(*worker));
	pthread_condattr_t monotonic;
	int rc;

	if (!worker)
		return -ENOMEM;
	worker->socket_fd = socket_fd;
	worker->pythons_fd = tables->pythons;
	worker->kernel_waits_fd = tables->kernel_waits;
	map_init(&worker->told, sizeof(uint64_t), sizeof(uint64_t), 0);
	buf_init(&worker->frames, MAX_STACK_BYTES);
	pthread_mutex_init(&worker->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&worker->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	rc = symbolizer_new(symbol_bytes ? symbol_bytes : SYMBOL_BYTES, &worker->symbolizer);
	if (rc == 0)
		symbolizer_on_kernel(worker->symbolizer, tell_kernel_waits, worker);
	if (rc == 0 && unwind_load_new(tables, &worker->tables) == 0)
		symbolizer_on_maps(worker->symbolizer, on_maps, worker);
	if (rc == 0) {
		worker->ring = ring_buffer__new(stacks_fd, on_stack, worker, NULL);
		rc = worker->ring ? -pthread_create(&worker->thread, NULL, run, worker) : -errno;
	}
	if (rc < 0) {
		free_worker(worker);
		return rc;
	}
	*out_worker = worker;
	return 0;
}

void stack_worker_stop(struct stack_worker *worker)
{
	if (!worker)
		return;
	pthread_mutex_lock(&worker->lock);
	worker->stopping = true;
	pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&worker->lock);
	pthread_join(worker->thread, NULL);
	free_worker(worker);
}

/* Of this one at once: until then its stacks end where no frame pointers are kept. */
void stack_worker_meet(struct stack_worker *worker, uint32_t pid)
{
	tell(worker, (struct process_news){ pid, PROCESS_MAPPED });
	if (worker)
		pthread_cond_signal(&worker->wake);
}

void stack_worker_forget(struct stack_worker *worker, uint32_t pid)
{
	tell(worker, (struct process_news){ pid, PROCESS_OTHER_PROGRAM });
}

void stack_worker_gone(struct stack_worker *worker, uint32_t pid)
{
	tell(worker, (struct process_news){ pid, PROCESS_GONE });
}

void stack_worker_stats(struct stack_worker *worker, struct symbolizer_stats *out_named,
			struct unwind_load_stats *out_walked)
{
	pthread_mutex_lock(&worker->lock);
	*out_named = worker->stats;
	*out_walked = worker->walked;
	pthread_mutex_unlock(&worker->lock);
}
