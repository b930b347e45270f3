/* SPDX-License-Identifier: Apache-2.0 */
/* What was made by who had not read how it is judged: threads that do anything with spans of all,
 * contexts that are shown late and withdrawn early, a record that belongs to the request, workers
 * of the kernel's in a process. */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/accuracy/scenario.h"
#include "tests/bench/accuracy/shown.h"

/* ---- anything: each thread begins, shows and ends whatever there is, its own or not */

#define SPANS   24
#define ACTORS  3
#define ACTIONS 40

static struct {
	pthread_mutex_t lock;
	struct truth_span *spans[SPANS];
	unsigned count;
} any = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Under the lock. */
static struct truth_span *pick(void)
{
	return any.count ? any.spans[truth_between(0, any.count - 1)] : NULL;
}

static void begin_any(void)
{
	struct truth_span *span = NULL;

	pthread_mutex_lock(&any.lock);
	if (any.count < SPANS) {
		span = shown_begin("any", truth_one_in(2)   ? shown_now()
					  : truth_one_in(2) ? pick()
							    : NULL);
		any.spans[any.count++] = span;
	}
	pthread_mutex_unlock(&any.lock);
	if (span)
		shown_show(span);
}

static void show_any(void)
{
	struct truth_span *span;

	pthread_mutex_lock(&any.lock);
	span = pick();
	pthread_mutex_unlock(&any.lock);
	shown_show(span);
}

static void end_any(void)
{
	struct truth_span *span;

	pthread_mutex_lock(&any.lock);
	span = truth_one_in(2) ? shown_now() : pick();
	if (span && span->is_open)
		shown_end(span);
	pthread_mutex_unlock(&any.lock);
}

static void act(void)
{
	switch (truth_between(0, 7)) {
	case 0:
	case 1:
		begin_any();
		break;
	case 2:
		show_any();
		break;
	case 3:
		end_any();
		break;
	case 4:
		shown_show(shown_now() ? shown_now()->parent : NULL);
		break;
	case 5:
		if (truth_one_in(2))
			shown_show(NULL);
		break;
	default:
		shown_spin();
	}
}

static void *actor_main(void *unused)
{
	for (int i = 0; i < ACTIONS; i++) {
		act();
		if (truth_one_in(2))
			shown_spin();
		if (truth_one_in(4))
			scenario_sleep_ns(truth_length_ns(20 * US, 1 * MS));
	}
	shown_show(NULL);
	return unused;
}

static void anything(void)
{
	pthread_t threads[ACTORS];

	any.count = 0;
	for (int i = 0; i < ACTORS; i++)
		scenario_check(pthread_create(&threads[i], NULL, actor_main, NULL) == 0, "thread");
	for (int i = 0; i < ACTORS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < any.count; i++) {
		if (any.spans[i]->is_open)
			shown_end(any.spans[i]);
	}
}

/* ---- contexts that are shown a while after the begin, and withdrawn a while before the end */

static void play_late(int depth)
{
	struct truth_span *span = truth_open_detached(depth ? "part" : "late");
	bool is_early = truth_one_in(2);

	if (truth_one_in(2))
		scenario_spin(5 * US, 1500 * US);
	truth_show(span);
	scenario_spin(5 * US, 300 * US);
	scenario_nap_now_and_then();
	for (int i = depth < 2 ? (int)truth_between(0, 2) : 0; i > 0; i--)
		play_late(depth + 1);
	truth_hide(span);
	if (is_early) {
		scenario_spin(5 * US, 1500 * US);
		scenario_nap_now_and_then();
	}
	truth_close_detached(span);
}

static void *late_main(void *unused)
{
	for (int i = 0; i < 4; i++) {
		play_late(0);
		scenario_pause();
	}
	return unused;
}

static void late_shown(void)
{
	shown_at_once(late_main);
}

/* ---- a record that belongs to the request: who works at it points there, and does so still while
 * it sleeps and the next request's ids are written to it */

struct record {
	uint8_t trace_id[16], span_id[8];
	volatile uint8_t valid;
	uint8_t flags;
	uint16_t attrs_bytes;
} __attribute__((aligned(8)));

extern __thread void *volatile otel_thread_ctx_v1;

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t helper;
	clockid_t clock; /* its CPU time */
	struct record record;
	bool is_started, is_asked;
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void write_record(const struct truth_span *span)
{
	shared.record.valid = 0;
	atomic_signal_fence(memory_order_seq_cst);
	if (!span)
		return;
	memcpy(shared.record.trace_id, span->trace_id, sizeof(span->trace_id));
	memcpy(shared.record.span_id, span->span_id, sizeof(span->span_id));
	atomic_signal_fence(memory_order_seq_cst);
	shared.record.valid = 1;
}

static void *helper_main(void *unused)
{
	otel_thread_ctx_v1 = &shared.record;
	pthread_mutex_lock(&shared.lock);
	for (;;) {
		while (!shared.is_asked)
			pthread_cond_wait(&shared.changed, &shared.lock);
		pthread_mutex_unlock(&shared.lock);
		scenario_spin(20 * US, 500 * US);
		if (truth_one_in(2))
			scenario_sleep_ns(100 * US);
		scenario_spin(20 * US, 500 * US);
		pthread_mutex_lock(&shared.lock);
		shared.is_asked = false;
		pthread_cond_broadcast(&shared.changed);
	}
	return unused;
}

static void ask_helper(void)
{
	pthread_mutex_lock(&shared.lock);
	shared.is_asked = true;
	pthread_cond_broadcast(&shared.changed);
	while (shared.is_asked)
		pthread_cond_wait(&shared.changed, &shared.lock);
	pthread_mutex_unlock(&shared.lock);
}

