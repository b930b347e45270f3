/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/part_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/base/macros.h"
#include "storage/trace_index.h"

#define INDEX_SLACK_BYTES ((uint64_t)16 << 20)

/* Takes the reference. */
static int append(struct store *store, struct part *part)
{
	int rc = 0;

	pthread_mutex_lock(&store->lock);
	if (store->part_count == store->part_cap) {
		size_t cap = store->part_cap ? 2 * store->part_cap : 16;
		struct part **parts = realloc(store->parts, cap * sizeof(struct part *));

		rc = parts ? 0 : -ENOMEM;
		store->parts = parts ? parts : store->parts;
		store->part_cap = parts ? cap : store->part_cap;
	}
	if (rc == 0)
		store->parts[store->part_count++] = part;
	pthread_mutex_unlock(&store->lock);
	if (rc < 0)
		part_release(part);
	return rc;
}

/* So that a part that is full can still take its youngest run. */
static uint64_t env_bytes(const struct store *store)
{
	return store->map_bytes + 4 * store->options.index_bytes + INDEX_SLACK_BYTES;
}

static bool has_file(const char *path, const char *name)
{
	char *file = part_file_path(path, name);
	bool has = file && access(file, F_OK) == 0;

	free(file);
	return has;
}

/* closed.mdb appears complete or not at all; then open.mdb is superfluous. */
static int open_one(struct store *store, const char *path, uint64_t start, bool is_last)
{
	bool is_closed = has_file(path, PART_CLOSED_FILE);
	struct part_options options = {
		.path = path,
		.file = is_closed ? PART_CLOSED_FILE : PART_OPEN_FILE,
		.start_unix_ns = start,
		.seed = store->folder.seed,
		.map_bytes = env_bytes(store),
		.log_bytes = store->map_bytes,
		.mode = is_closed                  ? PART_COMPACTED
			: store->options.read_only ? PART_READ
						   : PART_WRITE,
	};
	struct part *part;
	int rc = part_open(&options, &part);

	if (rc < 0)
		return rc == -ENOENT ? -EBADMSG : rc;
	if (!store->options.read_only) {
		part_remove_file(path, "closed.new");
		if (is_closed)
			part_remove_open_files(path);
	}
	part->is_over = is_closed || store->options.read_only;
	rc = append(store, part);
	if (rc < 0 || part->is_over)
		return rc;
	store->current = part;
	return is_last ? 0 : part_list_end(store, false);
}

static void say(struct buf *message, const char *path, int rc)
{
	if (rc == -EPROTO)
		buf_printf(message,
			   "%s: written by a newer version of spanwise; use that version, or "
			   "move the folder away to go on without it",
			   path);
	else if (rc == -EPROTOTYPE)
		buf_printf(message,
			   "%s: written by an older version of spanwise, whose form of data this "
			   "one does not read; use that version, or move the folder away to go on "
			   "without it",
			   path);
	else if (rc == -EBADMSG)
		buf_printf(message,
			   "%s: damaged, so nothing in it can be trusted; restore it from a "
			   "backup, or move the folder away to go on without it",
			   path);
	else
		buf_printf(message, "%s: %s", path, strerror(-rc));
}

int part_list_open(struct store *store, struct buf *out_message)
{
	uint64_t *starts = NULL;
	size_t count = 0;
	int rc = folder_list(&store->folder, store->options.read_only, &starts, &count);

	if (rc < 0)
		say(out_message, store->folder.parts, rc);
	for (size_t i = 0; i < count && rc == 0; i++) {
		char *path = folder_part_path(&store->folder, starts[i], "");

		rc = path ? open_one(store, path, starts[i], i + 1 == count) : -ENOMEM;
		if (rc < 0)
			say(out_message, path ? path : store->folder.parts, rc);
		free(path);
	}
	free(starts);
	return rc;
}

/* From then on a log that is shorter is damaged, and not just cut short by a crash. Best effort. */
static void mark_end(struct part *part)
{
	struct txn txn;

	if (txn_begin_write(part->env->mdb, &txn) < 0)
		return;
	part_put_mark(part, &txn);
	txn_commit(&txn);
}

void part_list_close(struct store *store)
{
	if (store->current && !store->options.read_only)
		mark_end(store->current);
	for (size_t i = 0; i < store->part_count; i++)
		part_release(store->parts[i]);
	free(store->parts);
	store->parts = NULL;
	store->part_count = store->part_cap = 0;
	store->current = NULL;
}

