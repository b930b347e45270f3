/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/rollups.h"

#include <errno.h>

#include "collector/base/macros.h"
#include "storage/block.h"
#include "storage/part.h"
#include "storage/rollup_pack.h"

#define ROLLED STR("rolled")

int rollups_init(struct rollups *rollups, uint64_t seed)
{
	*rollups = (struct rollups){ .is_broken = false };
	rollup_table_init(&rollups->young, seed);
	rollup_table_init(&rollups->fresh, seed);
	pthread_mutex_init(&rollups->fresh_lock, NULL);
	return -pthread_mutex_init(&rollups->lock, NULL);
}

void rollups_fini(struct rollups *rollups)
{
	rollup_table_fini(&rollups->young);
	rollup_table_fini(&rollups->fresh);
	pthread_mutex_destroy(&rollups->lock);
	pthread_mutex_destroy(&rollups->fresh_lock);
}

/* To the first entry that is not before `at`. -ENOENT: none. */
static int seek(struct cursor *cursor, const struct rollup_entry *at, struct rollup_entry *out)
{
	uint8_t wanted[ROLLUP_KEY_BYTES];
	struct str key, value;
	int rc;

	rollup_entry_key(at, wanted);
	rc = cursor_seek(cursor, key_str(wanted, sizeof(wanted)), &key, &value);
	return rc < 0 ? rc : rollup_entry_parse(key, value, out);
}

static int next(struct cursor *cursor, struct rollup_entry *out)
{
	struct str key, value;
	int rc = cursor_next(cursor, &key, &value);

	return rc < 0 ? rc : rollup_entry_parse(key, value, out);
}

/* The last entry of a level. -ENOENT: it is empty. */
static int last_of(const struct part *part, const struct txn *txn, uint32_t level,
		   struct rollup_entry *out)
{
	struct rollup_entry at = { .level = level + 1 };
	struct str key, value;
	struct cursor cursor;
	int rc = cursor_open(txn, part->rollup, &cursor);

	if (rc < 0)
		return rc;
	rc = seek(&cursor, &at, &at);
	if (rc == 0)
		rc = cursor_prev(&cursor, &key, &value);
	else if (rc == -ENOENT)
		rc = cursor_last(&cursor, &key, &value);
	if (rc == 0)
		rc = rollup_entry_parse(key, value, &at);
	cursor_close(&cursor);
	if (rc == 0 && at.level != level)
		return -ENOENT;
	if (rc == 0)
		*out = at;
	return rc;
}

int rollups_run_count(const struct part *part, const struct txn *txn, uint32_t *out_count)
{
	struct rollup_entry last;
	int rc = last_of(part, txn, ROLLUP_MINUTES, &last);

	if (rc == 0)
		*out_count = last.run + 1;
	else if (rc == -ENOENT)
		*out_count = 0;
	return rc == -ENOENT ? 0 : rc;
}

int rollups_load_block(struct part *part, uint32_t seq, struct block *block)
{
	struct rollups *rollups = &part->rollups;
	int rc;

	if (block->header->kind != BLOCK_ROLLUPS || seq <= rollups->rolled_seq)
		return 0;
	rc = block_load(block);
	if (rc == 0)
		rc = rollup_table_read_young(&rollups->young, block->heap);
	if (rollups->young_blocks++ == 0)
		rollups->first_unix_ns = block->header->commit_unix_ns;
	return rc;
}

int rollups_load(struct part *part, const struct txn *txn)
{
	struct rollups *rollups = &part->rollups;
	struct str value;
	int rc = rollups_run_count(part, txn, &rollups->runs_before);

	if (rc == 0)
		rc = txn_get(txn, part->about, ROLLED, &value);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	if (value.len != sizeof(rollups->rolled_seq))
		return -EBADMSG;
	memcpy(&rollups->rolled_seq, value.data, sizeof(rollups->rolled_seq));
	return 0;
}

/* The young cells once more, from the log. */
static int load_again(struct part *part)
{
	struct rollups *rollups = &part->rollups;
	uint64_t first_unix_ns = rollups->first_unix_ns;
	int rc = 0;

	rollup_table_clear(&rollups->young);
	rollups->young_blocks = 0;
	for (uint64_t seq = rollups->rolled_seq + 1; rc == 0; seq++) {
		struct block block;

		rc = part_block(part, NULL, (uint32_t)seq, &block);
		if (rc < 0)
			break;
		rc = rollups_load_block(part, (uint32_t)seq, &block);
		block_close(&block);
	}
	rollups->first_unix_ns = first_unix_ns;
	return rc == -ENOENT ? 0 : rc;
}

