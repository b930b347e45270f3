/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/discovery.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bpf/cpu_wait.h"
#include "bpf/discovery_queue.h"
#include "bpf/process_look.h"
#include "collector/base/macros.h"
#include "collector/base/map.h"

#define MAX_FILES          4096            /* that the cache remembers */
#define EXEC_DELAY_NS      NS_PER_MS       /* most programs that end at once have ended by then */
#define FORK_DELAY_NS      (5 * NS_PER_MS) /* most children that exec have done so by then */
#define EXIT_DELAY_NS      NS_PER_SEC      /* a thread that exits may have to wait for a CPU */
#define MAPPING_DELAY_NS   (2 * NS_PER_MS) /* a library is relocated after it was mapped */
#define SECOND_LOOK_NS     (50 * NS_PER_MS)
#define THIRD_LOOK_NS      (500 * NS_PER_MS)
#define HINT_COST_FACTOR   20  /* hints get at most 1/20 of the time for one process, */
#define RESCAN_COST_FACTOR 100 /* rescans 1/100: what a hostile one can make us spend */
#define HINT_LATE_NS       (50 * NS_PER_MS) /* so long after a mapping its hint may come */
#define MOST_CALM          2                /* doublings of the time between rescans */

/* A process is looked at soon after something happened to it, twice again while it starts up, then
 * by rescan. */
enum stage {
	STAGE_FRESH,
	STAGE_SECOND,
	STAGE_THIRD,
	STAGE_RESCAN,
};

struct process {
	struct discovery_item item; /* in the queue */
	uint32_t pid;
	enum stage stage;
	enum event_publish publish;
	bool is_announced; /* somebody was told, or has a copy of its parent's descriptor */
	bool is_leaving;   /* its end is known, and due to be told */
	bool is_kernels; /* a kernel thread: looked at now and then, its number may be another's */
	uint8_t calm;    /* rescans in a row that found no code that can publish, at most ... */
	uint64_t start_ns;
	uint64_t looked_ns;
	uint64_t cost_ns;    /* of the last look, without what it waited for a CPU */
	uint64_t news_hash;  /* of what was told; 0: tell again */
	uint64_t place_hash; /* of where its variables are; 0: nothing was told of them yet */
	uint64_t away_ns;    /* they are not there any more, since then; 0: they are */
	uint64_t hinted_ns;  /* the first mapping since the last look; 0: none */
	uint32_t scan;       /* the scan of /proc that saw it last */
	struct process_variables variables;
};

struct discovery {
	struct discovery_options options;
	struct process_looker looker;
	struct map by_pid; /* uint32_t -> struct process * (owned) */
	struct discovery_queue queue;
	int wait_fd;     /* of cpu_wait.h */
	uint64_t now_ns; /* of the caller, moved on by what work has taken since */
	uint64_t next_scan_ns;
	uint32_t scan;
	uint32_t refused; /* processes that found no room */
};

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

int discovery_new(const struct discovery_options *options, struct discovery **out_discovery)
{
	struct discovery *discovery = calloc(1, sizeof(*discovery));
	int rc;

	if (!discovery)
		return -ENOMEM;
	discovery->options = *options;
	discovery->wait_fd = cpu_wait_open();
	map_init(&discovery->by_pid, sizeof(uint32_t), sizeof(struct process *), clock_ns());
	rc = process_looker_init(&discovery->looker, MAX_FILES);
	if (rc < 0) {
		discovery_free(discovery);
		return rc;
	}
	*out_discovery = discovery;
	return 0;
}

void discovery_free(struct discovery *discovery)
{
	struct process **entry;
	size_t cursor = 0;

	if (!discovery)
		return;
	while ((entry = map_next(&discovery->by_pid, &cursor, NULL)))
		free(*entry);
	map_fini(&discovery->by_pid);
	discovery_queue_fini(&discovery->queue);
	process_looker_fini(&discovery->looker);
	if (discovery->wait_fd >= 0)
		close(discovery->wait_fd);
	free(discovery);
}

static struct process *find(const struct discovery *discovery, uint32_t pid)
{
	struct process **entry = map_get(&discovery->by_pid, &pid);

	return entry ? *entry : NULL;
}

