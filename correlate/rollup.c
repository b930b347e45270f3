/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/rollup.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/base/map.h"
#include "correlate/rollup_pages.h"
#include "correlate/sketch.h"

void rollup_cell_fini(struct rollup_cell *cell)
{
	free(cell->buckets);
	free(cell->waits);
	free(cell->pages);
	*cell = (struct rollup_cell){ 0 };
}

/* Wraps around instead of overflowing, so that taking out is exact whatever spans claim. */
static void add(int64_t *sum, int64_t value)
{
	*sum = (int64_t)((uint64_t)*sum + (uint64_t)value);
}

static bool make_room(void **array, uint32_t count, uint32_t *cap, size_t size)
{
	uint32_t wanted = *cap ? 2 * *cap : 8;
	void *grown;

	if (count < *cap)
		return true;
	grown = reallocarray(*array, wanted, size);
	if (!grown)
		return false;
	*array = grown;
	*cap = wanted;
	return true;
}

/* The first bucket at or after `from` whose key is not less. */
static uint32_t find(const struct rollup_cell *cell, uint32_t from, uint32_t key)
{
	uint32_t low = from, high = cell->bucket_count;

	if (low == high || cell->buckets[low].key >= key)
		return low;
	/* Keys that come in order lie a few steps ahead. */
	for (uint32_t step = 1; low + step < high; step *= 2) {
		if (cell->buckets[low + step].key >= key)
			high = low + step;
		else
			low += step;
	}
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (cell->buckets[middle].key < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int bump(struct rollup_cell *cell, uint32_t key, int64_t count)
{
	uint32_t at = find(cell, 0, key);
	void *buckets = cell->buckets;
	struct rollup_bucket *bucket;

	if (at < cell->bucket_count && cell->buckets[at].key == key) {
		add(&cell->buckets[at].count, count);
		return 0;
	}
	if (!make_room(&buckets, cell->bucket_count, &cell->bucket_cap, sizeof(*bucket)))
		return -ENOMEM;
	cell->buckets = buckets;
	bucket = &cell->buckets[at];
	memmove(bucket + 1, bucket, (cell->bucket_count++ - at) * sizeof(*bucket));
	*bucket = (struct rollup_bucket){ count, key };
	return 0;
}

static int note(struct rollup_cell *cell, unsigned measure, uint64_t value, int sign)
{
	return bump(cell, measure * SKETCH_BUCKETS + sketch_bucket(value), sign);
}

struct event_target rollup_target(const struct event_target *target)
{
	struct event_target plain = *target;

	plain.aux = 0;
	plain.pad = 0;
	if (plain.kind != TARGET_FILE)
		plain.id = 0;
	return plain;
}

bool rollup_wait_is_same(const struct rollup_wait *a, const struct rollup_wait *b)
{
	return a->reason == b->reason && a->stack == b->stack &&
	       memcmp(&a->target, &b->target, sizeof(a->target)) == 0;
}

static struct rollup_wait *find_wait(struct rollup_cell *cell, const struct rollup_wait *wait)
{
	for (uint32_t i = 0; i < cell->wait_count; i++) {
		if (rollup_wait_is_same(&cell->waits[i], wait))
			return &cell->waits[i];
	}
	return NULL;
}

static bool is_rest(const struct rollup_wait *wait)
{
	return wait->target.kind == ROLLUP_REST;
}

static int add_wait(struct rollup_cell *cell, const struct rollup_wait *wait)
{
	struct rollup_wait copy = *wait, *known = find_wait(cell, wait);
	void *waits = cell->waits;

	if (!known && cell->wait_count >= ROLLUP_MAX_WAITS && !is_rest(wait)) {
		copy.target = (struct event_target){ .kind = ROLLUP_REST };
		copy.stack = 0;
		known = find_wait(cell, &copy);
	}
	if (known) {
		add(&known->ns, copy.ns);
		add(&known->count, copy.count);
		return 0;
	}
	if (!make_room(&waits, cell->wait_count, &cell->wait_cap, sizeof(copy)))
		return -ENOMEM;
	cell->waits = waits;
	cell->waits[cell->wait_count++] = copy;
	return 0;
}

static bool is_set(const struct rollup_example *example)
{
	return !hex_is_zero(example->trace_id, TRACE_ID_BYTES);
}

static bool is_same_span(const struct rollup_example *a, const struct rollup_example *b)
{
	return memcmp(a->span_id, b->span_id, SPAN_ID_BYTES) == 0 &&
	       memcmp(a->trace_id, b->trace_id, TRACE_ID_BYTES) == 0;
}

static uint64_t lot_of(const struct rollup_example *example)
{
	return map_hash(example->span_id, SPAN_ID_BYTES, 0);
}

static bool is_better(unsigned kind, const struct rollup_example *a, const struct rollup_example *b)
{
	switch (kind) {
	case ROLLUP_SLOW:
		return a->wall_ns > b->wall_ns;
	case ROLLUP_LOW_RATIO:
		return a->ratio < b->ratio;
	default:
		return lot_of(a) < lot_of(b);
	}
}

static void offer(struct rollup_cell *cell, unsigned kind, const struct rollup_example *example)
{
	struct rollup_example *best = &cell->examples[kind];

	if (!is_set(example) || (kind == ROLLUP_LOW_RATIO && example->ratio == UINT64_MAX))
		return;
	if (!is_set(best) || is_same_span(best, example) || is_better(kind, example, best))
		*best = *example;
}

static void add_example(struct rollup_cell *cell, const struct ledger *ledger, uint64_t ratio,
			int sign)
{
	struct rollup_example example = { .wall_ns = ledger->wall_ns, .ratio = ratio };

	memcpy(example.trace_id, ledger->trace_id, TRACE_ID_BYTES);
	memcpy(example.span_id, ledger->span_id, SPAN_ID_BYTES);
	for (unsigned kind = 0; kind < ROLLUP_EXAMPLES; kind++) {
		if (sign > 0)
			offer(cell, kind, &example);
		else if (is_same_span(&cell->examples[kind], &example))
			cell->examples[kind] = (struct rollup_example){ 0 };
	}
}

static int add_waits(struct rollup_cell *cell, const struct ledger *ledger, int sign)
{
	int rc = 0;

	for (unsigned i = 0; i < ledger->wait_count && rc == 0; i++) {
		const struct ledger_wait *from = &ledger->waits[i];
		struct rollup_wait wait = {
			.target = rollup_target(&from->target),
			.stack = from->stack,
			.reason = from->reason,
			.ns = sign * (int64_t)from->ns,
			.count = sign * (int64_t)from->count,
		};

		rc = add_wait(cell, &wait);
	}
	return rc;
}

static void add_split(struct rollup_cell *cell, const struct ledger *ledger, int sign)
{
	const struct ledger_split *all = &ledger->all;

	add(&cell->sums[ROLLUP_FIGURED_WALL_NS], sign * (int64_t)ledger->wall_ns);
	add(&cell->sums[ROLLUP_CPU_NS], sign * (int64_t)ledger->cpu_ns);
	add(&cell->sums[ROLLUP_RUNNING_NS], sign * (int64_t)all->running_ns);
	add(&cell->sums[ROLLUP_RUNNABLE_NS], sign * (int64_t)all->runnable_ns);
	add(&cell->sums[ROLLUP_ELSEWHERE_NS], sign * (int64_t)all->elsewhere_ns);
	add(&cell->sums[ROLLUP_UNKNOWN_NS], sign * (int64_t)all->unknown_ns);
	for (unsigned i = 0; i < REASON_COUNT; i++)
		add(&cell->sums[ROLLUP_BLOCKED_NS + i], sign * (int64_t)all->blocked_ns[i]);
}

static uint64_t ratio_of(const struct ledger *ledger)
{
	double ratio = ledger->grade >= GRADE_INFERRED ? ledger_ratio(ledger) : -1;

	return ratio < 0 ? UINT64_MAX
			 : (uint64_t)MIN(ratio * ROLLUP_RATIO_ONE + 0.5, (double)(1ull << 62));
}

static int add_figures(struct rollup_cell *cell, const struct ledger *ledger, uint64_t ratio,
		       int sign)
{
	const struct ledger_split *all = &ledger->all;
	int rc;

	add_split(cell, ledger, sign);
	rc = note(cell, ROLLUP_CPU, ledger->cpu_ns, sign);
	if (rc == 0 && ratio != UINT64_MAX)
		rc = note(cell, ROLLUP_RATIO, ratio, sign);
	if (rc == 0 && all->runnable_ns)
		rc = note(cell, ROLLUP_RUNNABLE, all->runnable_ns, sign);
	for (unsigned i = 0; i < REASON_COUNT && rc == 0; i++) {
		if (all->blocked_ns[i])
			rc = note(cell, ROLLUP_BLOCKED + i, all->blocked_ns[i], sign);
	}
	return rc < 0 ? rc : add_waits(cell, ledger, sign);
}

int rollup_cell_add(struct rollup_cell *cell, const struct ledger *ledger, bool is_error, int sign)
{
	unsigned grade = MIN(ledger->grade, GRADE_EXACT);
	uint64_t ratio = ratio_of(ledger);
	int rc;

	add(&cell->sums[ROLLUP_COUNT], sign);
	add(&cell->sums[ROLLUP_ERRORS], is_error ? sign : 0);
	add(&cell->sums[ROLLUP_GRADES + grade], sign);
	add(&cell->sums[ROLLUP_WALL_NS], sign * (int64_t)ledger->wall_ns);
	rc = note(cell, ROLLUP_WALL, ledger->wall_ns, sign);
	if (rc == 0 && grade >= GRADE_INFERRED)
		rc = add_figures(cell, ledger, ratio, sign);
	add_example(cell, ledger, ratio, sign);
	return rc;
}

int rollup_cell_add_plain(struct rollup_cell *cell, const struct rollup_span *span)
{
	struct rollup_example example = { .wall_ns = span->wall_ns, .ratio = UINT64_MAX };

	memcpy(example.trace_id, span->trace_id, TRACE_ID_BYTES);
	memcpy(example.span_id, span->span_id, SPAN_ID_BYTES);
	add(&cell->sums[ROLLUP_COUNT], 1);
	add(&cell->sums[ROLLUP_ERRORS], span->is_error);
	add(&cell->sums[ROLLUP_GRADES + GRADE_NONE], 1);
	add(&cell->sums[ROLLUP_WALL_NS], (int64_t)span->wall_ns);
	offer(cell, ROLLUP_SLOW, &example);
	offer(cell, ROLLUP_TYPICAL, &example);
	return note(cell, ROLLUP_WALL, span->wall_ns, 1);
}

/* Adds to the buckets that are there. Returns how many are not. */
static uint32_t add_known(struct rollup_cell *cell, const struct rollup_cell *other)
{
	uint32_t at = 0, missing = 0;

	for (uint32_t i = 0; i < other->bucket_count; i++) {
		const struct rollup_bucket *bucket = &other->buckets[i];

		at = find(cell, at, bucket->key);
		if (at < cell->bucket_count && cell->buckets[at].key == bucket->key)
			add(&cell->buckets[at].count, bucket->count);
		else
			missing++;
	}
	return missing;
}

/* From the end, so that each is moved once, and those before the first missing one not at all. */
static void insert_missing(struct rollup_cell *cell, const struct rollup_cell *other,
			   uint32_t missing)
{
	uint32_t at = cell->bucket_count, from = other->bucket_count, to = at + missing;

	cell->bucket_count += missing;
	while (to > at) {
		const struct rollup_bucket *bucket = &other->buckets[from - 1];

		if (at && cell->buckets[at - 1].key > bucket->key) {
			cell->buckets[--to] = cell->buckets[--at];
			continue;
		}
		if (at && cell->buckets[at - 1].key == bucket->key)
			cell->buckets[--to] = cell->buckets[--at];
		else
			cell->buckets[--to] = *bucket;
		from--;
	}
}

static int merge_sorted(struct rollup_cell *cell, const struct rollup_cell *other)
{
	uint32_t missing = add_known(cell, other), wanted = cell->bucket_count + missing;

	if (!missing)
		return 0;
	if (wanted > cell->bucket_cap) {
		uint32_t cap = MAX(wanted, 2 * cell->bucket_cap);
		void *grown = reallocarray(cell->buckets, cap, sizeof(*cell->buckets));

		if (!grown)
			return -ENOMEM;
		cell->buckets = grown;
		cell->bucket_cap = cap;
	}
	insert_missing(cell, other, missing);
	return 0;
}

static int merge_buckets(struct rollup_cell *cell, const struct rollup_cell *other)
{
	struct rollup_cell rest = *other;
	uint32_t done;
	int rc;

	if (!cell->pages)
		return merge_sorted(cell, other);
	done = rollup_pages_add(cell->pages, other->buckets, other->bucket_count);
	if (done == other->bucket_count)
		return 0;
	rest.buckets += done;
	rest.bucket_count -= done;
	rc = rollup_cell_sort(cell);
	return rc < 0 ? rc : merge_sorted(cell, &rest);
}

int rollup_cell_merge(struct rollup_cell *cell, const struct rollup_cell *other)
{
	int rc = merge_buckets(cell, other);

	for (unsigned i = 0; i < ROLLUP_SUMS; i++)
		add(&cell->sums[i], other->sums[i]);
	for (uint32_t i = 0; i < other->wait_count && rc == 0; i++)
		rc = add_wait(cell, &other->waits[i]);
	for (unsigned kind = 0; kind < ROLLUP_EXAMPLES; kind++)
		offer(cell, kind, &other->examples[kind]);
	return rc;
}

size_t rollup_cell_bytes(const struct rollup_cell *cell)
{
	return cell->bucket_cap * sizeof(*cell->buckets) + cell->wait_cap * sizeof(*cell->waits);
}

uint64_t rollup_cell_sum(const struct rollup_cell *cell, unsigned sum)
{
	return cell->sums[sum] > 0 ? (uint64_t)cell->sums[sum] : 0;
}

uint64_t rollup_cell_figured(const struct rollup_cell *cell)
{
	uint64_t count = 0;

	for (unsigned grade = GRADE_INFERRED; grade <= GRADE_EXACT; grade++)
		count += rollup_cell_sum(cell, ROLLUP_GRADES + grade);
	return count;
}

double rollup_cell_ratio(const struct rollup_cell *cell)
{
	uint64_t wall_ns = rollup_cell_sum(cell, ROLLUP_FIGURED_WALL_NS);

	return wall_ns ? (double)rollup_cell_sum(cell, ROLLUP_CPU_NS) / (double)wall_ns : -1;
}

/* How many zeros are not noted. */
static uint64_t zeros_of(const struct rollup_cell *cell, unsigned measure, uint64_t noted)
{
	uint64_t figured = rollup_cell_figured(cell);

	return measure >= ROLLUP_RUNNABLE && figured > noted ? figured - noted : 0;
}

uint64_t rollup_cell_quantile(const struct rollup_cell *cell, unsigned measure, double quantile)
{
	uint32_t first = find(cell, 0, measure * SKETCH_BUCKETS), end = first;
	uint64_t noted = 0, seen, rank;

	for (; end < cell->bucket_count && cell->buckets[end].key / SKETCH_BUCKETS == measure;
	     end++)
		noted += (uint64_t)MAX(cell->buckets[end].count, 0);
	seen = zeros_of(cell, measure, noted);
	rank = (uint64_t)ceil(quantile * (double)(seen + noted));
	rank = MAX(rank, 1);
	if (rank <= seen)
		return 0;
	for (uint32_t i = first; i < end; i++) {
		seen += (uint64_t)MAX(cell->buckets[i].count, 0);
		if (seen >= rank)
			return sketch_value(cell->buckets[i].key % SKETCH_BUCKETS);
	}
	return end > first ? sketch_value(cell->buckets[end - 1].key % SKETCH_BUCKETS) : 0;
}
