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
#define WATCH_NS      (2 * NS_PER_SEC)   /* a resource's spans are looked for on threads so long, */
#define WATCH_SPANS   10000              /* and so many of them: most may be too short to be seen */
#define MAX_STANDINGS 16384              /* then all are forgotten, and found out again */
#define SEEN_BITS     18                 /* batches remembered: more than come in 10 s one by one */

enum watch { WATCH_UNKNOWN, WATCH_KERNEL, WATCH_NOTHING };

struct neighbour {
	uint32_t ns_pid;
	bool publishes, has_published;
	uint64_t gone_ns;  /* 0: it lives */
	uint64_t instance; /* hash of its service.instance.id; 0: it announces none */
};

/* Who can be meant by a number or name that resources bear. */
struct claim {
	uint32_t count, publishing;
	uint64_t published_until_ns; /* one that published did so until then, and some time more */
};

enum standing_kind {
	STANDING_WATCHED, /* spans of it are correlated, and looked for on threads */
	STANDING_STRANGE, /* none was found, by any who published */
	STANDING_OWNED,   /* one was */
};

/* What is known of a resource that names no process known here. */
struct standing {
	uint64_t since_ns; /* WATCHED, and how many spans of it were not found */
	uint32_t missed;
	uint32_t debuts; /* STRANGE: nobody has begun to publish since */
	uint8_t kind;
};

struct strangers {
	pthread_mutex_t lock; /* of all */
	enum watch watch;
	unsigned looks; /* since the hello */
	unsigned publishers;
	bool has_unknown;             /* ... of whom nothing is remembered */
	uint32_t reported;            /* publishers by the worker's last report */
	uint64_t suspicious_until_ns; /* somebody who is gone has published */
	struct map neighbours;        /* pid -> struct neighbour */
	struct map by_ns_pid;         /* -> struct claim */
	struct map by_instance;       /* hash of an instance id -> struct claim */
	struct map standings;         /* hash of a resource -> struct standing */
	uint32_t debuts;              /* how often a process has begun to publish */
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
	map_init(&strangers->by_ns_pid, sizeof(uint32_t), sizeof(struct claim), 1);
	map_init(&strangers->by_instance, sizeof(uint64_t), sizeof(struct claim), 1);
	map_init(&strangers->standings, sizeof(uint64_t), sizeof(struct standing), 1);
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
	map_fini(&strangers->by_instance);
	map_fini(&strangers->standings);
	pthread_mutex_destroy(&strangers->lock);
	free(strangers->seen);
	free(strangers);
}

/* `until_ns`: of one that publishes no more. */
static void count_claim(struct map *claims, const void *key, int step, bool publishes,
			uint64_t until_ns)
{
	struct claim *claim = map_put(claims, key);

	if (!claim)
		return;
	claim->count += (uint32_t)step;
	claim->publishing += publishes ? (uint32_t)step : 0;
	claim->published_until_ns = MAX(claim->published_until_ns, until_ns);
	if (claim->count == 0 && claim->published_until_ns == 0)
		map_delete(claims, key);
}

static void count(struct strangers *strangers, const struct neighbour *neighbour, int step,
		  uint64_t until_ns)
{
	until_ns = neighbour->has_published ? until_ns : 0;
	count_claim(&strangers->by_ns_pid, &neighbour->ns_pid, step, neighbour->publishes,
		    until_ns);
	if (neighbour->instance)
		count_claim(&strangers->by_instance, &neighbour->instance, step,
			    neighbour->publishes, until_ns);
}

/* It publishes no more, or is another one. */
static void end_publishing(struct strangers *strangers, struct neighbour *neighbour,
			   uint64_t now_ns)
{
	if (!neighbour->publishes)
		return;
	count(strangers, neighbour, -1, now_ns + PUBLISHED_NS);
	neighbour->publishes = false;
	count(strangers, neighbour, 1, now_ns + PUBLISHED_NS);
	strangers->publishers--;
	strangers->suspicious_until_ns = now_ns + PUBLISHED_NS;
}

static void forget(struct strangers *strangers, uint32_t pid)
{
	struct neighbour *known = map_get(&strangers->neighbours, &pid);

	if (!known)
		return;
	count(strangers, known, -1, 0);
	map_delete(&strangers->neighbours, &pid);
}

