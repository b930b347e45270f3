/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of mapped files, given back to the kernel, which keeps them in its cache: whoever needs one
 * again gets it by a fault.
 *
 * LMDB does not say where its map lies. But what is read from it lies in there, and the map stays
 * as long as its environment is held. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "storage/view.h"

/* An address within the database's map; NULL: it cannot be read. */
static const char *place_in(struct view *view, size_t index)
{
	const struct txn *txn;
	struct cursor cursor;
	struct str key = { NULL, 0 }, value;

	if (view_txn(view, index, &txn) < 0 ||
	    cursor_open(txn, view->parts[index].part->about, &cursor) < 0)
		return NULL;
	if (cursor_first(&cursor, &key, &value) < 0)
		key.data = NULL;
	cursor_close(&cursor);
	return key.data;
}

static bool holds(uintptr_t from, uintptr_t to, const char *const *places, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if ((uintptr_t)places[i] >= from && (uintptr_t)places[i] < to)
			return true;
	}
	return false;
}

static void forget_maps(const char *const *places, size_t count)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char *line = NULL, rights[5];
	uintptr_t from, to;
	size_t room = 0;

	while (maps && getline(&line, &room, maps) > 0) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &from, &to, rights) == 3 &&
		    rights[3] == 's' && holds(from, to, places, count))
			madvise((void *)from, to - from, MADV_DONTNEED);
	}
	free(line);
	if (maps)
		fclose(maps);
}

int store_forget_pages(struct store *store)
{
	struct view view;
	const char **places;
	int rc = view_open(store, &view);

	if (rc < 0)
		return rc;
	places = calloc(view.count + 1, sizeof(*places));
	for (size_t i = 0; places && i < view.count; i++) {
		block_log_forget(&view.parts[i].part->log);
		part_forget_checked(view.parts[i].part);
		places[i] = place_in(&view, i);
	}
	if (places)
		forget_maps(places, view.count);
	rc = places ? 0 : -ENOMEM;
	free(places);
	view_close(&view);
	return rc;
}