/* Under another name until its first page is on disk: what has a part's name is one. */
static int create(struct store *store, uint64_t start, struct part **out_part)
{
	char *fresh = folder_part_path(&store->folder, start, ".new");
	char *path = folder_part_path(&store->folder, start, "");
	struct part_options options = {
		.path = fresh,
		.file = PART_OPEN_FILE,
		.start_unix_ns = start,
		.seed = store->folder.seed,
		.map_bytes = env_bytes(store),
		.log_bytes = store->map_bytes,
		.mode = PART_CREATE,
	};
	struct part *part = NULL;
	int rc = fresh && path ? 0 : -ENOMEM;

	if (rc == 0) {
		folder_remove(fresh);
		rc = folder_make(fresh);
	}
	if (rc == 0)
		rc = part_open(&options, &part);
	if (rc == 0)
		rc = folder_sync(fresh);
	if (rc == 0)
		rc = folder_rename(&store->folder, fresh, path);
	if (rc == 0) {
		free(part->path);
		part->path = path;
		path = NULL;
		*out_part = part;
	} else {
		part_release(part);
		if (fresh)
			folder_remove(fresh);
	}
	free(fresh);
	free(path);
	return rc;
}

int part_list_begin(struct store *store, uint64_t now_unix_ns)
{
	uint64_t start = now_unix_ns;
	struct part *part = NULL;
	int rc;

	pthread_mutex_lock(&store->lock);
	if (store->part_count)
		start = MAX(start, store->parts[store->part_count - 1]->start_unix_ns + 1);
	pthread_mutex_unlock(&store->lock);
	rc = create(store, start, &part);
	if (rc == 0)
		rc = append(store, part);
	if (rc == 0)
		store->current = part;
	return rc;
}

/* A clock that went back by more than an hour would keep the part open for ever: that ends it too.
 */
bool part_list_is_over(const struct store *store, uint64_t now_unix_ns)
{
	const struct part *part = store->current;
	uint64_t age_ns;

	if (!part || part->totals.blocks == 0)
		return false;
	age_ns = now_unix_ns > part->start_unix_ns ? now_unix_ns - part->start_unix_ns
						   : part->start_unix_ns - now_unix_ns;
	return age_ns >= store->options.part_ns || part->totals.bytes >= store->part_limit_bytes;
}

static int reopen_for_reading(struct store *store, struct part *part)
{
	struct part_options options = {
		.path = part->path,
		.file = PART_OPEN_FILE,
		.start_unix_ns = part->start_unix_ns,
		.seed = part->seed,
		.mode = PART_READ,
	};
	struct part *fresh;
	int rc = part_open(&options, &fresh);

	if (rc < 0)
		return rc;
	fresh->cannot_be_packed = true; /* its youngest run cannot be written */
	fresh->is_over = true;
	part_list_replace(store, part, fresh);
	return 0;
}

/* Nothing will be written to its database. Without it, that costs memory and nothing else. */
static void freeze(struct store *store, struct part *part)
{
	struct part_env *old = part->env, *fresh;

	if (part_open_again(part, &fresh) < 0)
		return;
	pthread_mutex_lock(&store->lock);
	part->env = fresh;
	pthread_mutex_unlock(&store->lock);
	part_env_release(old);
}

static void set_over(struct store *store, struct part *part)
{
	pthread_mutex_lock(&store->lock);
	part->is_over = true;
	pthread_mutex_unlock(&store->lock);
}

int part_list_spill(struct part *part, bool with_index, bool with_rollups)
{
	struct txn txn;
	int rc = txn_begin_write(part->env->mdb, &txn);

	if (rc == 0) {
		if (with_index)
			trace_index_spill(part, &txn);
		if (with_rollups)
			rollups_spill(part, &txn);
		part_put_mark(part, &txn);
		rc = txn_commit(&txn);
	}
	if (rc == 0 && with_index)
		trace_index_spilled(part);
	if (with_rollups)
		rollups_end_spill(part, rc == 0);
	return rc;
}

int part_list_end(struct store *store, bool is_broken)
{
	struct part *part = store->current;
	int rc;

	store->current = NULL;
	if (is_broken)
		return reopen_for_reading(store, part);
	rc = part_list_spill(
		part, part->young.count,
		rollups_begin_spill(part, part->rollups.first_unix_ns + ROLLUPS_YOUNG_NS));
	block_log_end(&part->log);
	if (rc == 0) {
		young_run_shrink(&part->young);
		freeze(store, part);
	}
	set_over(store, part);
	return rc;
}

void part_list_replace(struct store *store, struct part *old, struct part *fresh)
{
	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < store->part_count; i++) {
		if (store->parts[i] == old)
			store->parts[i] = fresh;
	}
	pthread_mutex_unlock(&store->lock);
	part_release(old);
}

int part_list_drop_oldest(struct store *store, struct part *part)
{
	char *gone = folder_part_path(&store->folder, part->start_unix_ns, ".gone");
	int rc = gone ? folder_rename(&store->folder, part->path, gone) : -ENOMEM;

	if (rc == 0) {
		pthread_mutex_lock(&store->lock);
		memmove(store->parts, store->parts + 1,
			--store->part_count * sizeof(struct part *));
		store->stats.parts_dropped++;
		store->stats.spans_dropped += part->totals.spans;
		pthread_mutex_unlock(&store->lock);
		part_release(part);
		folder_remove(gone);
	}
	free(gone);
	return rc;
}
