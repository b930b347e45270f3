/* SPDX-License-Identifier: Apache-2.0 */
/* Two processes: one asks, the other answers after a while, and both know their spans.
 *
 *   flow_pairs serve WAY STYLE WORK TRACE    prints its address; serves until its input ends
 *   flow_pairs ask WAY ADDRESS               asks once for each line of its input
 *
 * WAY: ways.h. STYLE, who works: the thread that takes requests ("plain"), one of a pool which also
 * answers ("pool"), one of a pool for an event loop which answers ("loop"). WORK: what it is
 * blocked on. TRACE: the span of the answer is in the asker's trace ("same") or begins one of its
 * own ("other"). */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/accuracy/truth.h"
#include "tests/flow/pairs/ways.h"

#define WORK_MS 80
#define WORKERS 2
#define QUEUE   16
#define WRITTEN (1 << 20)

static const struct way *way;

static void sleep_ms(long ms)
{
	struct timespec time = { .tv_nsec = ms * 1000000 };

	nanosleep(&time, NULL);
}

/* ---- what the server waits for */

static void write_to_disk(void)
{
	static char bytes[WRITTEN];
	uint64_t end = truth_now_ns() + WORK_MS * 1000000ull;
	int fd = open("rows", O_RDWR | O_CREAT, 0600);

	way_must(fd >= 0, "rows");
	while (truth_now_ns() < end)
		way_must(pwrite(fd, bytes, sizeof(bytes), 0) == WRITTEN && fsync(fd) == 0, "rows");
	close(fd);
}

static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;
static atomic_int is_locked;

static void *compact(void *arg)
{
	struct truth_span *span = truth_open("compact");

	pthread_mutex_lock(&table);
	atomic_store(&is_locked, 1);
	sleep_ms(WORK_MS);
	pthread_mutex_unlock(&table);
	truth_close(span);
	return arg;
}

/* Another thread has it, which works for a trace of its own. */
static void wait_for_lock(void)
{
	pthread_t thread;

	atomic_store(&is_locked, 0);
	way_must(pthread_create(&thread, NULL, compact, NULL) == 0, "thread");
	while (!atomic_load(&is_locked))
		;
	pthread_mutex_lock(&table);
	pthread_mutex_unlock(&table);
	pthread_join(thread, NULL);
}

static void run_child(void)
{
	pid_t child = vfork();

	if (child == 0) {
		execl("/bin/sleep", "sleep", "0.08", NULL);
		_exit(127);
	}
	waitpid(child, NULL, 0);
}

static const struct work {
	const char *name;
	void (*run)(void);
} works[] = { { "disk", write_to_disk }, { "lock", wait_for_lock }, { "child", run_child } };

static const struct work *work;
static int is_same_trace;

static void serve(struct request *request, int is_answering)
{
	static struct truth_span above[QUEUE]; /* what came with the requests */
	static atomic_uint count;
	struct truth_span *parent = &above[atomic_fetch_add(&count, 1) % QUEUE];

	memcpy(parent->trace_id, request->ids, sizeof(parent->trace_id));
	memcpy(parent->span_id, request->ids + 16, sizeof(parent->span_id));
	struct truth_span *span = truth_open_below("serve", is_same_trace ? parent : NULL);

	work->run();
	if (is_answering)
		way->answer(request);
	truth_close(span);
}

/* ---- who serves */

static struct queue {
	pthread_mutex_t mutex;
	pthread_cond_t more;
	struct request *list[QUEUE];
	unsigned first, count;
} todo = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, { NULL }, 0, 0 },
  done = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, { NULL }, 0, 0 };

static void put(struct queue *queue, struct request *request)
{
	pthread_mutex_lock(&queue->mutex);
	queue->list[(queue->first + queue->count++) % QUEUE] = request;
	pthread_cond_signal(&queue->more);
	pthread_mutex_unlock(&queue->mutex);
}

static struct request *get(struct queue *queue)
{
	pthread_mutex_lock(&queue->mutex);
	while (!queue->count)
		pthread_cond_wait(&queue->more, &queue->mutex);
	struct request *request = queue->list[queue->first++ % QUEUE];

	queue->count--;
	pthread_mutex_unlock(&queue->mutex);
	return request;
}

static int bell = -1;      /* an event loop's */
static atomic_int at_work; /* requests that are not done with */

static void *work_on(void *arg)
{
	static const uint64_t one = 1;

	for (;;) {
		struct request *request = get(&todo);

		serve(request, bell < 0);
		if (bell < 0) {
			free(request);
		} else {
			put(&done, request);
			way_must(write(bell, &one, sizeof(one)) == sizeof(one), "eventfd");
		}
		atomic_fetch_sub(&at_work, 1);
	}
	return arg;
}

static void answer_done(void)
{
	uint64_t count;

	way_must(read(bell, &count, sizeof(count)) == sizeof(count), "eventfd");
	for (; count; count--) {
		struct request *request = get(&done);

		way->answer(request);
		free(request);
	}
}

static struct request *take(int listener)
{
	struct request *request = calloc(1, sizeof(*request));

	way->take(listener, request);
	return request;
}

static void serve_one(int listener)
{
	struct request *request = take(listener);

	serve(request, 1);
	free(request);
}

static void pass_on(int listener)
{
	atomic_fetch_add(&at_work, 1);
	put(&todo, take(listener));
}

static void run(int listener, void (*on_request)(int))
{
	int poller = epoll_create1(0);
	struct epoll_event event = { .events = EPOLLIN };
	const int watched[] = { listener, bell, STDIN_FILENO };

	for (size_t i = 0; i < 3; i++) {
		event.data.fd = watched[i];
		if (watched[i] >= 0)
			way_must(epoll_ctl(poller, EPOLL_CTL_ADD, watched[i], &event) == 0,
				 "epoll");
	}
	for (;;) {
		if (epoll_wait(poller, &event, 1, -1) != 1)
			continue;
		if (event.data.fd == STDIN_FILENO)
			return;
		if (event.data.fd == bell)
			answer_done();
		else
			on_request(listener);
	}
}

static int serve_all(char **argv)
{
	char address[64];
	pthread_t thread;
	int listener = way->listen(address, sizeof(address)), is_plain;

	is_plain = strcmp(argv[3], "plain") == 0;
	if (strcmp(argv[3], "loop") == 0)
		bell = eventfd(0, 0);
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		if (strcmp(works[i].name, argv[4]) == 0)
			work = &works[i];
	is_same_trace = strcmp(argv[5], "same") == 0;
	way_must(work != NULL, argv[4]);
	for (int i = 0; i < WORKERS && !is_plain; i++)
		way_must(pthread_create(&thread, NULL, work_on, NULL) == 0, "thread");
	printf("\"%s\"\n", address);
	fflush(stdout);
	run(listener, is_plain ? serve_one : pass_on);
	while (atomic_load(&at_work))
		sleep_ms(1);
	return 0;
}

static int ask_all(const char *address)
{
	uint8_t ids[REQUEST_BYTES];

	while (getchar() != EOF) {
		struct truth_span *root = truth_open("report"), *span = truth_open("query");

		memcpy(ids, span->trace_id, 16);
		memcpy(ids + 16, span->span_id, 8);
		way->call(address, ids);
		truth_close(span);
		truth_close(root);
	}
	return 0;
}

int main(int argc, char **argv)
{
	way_must(argc >= 4, "arguments");
	way = way_find(argv[2]);
	way_must(spanwise_process_init(argv[1], NULL) == 0, "context");
	if (strcmp(argv[1], "serve") == 0)
		serve_all(argv);
	else
		ask_all(argv[3]);
	truth_print();
	return 0;
}