static void forget(struct discovery *discovery, struct process *process)
{
	discovery_queue_remove(&discovery->queue, &process->item);
	map_delete(&discovery->by_pid, &process->pid);
	free(process);
}

static void tell_gone(struct discovery *discovery, const struct process *process)
{
	struct event_process news = {
		.pid = process->pid,
		.start_ns = process->start_ns,
		.seen_ns = clock_ns(),
		.gone = 1,
	};

	if (process->is_announced)
		discovery->options.on_process(&news, NULL, discovery->options.arg);
}

/* The process that will be asked for last of those that publish nothing. */
static struct process *least_wanted(const struct discovery *discovery)
{
	struct process *least = NULL;

	for (size_t i = 0; i < discovery->queue.count; i++) {
		struct process *process =
			CONTAINER_OF(discovery->queue.items[i], struct process, item);

		if (process->publish == PUBLISH_NOTHING &&
		    (!least || process->item.due_ns > least->item.due_ns))
			least = process;
	}
	return least;
}

static struct process *add(struct discovery *discovery, uint32_t pid)
{
	struct process *process, **entry, *least;

	if (discovery->by_pid.count >= discovery->options.max_processes) {
		least = least_wanted(discovery);
		if (!least) {
			discovery->refused++;
			return NULL;
		}
		forget(discovery, least);
	}
	process = calloc(1, sizeof(*process));
	entry = process ? map_put(&discovery->by_pid, &pid) : NULL;
	if (!entry) {
		free(process);
		return NULL;
	}
	*entry = process;
	process->pid = pid;
	process->scan = discovery->scan;
	return process;
}

static void queue(struct discovery *discovery, struct process *process, uint64_t due_ns)
{
	if (discovery_queue_put(&discovery->queue, &process->item, due_ns) < 0)
		forget(discovery, process); /* the next scan finds it again */
}

/* A child that is known already was seen by a scan before this news came, or its pid was given out
 * again and an exit was missed: the look will tell by its start. */
void discovery_on_fork(struct discovery *discovery, uint32_t parent_pid, uint32_t child_pid)
{
	const struct process *parent = find(discovery, parent_pid);
	bool inherits = parent && parent->publish == PUBLISH_TAGS;
	struct process *child = find(discovery, child_pid);

	if (!child)
		child = add(discovery, child_pid);
	if (!child)
		return;
	child->is_announced |= inherits;
	child->is_leaving = false;
	child->news_hash = 0; /* the kernel has its parent's descriptor for it */
	child->stage = STAGE_FRESH;
	child->calm = 0;
	child->variables.is_complete = false;
	queue(discovery, child, clock_ns() + (inherits ? FORK_DELAY_NS : SECOND_LOOK_NS));
}

void discovery_on_exec(struct discovery *discovery, uint32_t pid)
{
	struct process *process = find(discovery, pid);

	if (!process)
		process = add(discovery, pid);
	if (!process)
		return;
	process->variables = (struct process_variables){ 0 };
	process->place_hash = 0;
	process->away_ns = 0;
	process->news_hash = 0; /* the kernel has dropped the old descriptor */
	process->stage = STAGE_FRESH;
	process->calm = 0;
	queue(discovery, process, clock_ns() + EXEC_DELAY_NS);
}

static void look_soon(struct discovery *discovery, uint32_t pid, uint64_t delay_ns)
{
	struct process *process = find(discovery, pid);
	uint64_t due_ns;

	if (!process)
		process = add(discovery, pid);
	if (!process)
		return;
	due_ns = MAX(clock_ns() + delay_ns,
		     process->looked_ns + HINT_COST_FACTOR * process->cost_ns);
	process->variables.is_complete = false;
	process->stage = STAGE_FRESH;
	process->calm = 0;
	if (!process->item.place || process->item.due_ns > due_ns)
		queue(discovery, process, due_ns);
}

void discovery_on_mapping(struct discovery *discovery, uint32_t pid)
{
	struct process *process;

	look_soon(discovery, pid, MAPPING_DELAY_NS);
	process = find(discovery, pid);
	if (process && !process->hinted_ns)
		process->hinted_ns = clock_ns();
}

void discovery_on_log(struct discovery *discovery, uint32_t pid)
{
	look_soon(discovery, pid, 0);
}

/* One hears of an end, and even misses the directory, before the last thread's last switch: until
 * then the descriptor is needed. */
