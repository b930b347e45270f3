/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/query/stacks.h"

#include <string.h>

#include "bpf/event.h"
#include "collector/base/json.h"
#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/daemon.h"
#include "collector/stack_book.h"

#define WHERE_FRAMES 3
/* Of a span that ended so long ago no names come any more. */
#define NAMES_LATE_NS (10 * 1000000000ull)

void stacks_init(struct stacks *stacks, struct daemon *daemon)
{
	stacks->daemon = daemon;
	stacks->stored = (struct store_stacks){ .store = daemon_store(daemon) };
	map_init(&stacks->by_id, sizeof(uint64_t), sizeof(struct stack_names *), clock_mono_ns());
	name_hold_init(&stacks->hold, daemon_names(daemon));
}

void stacks_fini(struct stacks *stacks)
{
	store_stacks_fini(&stacks->stored);
	map_fini(&stacks->by_id);
	name_hold_fini(&stacks->hold);
}

static bool may_come(const struct stacks *stacks)
{
	return clock_unix_ns() < stacks->stored.near_unix_ns + NAMES_LATE_NS;
}

const char *stacks_none_text(const struct stacks *stacks, uint64_t id)
{
	static const char *const texts[] = {
		[STACK_NOT_TAKEN] = "[no stack: not taken]",
		[STACK_OVER_BUDGET] = "[no stack: budget]",
		[STACK_MERGED] = "[no stack: too many distinct waits]",
		[STACK_FOLDED] = "[no stack: summed up]",
	};

	if (id < ARRAY_LEN(texts))
		return texts[id];
	return may_come(stacks) ? "[no stack: names not here yet]" : "[no stack: names lost]";
}

static const struct stack_names *read_names(struct stacks *stacks, uint64_t id)
{
	uint64_t unix_ns = stacks->stored.near_unix_ns;
	const struct stack_names *names = name_cache_find(&stacks->hold, id, unix_ns);
	struct buf bytes;
	int rc;

	if (names)
		return names;
	buf_init(&bytes, 0);
	rc = store_stack(&stacks->stored, id, &bytes);
	if (rc < 0) {
		buf_clear(&bytes);
		rc = stack_book_find(id, &bytes, daemon_stacks(stacks->daemon)) ? 0 : rc;
	}
	if (rc == 0 && buf_error(&bytes) == 0)
		names = name_cache_put(&stacks->hold, id, unix_ns, buf_str(&bytes));
	buf_fini(&bytes);
	return names;
}

const struct stack_names *stacks_find(struct stacks *stacks, uint64_t id)
{
	const struct stack_names **slot;

	if (id < STACK_FIRST_ID)
		return NULL;
	slot = map_get(&stacks->by_id, &id);
	if (!slot) {
		const struct stack_names *names = read_names(stacks, id);

		slot = map_put(&stacks->by_id, &id);
		if (!slot)
			return names;
		*slot = names;
	}
	return *slot;
}

/* The innermost interpreted function; names->count: there is none. */
static uint32_t first_interpreted(const struct stack_names *names)
{
	uint32_t i = 0;

	while (i < names->count &&
	       (names->frames[i]->frame.kind != FRAME_PYTHON || names->frames[i]->is_plumbing))
		i++;
	return i;
}

/* The innermost functions that are no plumbing. What interpreted code calls in a library stands
 * with one function: how the library gets along is not the reader's business. */
static unsigned choose(const struct stack_names *names, uint32_t chosen[WHERE_FRAMES])
{
	uint32_t interpreted = first_interpreted(names), i = 0;
	unsigned count = 0;

	while (i < names->count && count < WHERE_FRAMES) {
		if (names->frames[i]->is_plumbing) {
			i++;
			continue;
		}
		chosen[count++] = i;
		i = i < interpreted && interpreted < names->count ? interpreted : i + 1;
	}
	return count;
}

static void put_where(struct json *json, const struct stack_names *names)
{
	uint32_t chosen[WHERE_FRAMES];
	unsigned count = names ? choose(names, chosen) : 0;

	json_array(json, "where");
	for (unsigned i = 0; i < count; i++)
		json_raw(json, NULL, names->frames[chosen[i]]->quoted);
	json_end(json);
}

struct str stacks_code(uint64_t id, void *arg)
{
	const struct stack_names *names = stacks_find(arg, id);
	uint32_t chosen[WHERE_FRAMES];

	if (!names)
		return (struct str){ 0 };
	chosen[0] = first_interpreted(names);
	if (chosen[0] == names->count && choose(names, chosen) == 0)
		return (struct str){ 0 };
	return names->frames[chosen[0]]->text;
}

void stacks_put_json(struct json *json, const char *key, uint64_t id, void *arg)
{
	const struct stack_names *names = stacks_find(arg, id);

	json_array(json, key);
	for (uint32_t i = 0; names && i < names->count; i++)
		json_raw(json, NULL, names->frames[i]->quoted);
	json_end(json);
	put_where(json, names);
	if (!names || names->count == 0)
		json_text(json, "no_stack", stacks_none_text(arg, id));
}
