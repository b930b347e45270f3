/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/unwind_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bpf/unwind.h"

#define PIECE_BYTES (UNWIND_PIECE_ROWS * sizeof(struct unwind_row))

static uint32_t entries_of(int map_fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t bytes = sizeof(info);

	return map_fd >= 0 && bpf_obj_get_info_by_fd(map_fd, &info, &bytes) == 0 ? info.max_entries
										 : 0;
}

int unwind_rows_init(struct unwind_rows *rows, int map_fd)
{
	uint32_t pieces = entries_of(map_fd);
	void *all;

	*rows = (struct unwind_rows){ .map_fd = map_fd, .places = pieces * UNWIND_PIECE_ROWS };
	if (pieces == 0)
		return -ENODEV;
	unwind_extents_init(&rows->extents, rows->places);
	rows->is_there = calloc(pieces, 1);
	all = mmap(NULL, pieces * PIECE_BYTES, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	rows->all = all == MAP_FAILED ? NULL : all;
	return rows->all && rows->is_there ? 0 : -ENOMEM;
}

void unwind_rows_fini(struct unwind_rows *rows)
{
	if (rows->all)
		munmap(rows->all, rows->places * sizeof(*rows->all));
	free(rows->is_there);
	unwind_extents_fini(&rows->extents);
	*rows = (struct unwind_rows){ 0 };
}

static void *place_of(const struct unwind_rows *rows, uint32_t piece)
{
	return rows->all + (size_t)piece * UNWIND_PIECE_ROWS;
}

/* The map of maps keeps it, as the mapping does. */
static int add_piece(struct unwind_rows *rows, uint32_t piece)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "unwind_piece", sizeof(uint32_t),
				sizeof(struct unwind_row), UNWIND_PIECE_ROWS, &options);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (mmap(place_of(rows, piece), PIECE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 fd, 0) == MAP_FAILED ||
	    bpf_map_update_elem(rows->map_fd, &piece, &fd, BPF_ANY) < 0)
		rc = -errno;
	close(fd);
	rows->is_there[piece] = rc == 0;
	return rc;
}

/* Who walks through it just then has it until done. */
static void drop_piece(struct unwind_rows *rows, uint32_t piece)
{
	bpf_map_delete_elem(rows->map_fd, &piece);
	mmap(place_of(rows, piece), PIECE_BYTES, PROT_NONE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	rows->is_there[piece] = 0;
}

static void drop_unused(struct unwind_rows *rows)
{
	for (uint32_t piece = 0; piece < rows->places / UNWIND_PIECE_ROWS; piece++) {
		if (rows->is_there[piece] &&
		    !unwind_extents_use(&rows->extents, piece * UNWIND_PIECE_ROWS,
					UNWIND_PIECE_ROWS))
			drop_piece(rows, piece);
	}
}

int unwind_rows_take(struct unwind_rows *rows, uint32_t count, uint32_t *out_first)
{
	uint32_t first;
	int rc = unwind_extents_take(&rows->extents, count, &first);

	if (rc < 0)
		return rc;
	for (uint32_t piece = first / UNWIND_PIECE_ROWS;
	     rc == 0 && piece <= (first + count - 1) / UNWIND_PIECE_ROWS; piece++) {
		if (!rows->is_there[piece])
			rc = add_piece(rows, piece);
	}
	if (rc < 0) {
		unwind_rows_give(rows, first);
		return -ENOSPC;
	}
	*out_first = first;
	return 0;
}

void unwind_rows_give(struct unwind_rows *rows, uint32_t first)
{
	unwind_extents_give(&rows->extents, first);
	drop_unused(rows);
}