static void let_leave(struct discovery *discovery, struct process *process)
{
	process->is_leaving = true;
	queue(discovery, process, clock_ns() + EXIT_DELAY_NS);
}

void discovery_on_exit(struct discovery *discovery, uint32_t pid)
{
	struct process *process = find(discovery, pid);

	if (process)
		let_leave(discovery, process);
}

/* A library was closed, and opened again elsewhere, or another one was: until now, the place before
 * was read. Or a look came in between, and nothing was: the threads were not followed since. */
static void note_place(struct process *process, uint64_t looked_ns, struct event_process *news)
{
	const struct tag_descriptor *descriptor = &process->variables.descriptor;
	uint64_t hash = 0, now_ns = clock_ns(), since_ns = process->away_ns;

	if (news->publish == PUBLISH_TAGS)
		hash = map_hash(descriptor->variables, sizeof(descriptor->variables), 1) | 1;
	if (!since_ns && process->place_hash && hash != process->place_hash) {
		since_ns = looked_ns;
		if (process->hinted_ns)
			since_ns = MAX(since_ns, process->hinted_ns - HINT_LATE_NS);
	}
	if (hash && since_ns)
		news->moved_ms = (uint32_t)((now_ns - since_ns) / NS_PER_MS + 1);
	process->away_ns = hash ? 0 : since_ns;
	process->place_hash = hash ? hash : process->place_hash;
	process->hinted_ns = 0;
}

/* Tells what has changed since it was told last. */
static void tell(struct discovery *discovery, struct process *process, struct event_process *news)
{
	const struct tag_descriptor *descriptor =
		news->publish == PUBLISH_TAGS ? &process->variables.descriptor : NULL;
	uint64_t hash = map_hash(news, sizeof(*news), process->variables.descriptor.count);

	if (descriptor)
		hash = map_hash(descriptor, sizeof(*descriptor), hash);
	hash = hash ? hash : 1;
	if (hash == process->news_hash)
		return;
	process->news_hash = hash;
	process->is_announced = true;
	news->seen_ns = clock_ns();
	discovery->options.on_process(news, descriptor, discovery->options.arg);
}

/* The pid was given out again and the exit went unnoticed. */
static void note_reuse(struct discovery *discovery, struct process *process, uint64_t start_ns)
{
	if (process->start_ns && process->start_ns != start_ns) {
		tell_gone(discovery, process);
		process->is_announced = false;
		process->news_hash = 0;
	}
	process->start_ns = start_ns;
}

/* Nothing of what it has mapped can publish, and anything new is told. */
static bool is_calm(const struct discovery *discovery, const struct process *process)
{
	const struct process_variables *variables = &process->variables;

	return process->is_kernels ||
	       (discovery->options.tells_mappings && process->publish == PUBLISH_NOTHING &&
		variables->is_complete && !variables->needs_schema &&
		variables->descriptor.count == 0 && !variables->text[0]);
}

static void queue_again(struct discovery *discovery, struct process *process)
{
	static const uint64_t waits_ns[] = {
		[STAGE_FRESH] = SECOND_LOOK_NS,
		[STAGE_SECOND] = THIRD_LOOK_NS,
	};
	uint64_t wait_ns;

	if (process->stage < STAGE_THIRD)
		wait_ns = MAX(waits_ns[process->stage], HINT_COST_FACTOR * process->cost_ns);
	else
		wait_ns = MAX(discovery->options.rescan_ms * NS_PER_MS << process->calm,
			      RESCAN_COST_FACTOR * process->cost_ns);
	if (!is_calm(discovery, process))
		process->calm = 0;
	else if (process->stage == STAGE_RESCAN || process->is_kernels)
		process->calm = MIN(process->calm + 1, MOST_CALM);
	process->stage = MIN(process->stage + 1, STAGE_RESCAN);
	queue(discovery, process, process->looked_ns + wait_ns);
}

