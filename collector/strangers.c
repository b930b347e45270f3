/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/strangers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/base/map.h"
#include "correlate/ledger.h"

#define MAX_PROCESSES 65536
#define SWEEP_NS      NS_PER_SEC
#define CLAIM_NS      (60 * NS_PER_SEC)  /* spans of a process may come so long after its end */
#define PUBLISHED_NS  (120 * NS_PER_SEC) /* ... and those of one that has published */
#define LOOKS         2                  /* reports of the worker: by then it has seen all */
#define SEEN_BITS     18                 /* batches remembered: more than come in 10 s one by one */

enum watch { WATCH_UNKNOWN, WATCH_KERNEL, WATCH_NOTHING };

struct neighbour {
	uint32_t ns_pid;
	bool publishes;
	uint64_t gone_ns; /* 0: it lives */
};

struct strangers {
	pthread_mutex_t lock; /* of all */
	enum watch watch;
	unsigned looks; /* since the hello */
	unsigned publishers;
	uint32_t reported;            /* publishers by the worker's last report */
	uint64_t suspicious_until_ns; /* somebody who is gone has published */
	struct map neighbours;        /* pid -> struct neighbour */
	struct map by_ns_pid;         /* -> uint32_t: how many have it */
	uint64_t swept_ns;
	uint32_t *seen; /* owned: by hash, another hash of a batch's first span */
};

int strangers_new(struct strangers **out_strangers)
{
	struct strangers *strangers = calloc(1, sizeof(*strangers));

	if (!strangers)
		return -ENOMEM;
	strangers->seen = calloc((size_t)1 << SEEN_BITS, sizeof(*strangers->seen));
	if (!strangers->seen) {
		free(strangers);
		return -ENOMEM;
	}
	pthread_mutex_init(&strangers->lock, NULL);
	map_init(&strangers->neighbours, sizeof(uint32_t), sizeof(struct neighbour), 1);
	map_init(&strangers->by_ns_pid, sizeof(uint32_t), sizeof(uint32_t), 1);
	strangers->neighbours.max_count = MAX_PROCESSES;
	*out_strangers = strangers;
	return 0;
}

void strangers_free(struct strangers *strangers)
{
	if (!strangers)
		return;
	map_fini(&strangers->neighbours);
	map_fini(&strangers->by_ns_pid);
	pthread_mutex_destroy(&strangers->lock);
	free(strangers->seen);
	free(strangers);
}

static void count_ns_pid(struct strangers *strangers, uint32_t ns_pid, int step)
{
	uint32_t *count = map_put(&strangers->by_ns_pid, &ns_pid);

	if (!count)
		return;
	*count += (uint32_t)step;
	if (*count == 0)
		map_delete(&strangers->by_ns_pid, &ns_pid);
}

/* It publishes no more, or is another one. */
static void end_publishing(struct strangers *strangers, struct neighbour *neighbour,
			   uint64_t now_ns)
{
	if (!neighbour->publishes)
		return;
	neighbour->publishes = false;
	strangers->publishers--;
	strangers->suspicious_until_ns = now_ns + PUBLISHED_NS;
}

static void forget(struct strangers *strangers, uint32_t pid)
{
	struct neighbour *known = map_get(&strangers->neighbours, &pid);

	if (!known)
		return;
	count_ns_pid(strangers, known->ns_pid, -1);
	map_delete(&strangers->neighbours, &pid);
}

/* Deleting moves others in the map: the gone are listed first. */
static void sweep(struct strangers *strangers, uint64_t now_ns)
{
	uint32_t gone[64];
	size_t cursor = 0, count = 0;
	const struct neighbour *at;
	const void *pid;

	if (now_ns - strangers->swept_ns < SWEEP_NS)
		return;
	strangers->swept_ns = now_ns;
	while (count < ARRAY_LEN(gone) && (at = map_next(&strangers->neighbours, &cursor, &pid))) {
		if (at->gone_ns && now_ns - at->gone_ns > CLAIM_NS)
			memcpy(&gone[count++], pid, sizeof(gone[0]));
	}
	for (size_t i = 0; i < count; i++)
		forget(strangers, gone[i]);
}