/* Locked. What was committed while somebody read. */
static void take_fresh(struct rollups *rollups)
{
	struct rollup_table fresh;

	pthread_mutex_lock(&rollups->fresh_lock);
	fresh = rollups->fresh;
	rollup_table_init(&rollups->fresh, fresh.cells.seed);
	rollups->is_broken |= rollups->is_fresh_broken;
	rollups->is_fresh_broken = false;
	pthread_mutex_unlock(&rollups->fresh_lock);
	if (rollup_table_merge_all(&rollups->young, &fresh) < 0)
		rollups->is_broken = true;
	rollup_table_fini(&fresh);
}

static bool has_fresh(struct rollups *rollups)
{
	bool has;

	pthread_mutex_lock(&rollups->fresh_lock);
	has = rollups->fresh.cells.count || rollups->is_fresh_broken;
	pthread_mutex_unlock(&rollups->fresh_lock);
	return has;
}

static void lock_young(struct rollups *rollups)
{
	pthread_mutex_lock(&rollups->lock);
	take_fresh(rollups);
}

/* Whoever holds the lock when something is committed takes it in; so it never lies there unseen. */
static void unlock_young(struct rollups *rollups)
{
	do {
		if (has_fresh(rollups))
			take_fresh(rollups);
		pthread_mutex_unlock(&rollups->lock);
	} while (has_fresh(rollups) && pthread_mutex_trylock(&rollups->lock) == 0);
}

void rollups_committed(struct part *part, const struct rollup_table *added, uint64_t now_unix_ns)
{
	struct rollups *rollups = &part->rollups;

	if (!added->cells.count)
		return;
	if (rollups->young_blocks++ == 0)
		rollups->first_unix_ns = now_unix_ns;
	if (pthread_mutex_trylock(&rollups->lock) == 0) {
		if (rollup_table_merge_all(&rollups->young, added) < 0)
			rollups->is_broken = true;
		return unlock_young(rollups);
	}
	pthread_mutex_lock(&rollups->fresh_lock);
	if (rollup_table_merge_all(&rollups->fresh, added) < 0)
		rollups->is_fresh_broken = true;
	pthread_mutex_unlock(&rollups->fresh_lock);
	if (pthread_mutex_trylock(&rollups->lock) == 0)
		unlock_young(rollups);
}

bool rollups_begin_spill(struct part *part, uint64_t now_unix_ns)
{
	struct rollups *rollups = &part->rollups;
	uint64_t age_ns = now_unix_ns - rollups->first_unix_ns;

	if (!rollups->young_blocks)
		return false;
	if (age_ns >= ROLLUPS_PATIENCE * ROLLUPS_YOUNG_NS)
		pthread_mutex_lock(&rollups->lock);
	else if (pthread_mutex_trylock(&rollups->lock) != 0)
		return false;
	take_fresh(rollups);
	if (rollups->is_broken || rollups->young.bytes >= ROLLUPS_YOUNG_BYTES ||
	    age_ns >= ROLLUPS_YOUNG_NS)
		return true;
	unlock_young(rollups);
	return false;
}

void rollups_spill(struct part *part, struct txn *txn)
{
	struct rollups *rollups = &part->rollups;
	uint64_t rolled_seq = part->next_seq - 1;

	if (rollups->is_broken) {
		txn->error = txn->error ? txn->error : load_again(part);
		rollups->is_broken = txn->error != 0;
	}
	rollup_table_write(&rollups->young, txn, part->rollup, ROLLUP_MINUTES,
			   rollups->runs_before);
	txn_put(txn, part->about, ROLLED,
		(struct str){ (const char *)&rolled_seq, sizeof(rolled_seq) });
}

void rollups_end_spill(struct part *part, bool is_done)
{
	struct rollups *rollups = &part->rollups;

	if (is_done) {
		rollups->runs_before += rollups->young.cells.count != 0;
		rollup_table_clear(&rollups->young);
		rollups->young_blocks = 0;
		rollups->rolled_seq = part->next_seq - 1;
	}
	unlock_young(rollups);
}

struct walk {
	const struct rollups_range *range;
	uint32_t level, runs;
	bool is_packed;
	int (*visit)(const struct rollup_entry *entry, const struct rollup_cell *young, void *arg);
	void *arg;
};

static bool is_in(const struct rollups_range *range, uint32_t minute)
{
	return minute >= range->from_minute && minute <= range->to_minute;
}

