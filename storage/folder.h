/* SPDX-License-Identifier: Apache-2.0 */
/* The data folder: whose it is, which version, and that nobody else has it.
 *
 *   <data>/state/state.mdb     version and seed; written once
 *   <data>/parts/<start>/      20 digits of Unix ns; .new is not yet one, .gone no longer
 *
 * The folder itself carries the lock (flock): exclusive for the daemon, shared for tools. Each
 * function appends a sentence for the operator to `out_message` when it fails. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/buf.h"

#define FOLDER_VERSION 2

struct folder {
	char *path;    /* owned */
	char *parts;   /* owned: <path>/parts */
	int fd;        /* of the folder; holds the lock */
	uint64_t seed; /* of all hashes; random, so that peers cannot choose collisions */
};

int folder_open(const char *path, bool read_only, struct folder *out_folder,
		struct buf *out_message);
void folder_close(struct folder *folder);

/* The starts of the parts, oldest first, in an array for free(). Removes what was left half made or
 * half removed unless read_only. */
int folder_list(const struct folder *folder, bool read_only, uint64_t **out_starts,
		size_t *out_count);
/* "<parts>/<start><suffix>", for free(). */
char *folder_part_path(const struct folder *folder, uint64_t start, const char *suffix);
/* The two steps of making and of removing a part, either of which may be the last. */
int folder_make(const char *path);
int folder_rename(const struct folder *folder, const char *from, const char *to);
void folder_remove(const char *path);
/* Makes names in it durable. */
int folder_sync(const char *path);
