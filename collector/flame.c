/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/flame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/flame_sum.h"

void flame_init(struct flame *flame, enum flame_state state, int reason, bool is_self)
{
	*flame = (struct flame){ .state = state, .reason = reason, .is_self = is_self };
	map_init(&flame->sums, sizeof(struct flame_key), sizeof(struct flame_sum), clock_mono_ns());
	map_init(&flame->service_offsets, sizeof(uint64_t), sizeof(uint32_t), clock_mono_ns());
	buf_init(&flame->services, 0);
	flame->first_unix_ns = UINT64_MAX;
}

void flame_fini(struct flame *flame)
{
	map_fini(&flame->sums);
	map_fini(&flame->service_offsets);
	buf_fini(&flame->services);
	free(flame->links);
}

/* ---- by span */

static int find_service(struct flame *flame, struct str name, uint32_t *out_service)
{
	uint64_t hash = map_hash(name.data, name.len, 0);
	size_t before = flame->service_offsets.count;
	uint32_t *offset = map_put(&flame->service_offsets, &hash);

	if (!offset)
		return -ENOMEM;
	if (flame->service_offsets.count != before) {
		*offset = (uint32_t)flame->services.len;
		buf_append_str(&flame->services, name);
		buf_append_byte(&flame->services, 0);
	}
	*out_service = *offset;
	return buf_error(&flame->services);
}

static int add_link(struct flame *flame, const struct ledger *ledger, struct str service)
{
	struct flame_link *link;
	int rc;

	if (flame->link_count == flame->link_cap) {
		uint32_t cap = 2 * flame->link_cap + 64;
		void *grown = reallocarray(flame->links, cap, sizeof(*flame->links));

		if (!grown)
			return -ENOMEM;
		flame->links = grown;
		flame->link_cap = cap;
	}
	link = &flame->links[flame->link_count];
	rc = find_service(flame, service, &link->service);
	if (rc < 0)
		return rc;
	memcpy(link->trace_id, ledger->trace_id, TRACE_ID_BYTES);
	memcpy(link->span_id, ledger->span_id, SPAN_ID_BYTES);
	flame->link_count++;
	return 0;
}

/* ---- sums */

static int add(struct flame *flame, uint64_t stack, enum ledger_state state, uint32_t detail,
	       uint64_t ns, uint64_t count)
{
	struct flame_key key = {
		.stack = stack, .state = state, .detail = detail, .link = flame->link_count
	};
	struct flame_sum *sum = ns ? map_put(&flame->sums, &key) : NULL;

	if (!sum)
		return ns ? -ENOMEM : 0;
	sum->ns += ns;
	sum->count += count;
	flame->total_ns += ns;
	return 0;
}

static int add_running(struct flame *flame, const struct ledger *ledger)
{
	uint64_t left_ns = flame->is_self ? ledger->self.running_ns : ledger->all.running_ns;
	int rc = 0;

	for (unsigned i = 0; i < ledger->stack_count && rc == 0; i++) {
		const struct ledger_stack *from = &ledger->stacks[i];
		uint64_t ns = flame->is_self ? from->self_ns : from->ns;

		left_ns -= MIN(left_ns, ns);
		rc = add(flame, from->stack, STATE_RUNNING, 0, ns, 1);
	}
	if (rc == 0) /* of a ledger that knew no stacks yet */
		rc = add(flame, STACK_NOT_TAKEN, STATE_RUNNING, 0, left_ns, 1);
	return rc;
}

static int add_blocked(struct flame *flame, const struct ledger *ledger)
{
	int rc = 0;

	for (unsigned i = 0; i < ledger->wait_count && rc == 0; i++) {
		const struct ledger_wait *from = &ledger->waits[i];

		if (flame->reason < 0 || flame->reason == from->reason)
			rc = add(flame, from->stack, STATE_BLOCKED, from->reason,
				 flame->is_self ? from->self_ns : from->ns, from->count);
	}
	return rc;
}

/* How much of it is the span's own is known of the sum alone: of that, all may be woken. */
static int add_runnable(struct flame *flame, const struct ledger *ledger)
{
	uint64_t left_ns = flame->is_self ? ledger->self.runnable_ns : ledger->all.runnable_ns;
	uint64_t throttled_ns = MIN(left_ns, ledger->throttled_ns);
	uint64_t preempted_ns = MIN(left_ns - throttled_ns, ledger->preempted_ns);
	uint64_t yielded_ns = MIN(left_ns - throttled_ns - preempted_ns, ledger->yielded_ns);
	uint64_t parts[] = {
		[FLAME_WOKEN] = left_ns - throttled_ns - preempted_ns - yielded_ns,
		[FLAME_PREEMPTED] = preempted_ns,
		[FLAME_THROTTLED] = throttled_ns,
		[FLAME_YIELDED] = yielded_ns,
	};
	int rc = 0;

	for (uint32_t i = 0; i < ARRAY_LEN(parts) && rc == 0; i++)
		rc = add(flame, STACK_NOT_TAKEN, STATE_RUNNABLE, i, parts[i], 1);
	return rc;
}

