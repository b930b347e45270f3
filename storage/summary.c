/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/summary.h"

#include <errno.h>
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/ledger.h"

#define MINUTE_NS (60 * NS_PER_SEC)

struct place_key {
	uint32_t operation;
	uint32_t minute;
};

uint64_t summary_ratio_rank(double ratio)
{
	uint64_t bits;

	if (!(ratio >= 0))
		return 0;
	ratio += 0.0;                        /* -0.0 is 0 */
	memcpy(&bits, &ratio, sizeof(bits)); /* of positive doubles, the bits sort like the value */
	return UINT64_MAX - bits;
}

uint32_t summary_minute(uint64_t unix_ns)
{
	return (uint32_t)MIN(unix_ns / MINUTE_NS, (uint64_t)UINT32_MAX);
}

struct summary summary_of(uint32_t operation, uint32_t minute, enum block_kind kind)
{
	return (struct summary){
		.operation = operation,
		.minute = minute,
		.min_start_unix_ns = UINT64_MAX,
		.block_kind = (uint8_t)kind,
	};
}

static uint8_t bit_of(unsigned value)
{
	return (uint8_t)(value < 8 ? 1u << value : SUMMARY_ANY_BITS);
}

static void add_start(struct summary *summary, uint64_t start_unix_ns, uint64_t wall_ns)
{
	summary->count++;
	summary->min_start_unix_ns = MIN(summary->min_start_unix_ns, start_unix_ns);
	summary->max_start_unix_ns = MAX(summary->max_start_unix_ns, start_unix_ns);
	summary->max_wall_ns = MAX(summary->max_wall_ns, wall_ns);
}

void summary_add_span(struct summary *summary, const struct block_span *row)
{
	add_start(summary, row->start_unix_ns, row->end_unix_ns - row->start_unix_ns);
	summary->statuses |= bit_of(row->status);
	summary->kinds |= bit_of(row->kind);
	if (row->none_cause)
		summary->grades |= bit_of(GRADE_NONE);
}

static void add_figures(struct summary *summary, const struct block_ledger *row)
{
	bool is_known = row->operation != 0;

	summary->statuses |= is_known ? bit_of(row->status) : SUMMARY_ANY_BITS;
	summary->kinds |= is_known ? bit_of(row->kind) : SUMMARY_ANY_BITS;
	summary->grades |= bit_of(row->grade);
	summary->reasons |= row->reasons;
	summary->max_ratio_rank = MAX(summary->max_ratio_rank, row->ratio_rank);
	if (row->grade != GRADE_NONE)
		summary->max_blocked_rank = MAX(summary->max_blocked_rank, row->blocked_ns + 1);
}

void summary_add_ledger(struct summary *summary, const struct block_ledger *row)
{
	add_start(summary, row->start_unix_ns, row->wall_ns);
	add_figures(summary, row);
}

void summary_set_init(struct summary_set *set, uint64_t seed)
{
	map_init(&set->places, sizeof(struct place_key), sizeof(uint32_t), seed);
	buf_init(&set->list, 0);
}

void summary_set_fini(struct summary_set *set)
{
	map_fini(&set->places);
	buf_fini(&set->list);
}

static uint32_t count_of(const struct summary_set *set)
{
	return (uint32_t)(set->list.len / sizeof(struct summary));
}

void summary_set_clear(struct summary_set *set, enum block_kind kind)
{
	struct summary all = summary_of(SUMMARY_ALL, 0, kind);

	map_clear(&set->places);
	memset(set->recent, 0, sizeof(set->recent));
	buf_clear(&set->list);
	buf_append(&set->list, &all, sizeof(all));
}

static struct summary *at(struct summary_set *set, uint32_t place)
{
	return (struct summary *)(void *)set->list.data + (place - 1);
}

static struct summary *find_anew(struct summary_set *set, uint32_t operation, uint32_t minute)
{
	struct place_key key = { operation, minute };
	uint32_t *place = map_put(&set->places, &key);
	struct summary *all = (struct summary *)(void *)set->list.data;

	if (!place || buf_error(&set->list))
		return NULL;
	if (*place == 0) {
		struct summary fresh = summary_of(operation, key.minute, all->block_kind);

		buf_append(&set->list, &fresh, sizeof(fresh));
		if (buf_error(&set->list))
			return NULL;
		*place = count_of(set);
	}
	return at(set, *place);
}

/* Pointers into the list hold until the next of these calls. */
static struct summary *find(struct summary_set *set, uint32_t operation, uint32_t minute)
{
	uint32_t *recent = &set->recent[operation % SUMMARY_RECENT];
	struct summary *summary = *recent ? at(set, *recent) : NULL;

	if (summary && summary->operation == operation && summary->minute == minute)
		return summary;
	summary = find_anew(set, operation, minute);
	if (summary)
		*recent = (uint32_t)(summary - at(set, 1)) + 1;
	return summary;
}

int summary_set_span(struct summary_set *set, const struct block_span *row)
{
	struct summary *summary = find(set, row->operation, summary_minute(row->start_unix_ns));

	if (!summary)
		return -ENOMEM;
	summary_add_span(summary, row);
	summary_add_span((struct summary *)(void *)set->list.data, row);
	return 0;
}

int summary_set_ledger(struct summary_set *set, const struct block_ledger *row)
{
	struct summary *summary = find(set, row->operation, summary_minute(row->start_unix_ns));

	if (!summary)
		return -ENOMEM;
	summary_add_ledger(summary, row);
	summary_add_ledger((struct summary *)(void *)set->list.data, row);
	return 0;
}

static void add_packed(struct summary *summary, const struct block_span *span,
		       const struct block_ledger *ledger)
{
	summary_add_span(summary, span);
	if (ledger)
		add_figures(summary, ledger);
}

int summary_set_packed(struct summary_set *set, const struct block_span *span,
		       const struct block_ledger *ledger)
{
	struct summary *summary = find(set, span->operation, 0);

	if (!summary)
		return -ENOMEM;
	add_packed(summary, span, ledger);
	add_packed((struct summary *)(void *)set->list.data, span, ledger);
	return 0;
}