static void meet(struct strangers *strangers, const struct event_process *process, uint64_t now_ns)
{
	bool publishes = process->publish == PUBLISH_TAGS;
	struct neighbour *known;

	known = map_get(&strangers->neighbours, &process->pid);
	if (known) {
		if (!publishes)
			end_publishing(strangers, known, now_ns);
		publishes = publishes && !known->publishes;
		count_ns_pid(strangers, known->ns_pid, -1);
	}
	known = map_put(&strangers->neighbours, &process->pid);
	strangers->publishers += publishes;
	if (!known) /* too many: one that publishes is counted for good */
		return;
	*known = (struct neighbour){ process->ns_pid, known->publishes || publishes, 0 };
	count_ns_pid(strangers, known->ns_pid, 1);
}

void strangers_on_process(struct strangers *strangers, const struct event_process *process,
			  uint64_t now_ns)
{
	struct neighbour *known;

	pthread_mutex_lock(&strangers->lock);
	if (!process->gone) {
		meet(strangers, process, now_ns);
	} else if ((known = map_get(&strangers->neighbours, &process->pid))) {
		end_publishing(strangers, known, now_ns);
		known->gone_ns = now_ns;
	}
	sweep(strangers, now_ns);
	pthread_mutex_unlock(&strangers->lock);
}

static void begin(struct strangers *strangers, enum watch watch)
{
	pthread_mutex_lock(&strangers->lock);
	strangers->watch = watch;
	strangers->looks = 0;
	pthread_mutex_unlock(&strangers->lock);
}

void strangers_on_hello(struct strangers *strangers)
{
	begin(strangers, WATCH_KERNEL);
}

void strangers_on_death(struct strangers *strangers)
{
	begin(strangers, WATCH_UNKNOWN);
}

void strangers_without_kernel(struct strangers *strangers)
{
	begin(strangers, WATCH_NOTHING);
}

void strangers_on_look(struct strangers *strangers, uint32_t publishing)
{
	pthread_mutex_lock(&strangers->lock);
	strangers->looks += strangers->looks < LOOKS;
	strangers->reported = publishing;
	pthread_mutex_unlock(&strangers->lock);
}

/* Locked. */
static bool are_alone(const struct strangers *strangers, uint64_t now_ns)
{
	if (strangers->watch != WATCH_KERNEL)
		return strangers->watch == WATCH_NOTHING;
	return strangers->looks >= LOOKS && !strangers->publishers && !strangers->reported &&
	       now_ns >= strangers->suspicious_until_ns;
}

/* Exporters send the same batch again: its first span tells. */
static bool is_seen(struct strangers *strangers, const struct span_batch *batch)
{
	const struct span *first = batch->spans;
	uint64_t hash = map_hash(first->trace_id, TRACE_ID_BYTES, 0);
	uint32_t *place, mark;

	hash = map_hash(first->span_id, SPAN_ID_BYTES, hash);
	place = &strangers->seen[hash >> (64 - SEEN_BITS)];
	mark = (uint32_t)hash | 1;
	if (*place == mark)
		return true;
	*place = mark;
	return false;
}

static uint8_t cause_of(const struct strangers *strangers, int64_t pid)
{
	uint32_t ns_pid = (uint32_t)pid;

	if (strangers->watch == WATCH_NOTHING)
		return NONE_NO_KERNEL;
	return pid > 0 && pid <= UINT32_MAX && map_get(&strangers->by_ns_pid, &ns_pid)
		       ? NONE_NO_TAGS
		       : NONE_NO_PROCESS;
}

const uint8_t *strangers_judge(struct strangers *strangers, struct span_batch *batch,
			       uint64_t now_ns)
{
	uint8_t *causes;

	if (batch->span_count == 0)
		return NULL;
	causes = arena_alloc(&batch->arena, batch->resource_count);
	pthread_mutex_lock(&strangers->lock);
	if (!are_alone(strangers, now_ns) || is_seen(strangers, batch))
		causes = NULL;
	for (uint32_t i = 0; causes && i < batch->resource_count; i++)
		causes[i] = cause_of(strangers, batch->resources[i].process_pid);
	pthread_mutex_unlock(&strangers->lock);
	return causes;
}

bool strangers_remain(struct strangers *strangers, uint64_t now_ns)
{
	bool remain;

	pthread_mutex_lock(&strangers->lock);
	remain = are_alone(strangers, now_ns);
	pthread_mutex_unlock(&strangers->lock);
	return remain;
}