/* Claims of those who published and are forgotten. */
static void drop_claims(struct map *claims, uint64_t now_ns)
{
	uint64_t over[64];
	size_t cursor = 0, count = 0;
	const struct claim *at;
	const void *key;

	while (count < ARRAY_LEN(over) && (at = map_next(claims, &cursor, &key))) {
		if (!at->count && at->published_until_ns <= now_ns)
			memcpy(&over[count++], key, claims->key_bytes);
	}
	for (size_t i = 0; i < count; i++)
		map_delete(claims, &over[i]);
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
	drop_claims(&strangers->by_ns_pid, now_ns);
	drop_claims(&strangers->by_instance, now_ns);
}

static uint64_t instance_of(struct str id)
{
	return id.len ? map_hash(id.data, id.len, 0) | 1 : 0;
}

static void meet(struct strangers *strangers, const struct event_process *process, uint64_t now_ns)
{
	bool publishes = process->publish == PUBLISH_TAGS;
	struct neighbour now = {
		.ns_pid = process->ns_pid,
		.publishes = publishes,
		.has_published = publishes,
		.instance = instance_of(str_of(process->service_instance_id)),
	};
	struct neighbour *known = map_get(&strangers->neighbours, &process->pid);

	if (known) {
		if (!publishes)
			end_publishing(strangers, known, now_ns);
		now.has_published |= known->has_published;
		strangers->publishers -= known->publishes;
		count(strangers, known, -1, now_ns + PUBLISHED_NS);
	}
	strangers->debuts += publishes && (!known || !known->publishes);
	known = map_put(&strangers->neighbours, &process->pid);
	strangers->publishers += publishes;
	if (!known) { /* too many: one that publishes is counted for good */
		strangers->has_unknown |= publishes;
		return;
	}
	*known = now;
	count(strangers, known, 1, 0);
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

static bool is_publishers(const struct map *claims, const void *key, uint64_t now_ns)
{
	const struct claim *claim = map_get(claims, key);

	return claim && (claim->publishing || claim->published_until_ns > now_ns);
}

static struct standing *standing_of(const struct strangers *strangers,
				    const struct span_resource *resource)
{
	uint64_t key = map_hash(resource->bytes.data, resource->bytes.len, 0);

	return map_get(&strangers->standings, &key);
}

static void stand(struct strangers *strangers, const struct span_resource *resource,
		  struct standing standing)
{
	uint64_t key = map_hash(resource->bytes.data, resource->bytes.len, 0);
	struct standing *slot;

	if (strangers->standings.count >= MAX_STANDINGS) {
		map_fini(&strangers->standings);
		map_init(&strangers->standings, sizeof(uint64_t), sizeof(struct standing), 1);
	}
	slot = map_put(&strangers->standings, &key);
	if (slot)
		*slot = standing;
}

/* Is it known that nobody who publishes makes its spans? If not, it is watched from now on. */
static bool is_strange(struct strangers *strangers, const struct span_resource *resource,
		       uint64_t now_ns)
{
	const struct standing *standing = standing_of(strangers, resource);
	bool is_strange = standing && standing->kind == STANDING_STRANGE;

	if (is_strange && standing->debuts == strangers->debuts)
		return true;
	if (!standing || is_strange)
		stand(strangers, resource, (struct standing){ .since_ns = now_ns });
	return false;
}

/* A process that publishes, or did, may have made spans of this resource: by what the resource says
 * of itself, or because a thread was seen with one. */
static bool may_be_known(const struct strangers *strangers, const struct span_resource *resource,
			 uint64_t now_ns)
{
	uint32_t ns_pid = (uint32_t)resource->process_pid;
	uint64_t ids[] = { instance_of(resource->service_instance_id),
			   instance_of(resource->runtime_id) };
	const struct standing *standing = standing_of(strangers, resource);

	if (resource->process_pid > 0 && is_publishers(&strangers->by_ns_pid, &ns_pid, now_ns))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		if (ids[i] && is_publishers(&strangers->by_instance, &ids[i], now_ns))
			return true;
	}
	return standing && standing->kind == STANDING_OWNED;
}

static bool names_neighbour(const struct strangers *strangers, const struct span_resource *resource)
{
	uint32_t ns_pid = (uint32_t)resource->process_pid;
	const struct claim *claim = map_get(&strangers->by_ns_pid, &ns_pid);

	return resource->process_pid > 0 && resource->process_pid <= UINT32_MAX && claim &&
	       claim->count;
}