static int add_rest(struct flame *flame, const struct ledger *ledger)
{
	const struct ledger_split *split = flame->is_self ? &ledger->self : &ledger->all;
	int rc = add(flame, STACK_NOT_TAKEN, STATE_ELSEWHERE, 0, split->elsewhere_ns, 1);

	return rc < 0 ? rc : add(flame, STACK_NOT_TAKEN, STATE_UNKNOWN, 0, split->unknown_ns, 1);
}

int flame_add(struct flame *flame, const struct ledger *ledger, struct str service)
{
	enum flame_state state = flame->state;
	int rc = 0;

	if (ledger->grade == GRADE_NONE)
		return 0;
	if (flame->by_span)
		rc = add_link(flame, ledger, service);
	flame->spans++;
	flame->first_unix_ns = MIN(flame->first_unix_ns, ledger->start_unix_ns);
	flame->last_unix_ns = MAX(flame->last_unix_ns, ledger->start_unix_ns + ledger->wall_ns);
	if (rc == 0 && (state == FLAME_CPU || state == FLAME_ALL))
		rc = add_running(flame, ledger);
	if (rc == 0 && (state == FLAME_BLOCKED || state == FLAME_ALL))
		rc = add_blocked(flame, ledger);
	if (rc == 0 && (state == FLAME_RUNNABLE || state == FLAME_ALL))
		rc = add_runnable(flame, ledger);
	if (rc == 0 && state == FLAME_ALL)
		rc = add_rest(flame, ledger);
	return rc;
}

/* ---- what was summed */

static int by_ns(const void *a, const void *b)
{
	const struct flame_line *x = a, *y = b;

	if (x->sum.ns != y->sum.ns)
		return x->sum.ns > y->sum.ns ? -1 : 1;
	return memcmp(&x->key, &y->key, sizeof(x->key));
}

struct flame_line *flame_lines(const struct flame *flame, size_t *out_count)
{
	struct flame_line *lines = calloc(flame->sums.count + 1, sizeof(*lines));
	size_t cursor = 0, count = 0;
	struct flame_sum *sum;
	const void *key;

	if (!lines)
		return NULL;
	while ((sum = map_next(&flame->sums, &cursor, &key))) {
		memcpy(&lines[count].key, key, sizeof(lines[count].key));
		lines[count++].sum = *sum;
	}
	qsort(lines, count, sizeof(*lines), by_ns);
	*out_count = count;
	return lines;
}

struct str flame_leaf(const struct flame_key *key)
{
	static const char *const reasons[REASON_COUNT] = {
#define X(symbol, name, meaning) [REASON_##symbol] = "[" name "]",
		LEDGER_REASONS(X)
#undef X
	};
	static const char *const runnable[] = {
		[FLAME_WOKEN] = "[runnable: woken]",
		[FLAME_PREEMPTED] = "[runnable: preempted]",
		[FLAME_THROTTLED] = "[runnable: throttled]",
		[FLAME_YIELDED] = "[runnable: yielded]",
	};

	switch ((enum ledger_state)key->state) {
	case STATE_RUNNING:
		return (struct str){ 0 };
	case STATE_BLOCKED:
		return str_of(key->detail < REASON_COUNT ? reasons[key->detail] : "[other]");
	case STATE_RUNNABLE:
		return str_of(runnable[key->detail % ARRAY_LEN(runnable)]);
	case STATE_ELSEWHERE:
		return STR("[elsewhere]");
	default:
		return STR("[unknown]");
	}
}

uint32_t flame_texts(const struct flame_key *key, struct stacks *stacks,
		     struct str texts[static FLAME_STACK_MOST])
{
	const struct stack_names *names = stacks_find(stacks, key->stack);
	struct str leaf = flame_leaf(key);
	uint32_t count = 0;

	for (uint32_t i = names ? names->count : 0; i > 0 && count < FLAME_STACK_MOST - 2; i--)
		texts[count++] = names->frames[i - 1]->text;
	if (count == 0 && (key->state == STATE_RUNNING || key->state == STATE_BLOCKED))
		texts[count++] = str_of(stacks_none_text(stacks, key->stack));
	if (leaf.len)
		texts[count++] = leaf;
	return count;
}
