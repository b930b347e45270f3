/* SPDX-License-Identifier: Apache-2.0 */
/* The LMDB environment of a part, counted: who began to read in it keeps it, even if the part has
 * another one by then. */
#pragma once

#include <lmdb.h>
#include <stdatomic.h>
#include <stdint.h>

struct part_env {
	MDB_env *mdb; /* owned */
	atomic_uint references;
};

/* `most_databases`, `map_bytes` (0: as large as the file), `flags` of LMDB. The caller gets the
 * first reference. Negative errno. */
struct part_env_options {
	const char *path;
	unsigned most_databases;
	uint64_t map_bytes;
	unsigned flags;
};

int part_env_open(const struct part_env_options *options, struct part_env **out_env);
struct part_env *part_env_hold(struct part_env *env);
void part_env_release(struct part_env *env); /* NULL: nothing */
