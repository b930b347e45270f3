/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/young_run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_HEADS   1024u
#define BLOCK_ENTRIES 4096u
#define DIGITS        65536u /* of the radix sort */

struct young_entry {
	struct trace_ref ref;
	uint32_t older; /* index + 1 of the entry before in the same bucket; 0: none */
	uint32_t zero;
};

int young_run_init(struct young_run *run)
{
	*run = (struct young_run){ 0 };
	return -pthread_rwlock_init(&run->lock, NULL);
}

static void free_all(struct young_run *run)
{
	while (run->block_count)
		free(run->blocks[--run->block_count]);
	free(run->blocks);
	free(run->heads);
	run->blocks = NULL;
	run->heads = NULL;
	run->head_count = 0;
}

void young_run_fini(struct young_run *run)
{
	free_all(run);
	pthread_rwlock_destroy(&run->lock);
}

static struct young_entry *entry_at(const struct young_run *run, uint32_t index)
{
	return &run->blocks[index / BLOCK_ENTRIES][index % BLOCK_ENTRIES];
}

static uint32_t *head_of(const struct young_run *run, uint64_t hash)
{
	return &run->heads[(hash >> 32) & (run->head_count - 1)];
}

static void link_entry(struct young_run *run, uint32_t index)
{
	struct young_entry *entry = entry_at(run, index);
	uint32_t *head = head_of(run, entry->ref.hash);

	entry->older = *head;
	*head = index + 1;
}

static int add_block(struct young_run *run)
{
	struct young_entry **blocks =
		reallocarray(run->blocks, run->block_count + 1, sizeof(struct young_entry *));

	if (!blocks)
		return -ENOMEM;
	run->blocks = blocks;
	blocks[run->block_count] = malloc(BLOCK_ENTRIES * sizeof(**blocks));
	if (!blocks[run->block_count])
		return -ENOMEM;
	run->block_count++;
	return 0;
}

static int add_heads(struct young_run *run)
{
	uint32_t count = run->head_count ? 2 * run->head_count : FIRST_HEADS;
	uint32_t *heads = count > run->head_count ? calloc(count, sizeof(*heads)) : NULL;

	if (!heads)
		return -ENOMEM;
	free(run->heads);
	run->heads = heads;
	run->head_count = count;
	for (uint32_t i = 0; i < run->count; i++)
		link_entry(run, i);
	return 0;
}

/* Entries stay where they are: an array that moves as it grows leaves holes of megabytes. */
static int make_room(struct young_run *run)
{
	int rc = run->count == run->block_count * BLOCK_ENTRIES ? add_block(run) : 0;

	return rc == 0 && run->count == run->head_count ? add_heads(run) : rc;
}

int young_run_add(struct young_run *run, const struct trace_ref *refs, size_t ref_count)
{
	int rc = 0;

	pthread_rwlock_wrlock(&run->lock);
	for (size_t i = 0; i < ref_count; i++) {
		rc = make_room(run);
		if (rc < 0)
			break;
		entry_at(run, run->count)->ref = refs[i];
		link_entry(run, run->count++);
	}
	pthread_rwlock_unlock(&run->lock);
	return rc;
}

void young_run_truncate(struct young_run *run, uint32_t count)
{
	pthread_rwlock_wrlock(&run->lock);
	while (run->count > count) { /* newest first, so each stands at its bucket's head */
		const struct young_entry *entry = entry_at(run, --run->count);

		*head_of(run, entry->ref.hash) = entry->older;
	}
	pthread_rwlock_unlock(&run->lock);
}

void young_run_restart(struct young_run *run, uint32_t runs)
{
	pthread_rwlock_wrlock(&run->lock);
	if (run->heads)
		memset(run->heads, 0, run->head_count * sizeof(*run->heads));
	run->count = 0;
	run->runs_before = runs;
	pthread_rwlock_unlock(&run->lock);
}

void young_run_shrink(struct young_run *run)
{
	pthread_rwlock_wrlock(&run->lock);
	if (run->count == 0)
		free_all(run);
	pthread_rwlock_unlock(&run->lock);
}

size_t young_run_bytes(struct young_run *run)
{
	size_t bytes;

	pthread_rwlock_rdlock(&run->lock);
	bytes = run->count * (sizeof(struct young_entry) + sizeof(uint32_t));
	pthread_rwlock_unlock(&run->lock);
	return bytes;
}

uint32_t young_run_find(struct young_run *run, uint64_t hash, struct buf *out)
{
	uint32_t runs_before;

	pthread_rwlock_rdlock(&run->lock);
	for (uint32_t at = run->heads ? *head_of(run, hash) : 0; at;
	     at = entry_at(run, at - 1)->older) {
		const struct trace_ref *ref = &entry_at(run, at - 1)->ref;

		if (ref->hash == hash)
			buf_append(out, ref, sizeof(*ref));
	}
	runs_before = run->runs_before;
	pthread_rwlock_unlock(&run->lock);
	return runs_before;
}

/* By 16 bits of the hash; what is equal keeps its order. */
static void sort_pass(const struct trace_ref *from, struct trace_ref *to, uint32_t count,
		      unsigned shift, uint32_t *starts)
{
	uint32_t sum = 0;

	memset(starts, 0, DIGITS * sizeof(*starts));
	for (uint32_t i = 0; i < count; i++)
		starts[from[i].hash >> shift & (DIGITS - 1)]++;
	for (uint32_t digit = 0; digit < DIGITS; digit++) {
		uint32_t here = starts[digit];

		starts[digit] = sum;
		sum += here;
	}
	for (uint32_t i = 0; i < count; i++)
		to[starts[from[i].hash >> shift & (DIGITS - 1)]++] = from[i];
}

/* Entries are added block by block and row by row, so their order is right within a hash: only
 * hashes are sorted, by a radix sort, for commits wait meanwhile. */
void young_run_sorted(const struct young_run *run, struct buf *out)
{
	size_t bytes = run->count * sizeof(struct trace_ref);
	struct trace_ref *all = (void *)buf_reserve(out, bytes);
	struct trace_ref *spare = malloc(bytes + 1);
	uint32_t *starts = malloc(DIGITS * sizeof(*starts));

	if (all && spare && starts) {
		for (uint32_t i = 0; i < run->count; i++)
			all[i] = entry_at(run, i)->ref;
		for (unsigned shift = 0; shift < 64; shift += 32) {
			sort_pass(all, spare, run->count, shift, starts);
			sort_pass(spare, all, run->count, shift + 16, starts);
		}
		out->len += bytes;
	} else if (!buf_error(out)) {
		out->error = -ENOMEM;
	}
	free(spare);
	free(starts);
}