static int visit_packed(const struct rollup_entry *entry, void *arg)
{
	const struct walk *walk = arg;

	if (walk->level == ROLLUP_MINUTES && !is_in(walk->range, entry->key.minute))
		return 0;
	return walk->visit(entry, NULL, walk->arg);
}

static int visit_entry(struct walk *walk, struct rollup_entry *entry)
{
	int rc;

	if (walk->is_packed)
		return rollup_pack_each(entry, visit_packed, walk);
	rc = rollup_entry_open(entry);
	return rc < 0 ? rc : walk->visit(entry, NULL, walk->arg);
}

static int walk_run(struct walk *walk, struct cursor *cursor, uint32_t run)
{
	struct rollup_entry entry = { .level = walk->level, .run = run };
	int rc;

	if (walk->level == ROLLUP_MINUTES)
		entry.key.minute = walk->is_packed ? rollup_group(walk->range->from_minute)
						   : walk->range->from_minute;
	for (rc = seek(cursor, &entry, &entry); rc == 0; rc = next(cursor, &entry)) {
		if (entry.level != walk->level || entry.run != run ||
		    (walk->level == ROLLUP_MINUTES && entry.key.minute > walk->range->to_minute))
			return 0;
		rc = visit_entry(walk, &entry);
		if (rc)
			return rc == ROLLUPS_NEXT_RUN ? 0 : rc;
	}
	return rc == -ENOENT ? 0 : rc;
}

static int walk_runs(struct walk *walk, const struct part *part, const struct txn *txn)
{
	struct cursor cursor;
	int rc = walk->runs ? cursor_open(txn, part->rollup, &cursor) : -ENOENT;

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	for (uint32_t run = 0; run < walk->runs && rc == 0; run++)
		rc = walk_run(walk, &cursor, run);
	cursor_close(&cursor);
	return rc;
}

static int walk_young(const struct walk *walk, struct part *part)
{
	struct rollups *rollups = &part->rollups;
	const struct rollup_cell *cell;
	const void *key;
	size_t cursor = 0;
	int rc = 0;

	lock_young(rollups);
	if (rollups->runs_before != walk->runs)
		rc = -ESTALE;
	else if (rollups->is_broken)
		rc = -ENOMEM;
	while (rc == 0 && (cell = map_next(&rollups->young.cells, &cursor, &key))) {
		struct rollup_entry entry = { .level = ROLLUP_YOUNG };

		memcpy(&entry.key, key, sizeof(entry.key));
		if (is_in(walk->range, entry.key.minute))
			rc = walk->visit(&entry, cell, walk->arg);
	}
	unlock_young(rollups);
	return rc;
}

/* The last one that the value of this minute may have. */
static uint32_t last_minute(uint32_t minute)
{
	return rollup_group(minute) +
	       MIN(ROLLUP_GROUP_MINUTES - 1, UINT32_MAX - rollup_group(minute));
}

/* Whether the totals of a packed part say the same as its minutes in the range. */
static int choose_level(struct walk *walk, const struct part *part, const struct txn *txn)
{
	struct rollup_entry first = { .level = ROLLUP_MINUTES }, last, totals;
	struct cursor cursor;
	int rc = last_of(part, txn, ROLLUP_MINUTES, &last);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	walk->runs = last.run + 1;
	if (!part->is_closed || walk->range->is_exact)
		return 0;
	rc = last_of(part, txn, ROLLUP_TOTALS, &totals);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	rc = cursor_open(txn, part->rollup, &cursor);
	if (rc < 0)
		return rc;
	rc = seek(&cursor, &first, &first);
	cursor_close(&cursor);
	if (rc == 0 && is_in(walk->range, first.key.minute) &&
	    last_minute(last.key.minute) <= walk->range->to_minute)
		walk->level = ROLLUP_TOTALS;
	return rc;
}

int rollups_each(struct part *part, const struct txn *txn, const struct rollups_range *range,
		 int (*visit)(const struct rollup_entry *entry, const struct rollup_cell *young,
			      void *arg),
		 void *arg)
{
	struct walk walk = {
		.range = range,
		.level = ROLLUP_MINUTES,
		.is_packed = part->is_closed,
		.visit = visit,
		.arg = arg,
	};
	int rc = choose_level(&walk, part, txn);

	if (rc == 0 && !part->is_closed)
		rc = walk_young(&walk, part);
	return rc < 0 ? rc : walk_runs(&walk, part, txn);
}