static uint64_t helper_cpu_ns(void)
{
	struct timespec now = { 0 };

	clock_gettime(shared.clock, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* Both show it from the one call to the other; the clocks are read at no one instant. */
static uint64_t share(const struct truth_span *span, struct truth_span *slackened)
{
	uint64_t cpu_ns = truth_cpu_ns(), helped_ns;

	write_record(span);
	helped_ns = helper_cpu_ns();
	slackened->cpu_slack_ns += truth_cpu_ns() - cpu_ns;
	return helped_ns;
}

static void play_shared(void)
{
	struct truth_span *span = truth_open_detached("request");
	uint64_t helped_ns = share(span, span);

	scenario_spin(20 * US, 500 * US);
	if (truth_one_in(2))
		ask_helper();
	else
		scenario_nap(20 * US, 1 * MS);
	scenario_spin(20 * US, 500 * US);
	span->cpu_ns += share(NULL, span) - helped_ns;
	truth_close_detached(span);
	scenario_spin(5 * US, 50 * US);
}

static void shared_record(void)
{
	if (!shared.is_started) {
		scenario_check(pthread_create(&shared.helper, NULL, helper_main, NULL) == 0,
			       "thread");
		pthread_getcpuclockid(shared.helper, &shared.clock);
	}
	shared.is_started = true;
	otel_thread_ctx_v1 = &shared.record;
	for (int i = 0; i < 4; i++)
		play_shared();
	otel_thread_ctx_v1 = NULL;
}

/* ---- io_uring: its poller and its workers are threads of the process, with their maker's thread
 * pointer; none of them is a span's */

#define READ_BYTES (1U << 20)

struct ring {
	int fd, file;
	struct io_uring_params params;
	char *queue, *answers, *buffer;
	struct io_uring_sqe *entries;
};

static char *map_ring(int fd, size_t bytes, off_t what)
{
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED | MAP_POPULATE, fd, what);

	scenario_check(at != MAP_FAILED, "memory");
	return at;
}

static size_t queue_bytes(const struct ring *ring)
{
	return ring->params.sq_off.array + ring->params.sq_entries * sizeof(uint32_t);
}

static size_t answer_bytes(const struct ring *ring)
{
	return ring->params.cq_off.cqes + ring->params.cq_entries * sizeof(struct io_uring_cqe);
}

static void open_ring(struct ring *ring)
{
	*ring = (struct ring){ .params = { .sq_thread_idle = 2 /* ms */ } };
	ring->params.flags = truth_one_in(2) ? IORING_SETUP_SQPOLL : 0;
	ring->fd = (int)syscall(SYS_io_uring_setup, 8, &ring->params);
	scenario_check(ring->fd >= 0, "io_uring_setup");
	ring->file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ring->queue = map_ring(ring->fd, queue_bytes(ring), IORING_OFF_SQ_RING);
	ring->answers = map_ring(ring->fd, answer_bytes(ring), IORING_OFF_CQ_RING);
	ring->entries = (void *)map_ring(ring->fd, ring->params.sq_entries * sizeof(*ring->entries),
					 IORING_OFF_SQES);
	ring->buffer = map_ring(-1, READ_BYTES, 0);
}

static void close_ring(struct ring *ring)
{
	close(ring->fd);
	close(ring->file);
	munmap(ring->queue, queue_bytes(ring));
	munmap(ring->answers, answer_bytes(ring));
	munmap(ring->entries, ring->params.sq_entries * sizeof(*ring->entries));
	munmap(ring->buffer, READ_BYTES);
}

static uint32_t *word(char *at, uint32_t offset)
{
	return (void *)(at + offset);
}

static void submit(struct ring *ring)
{
	uint32_t *tail = word(ring->queue, ring->params.sq_off.tail);
	uint32_t index = *tail % ring->params.sq_entries;
	uint32_t *flags = word(ring->queue, ring->params.sq_off.flags);

	ring->entries[index] = (struct io_uring_sqe){
		.opcode = IORING_OP_READ,
		.flags = truth_one_in(2) ? IOSQE_ASYNC : 0, /* by a worker */
		.fd = ring->file,
		.addr = (uintptr_t)ring->buffer,
		.len = READ_BYTES,
	};
	word(ring->queue, ring->params.sq_off.array)[index] = index;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(ring->params.flags & IORING_SETUP_SQPOLL))
		syscall(SYS_io_uring_enter, ring->fd, 1, 0, 0, NULL, 0);
	else if (__atomic_load_n(flags, __ATOMIC_ACQUIRE) & IORING_SQ_NEED_WAKEUP)
		syscall(SYS_io_uring_enter, ring->fd, 1, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0);
}

static void take_answer(struct ring *ring)
{
	uint32_t *head = word(ring->answers, ring->params.cq_off.head);
	uint32_t *tail = word(ring->answers, ring->params.cq_off.tail);

	truth_wait_begin();
	while (__atomic_load_n(tail, __ATOMIC_ACQUIRE) == *head)
		syscall(SYS_io_uring_enter, ring->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	truth_wait_end();
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
}

static void by_ring(void)
{
	struct truth_span *request = truth_open("request"), *part;
	struct ring ring;

	open_ring(&ring);
	for (int i = 0; i < 6; i++) {
		part = truth_open("read");
		submit(&ring);
		if (truth_one_in(2))
			scenario_spin(5 * US, 300 * US);
		take_answer(&ring);
		truth_close(part);
		if (truth_one_in(2))
			scenario_spin(5 * US, 3 * MS);
	}
	truth_close(request);
	close_ring(&ring);
}

const struct scenario scenario_strangers[] = {
	{ .name = "anything", .turn = anything },
	{ .name = "late-shown", .turn = late_shown },
	{ .name = "shared-record", .turn = shared_record },
	{ .name = "by-ring", .turn = by_ring },
	{ .name = NULL },
};