static uint8_t cause_of(struct strangers *strangers, const struct span_resource *resource,
			uint64_t now_ns)
{
	bool alone = are_alone(strangers, now_ns);

	if (strangers->watch == WATCH_NOTHING)
		return NONE_NO_KERNEL;
	if (!alone && may_be_known(strangers, resource, now_ns))
		return 0;
	if (names_neighbour(strangers, resource))
		return NONE_NO_TAGS;
	return alone || is_strange(strangers, resource, now_ns) ? NONE_NO_PROCESS : 0;
}

static bool is_watched(const struct strangers *strangers, const struct span_resource *resource)
{
	const struct standing *standing = standing_of(strangers, resource);

	return standing && standing->kind == STANDING_WATCHED;
}

/* All who publish are known by name, as far as they have one. */
static bool are_told_apart(const struct strangers *strangers)
{
	return strangers->watch == WATCH_KERNEL && strangers->looks >= LOOKS &&
	       !strangers->has_unknown && strangers->publishers >= strangers->reported;
}

/* Spans that name their process themselves are looked at by the correlator. */
static void leave_out_named(const struct span_batch *batch, uint8_t *causes)
{
	for (uint32_t i = 0; i < batch->span_count; i++) {
		if (batch->spans[i].process_id)
			causes[batch->spans[i].resource] = 0;
	}
}

uint8_t *strangers_judge(struct strangers *strangers, struct span_batch *batch, uint64_t now_ns)
{
	bool alone, any = false;
	uint8_t *causes;

	if (batch->span_count == 0)
		return NULL;
	causes = arena_alloc(&batch->arena, batch->resource_count);
	pthread_mutex_lock(&strangers->lock);
	alone = are_alone(strangers, now_ns);
	if (!(alone || are_told_apart(strangers)) || is_seen(strangers, batch))
		causes = NULL;
	for (uint32_t i = 0; causes && i < batch->resource_count; i++) {
		causes[i] = cause_of(strangers, &batch->resources[i], now_ns);
		any |= !causes[i] && is_watched(strangers, &batch->resources[i]);
	}
	pthread_mutex_unlock(&strangers->lock);
	if (causes && !alone)
		leave_out_named(batch, causes);
	for (uint32_t i = 0; causes && i < batch->resource_count; i++)
		any |= causes[i] != 0;
	return any ? causes : NULL;
}

bool strangers_confirm(struct strangers *strangers, const struct span_batch *batch, uint8_t *causes,
		       uint64_t now_ns)
{
	bool any = false;

	pthread_mutex_lock(&strangers->lock);
	for (uint32_t i = 0; i < batch->resource_count; i++) {
		if (!are_told_apart(strangers) ||
		    may_be_known(strangers, &batch->resources[i], now_ns))
			causes[i] = 0;
		any |= is_watched(strangers, &batch->resources[i]);
	}
	pthread_mutex_unlock(&strangers->lock);
	return any;
}

bool strangers_watch(struct strangers *strangers, const struct span_resource *resource)
{
	bool watched;

	pthread_mutex_lock(&strangers->lock);
	watched = is_watched(strangers, resource);
	pthread_mutex_unlock(&strangers->lock);
	return watched;
}

void strangers_own(struct strangers *strangers, const struct span_resource *resource)
{
	pthread_mutex_lock(&strangers->lock);
	stand(strangers, resource, (struct standing){ .kind = STANDING_OWNED });
	pthread_mutex_unlock(&strangers->lock);
}

void strangers_miss(struct strangers *strangers, const struct span_resource *resource,
		    uint32_t spans, uint64_t now_ns)
{
	struct standing *standing;

	pthread_mutex_lock(&strangers->lock);
	standing = standing_of(strangers, resource);
	if (standing && standing->kind == STANDING_WATCHED) {
		standing->missed += MIN(spans, WATCH_SPANS - standing->missed);
		if (standing->missed == WATCH_SPANS && now_ns >= standing->since_ns + WATCH_NS)
			*standing = (struct standing){ .debuts = strangers->debuts,
						       .kind = STANDING_STRANGE };
	}
	pthread_mutex_unlock(&strangers->lock);
}

bool strangers_remain(struct strangers *strangers, uint64_t now_ns)
{
	bool remain;

	pthread_mutex_lock(&strangers->lock);
	remain = are_alone(strangers, now_ns);
	pthread_mutex_unlock(&strangers->lock);
	return remain;
}