static void look(struct discovery *discovery, struct process *process)
{
	uint64_t begin_ns = clock_ns(), before_ns = process->looked_ns;
	uint64_t waited_ns = cpu_wait_ns(discovery->wait_fd);
	struct event_process news;
	int rc = process_look(&discovery->looker, process->pid, &news, &process->variables);

	waited_ns = cpu_wait_ns(discovery->wait_fd) - waited_ns;
	process->cost_ns = clock_ns() - begin_ns;
	discovery->now_ns += process->cost_ns;
	process->cost_ns -= MIN(process->cost_ns, waited_ns);
	process->looked_ns = discovery->now_ns;
	process->is_kernels = rc == -ENOEXEC && !process->is_announced;
	if (rc == -ENOEXEC && process->is_announced) /* its number is a kernel thread's now */
		rc = -ESRCH;
	if (rc == -ESRCH && process->is_announced && !process->is_leaving) {
		let_leave(discovery, process);
		return;
	}
	if (rc == -ESRCH || (process->is_kernels &&
			     discovery->by_pid.count > discovery->options.max_processes / 2)) {
		tell_gone(discovery, process);
		forget(discovery, process);
		return;
	}
	if (rc == 0) {
		note_reuse(discovery, process, news.start_ns);
		process->publish = news.publish;
		note_place(process, before_ns, &news);
		tell(discovery, process, &news);
	}
	queue_again(discovery, process);
}

static void note_pid(struct discovery *discovery, uint32_t pid, bool is_first, uint64_t now_ns)
{
	struct process *process = find(discovery, pid);

	if (!process) {
		process = add(discovery, pid);
		if (!process)
			return;
		process->stage = is_first ? STAGE_THIRD : STAGE_FRESH;
		queue(discovery, process, now_ns);
		return;
	}
	process->scan = discovery->scan;
}

/* Those that the scan did not see have ended: a look will find out and tell. */
static void recheck_unseen(struct discovery *discovery, uint64_t now_ns)
{
	struct process **entry;
	size_t cursor = 0;

	while ((entry = map_next(&discovery->by_pid, &cursor, NULL)))
		if ((*entry)->scan != discovery->scan)
			discovery_queue_put(&discovery->queue, &(*entry)->item, now_ns);
}

static void scan_all(struct discovery *discovery)
{
	uint64_t begin_ns = clock_ns(), now_ns = discovery->now_ns;
	bool is_first = discovery->scan++ == 0;
	DIR *directory = opendir("/proc");
	const struct dirent *entry;

	discovery->next_scan_ns = now_ns + discovery->options.rescan_ms * NS_PER_MS;
	if (!directory)
		return;
	while ((entry = readdir(directory))) {
		if (isdigit((unsigned char)entry->d_name[0]))
			note_pid(discovery, (uint32_t)strtoul(entry->d_name, NULL, 10), is_first,
				 now_ns);
	}
	closedir(directory);
	recheck_unseen(discovery, now_ns);
	discovery->now_ns += clock_ns() - begin_ns;
}

int discovery_run(struct discovery *discovery, uint64_t now_ns, uint64_t budget_ns)
{
	struct discovery_item *first;
	uint64_t next_ns;

	discovery->now_ns = now_ns;
	if (now_ns >= discovery->next_scan_ns)
		scan_all(discovery);
	while ((first = discovery_queue_first(&discovery->queue)) &&
	       first->due_ns <= discovery->now_ns && discovery->now_ns - now_ns <= budget_ns)
		look(discovery, CONTAINER_OF(first, struct process, item));
	next_ns = discovery->next_scan_ns;
	if (first)
		next_ns = MIN(next_ns, first->due_ns);
	if (next_ns <= discovery->now_ns)
		return 0;
	return (int)MIN((next_ns - discovery->now_ns + NS_PER_MS - 1) / NS_PER_MS, INT32_MAX);
}

void discovery_stats(const struct discovery *discovery, struct discovery_stats *out_stats)
{
	struct discovery_stats stats = {
		.files_refused = elf_cache_refused(discovery->looker.cache),
		.cache_bytes = elf_cache_bytes(discovery->looker.cache),
		.processes_refused = discovery->refused,
	};
	struct process **entry;
	size_t cursor = 0;

	while ((entry = map_next(&discovery->by_pid, &cursor, NULL))) {
		stats.processes_seen += (*entry)->is_announced;
		stats.processes_publishing += (*entry)->publish == PUBLISH_TAGS;
		stats.processes_unreadable += (*entry)->publish == PUBLISH_UNREADABLE;
	}
	*out_stats = stats;
}
