/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a pprof profile in pieces, twice: first its tables (they follow the samples they explain),
 * then its samples. The file is never held.
 *
 *   pprof_reader_new -> pprof_reader_feed ... -> pprof_reader_rewind
 *                    -> pprof_reader_feed ... -> pprof_reader_end -> pprof_reader_free
 *
 * Everything in it is hostile: references are checked, sizes are capped, and what is damaged is
 * counted. Memory: the tables, and one field. Not thread safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/base/str.h"

#define PPROF_MAX_FIELD_BYTES ((size_t)64 << 20) /* of one sample, function, string */
#define PPROF_MAX_TABLE_BYTES ((size_t)1 << 30)
#define PPROF_MAX_TYPES       8 /* of more, the first */

struct pprof_reader;

/* A sample: locations leaf first, as indexes for pprof_reader_lines; `values` as many as types. */
typedef int pprof_on_sample(void *arg, const uint32_t *locations, size_t location_count,
			    const int64_t *values);

struct pprof_type {
	struct str type, unit;
};

struct pprof_info {
	struct pprof_type types[PPROF_MAX_TYPES];
	unsigned type_count;
	unsigned default_type;
	struct pprof_type period_type;
	int64_t period;
	uint64_t time_unix_ns, duration_ns;
	uint64_t bad_samples;    /* wrong number of values, or an unknown location */
	uint64_t inlined_frames; /* lines beyond the first of a location */
};

/* NULL: out of memory. */
struct pprof_reader *pprof_reader_new(pprof_on_sample *on_sample, void *arg);
void pprof_reader_free(struct pprof_reader *reader);

/* Any cut of the bytes. -EBADMSG: no protobuf; -EMSGSIZE: a limit; -ENOMEM; or what on_sample said.
 */
int pprof_reader_feed(struct pprof_reader *reader, struct str bytes);
/* After the tables: puts them in order. -EBADMSG: no pprof profile (no types, no strings). */
int pprof_reader_rewind(struct pprof_reader *reader);
/* After the samples. 1: the bytes ended in the middle of a field. */
int pprof_reader_end(struct pprof_reader *reader);

/* After rewind; borrowed from the reader. */
const struct pprof_info *pprof_reader_info(const struct pprof_reader *reader);

/* The functions of a location, innermost first, as numbers below pprof_reader_function_count: at
 * least one. A location without functions has one of its own, named by its address. */
size_t pprof_reader_lines(const struct pprof_reader *reader, uint32_t location,
			  const uint32_t **out);
size_t pprof_reader_function_count(const struct pprof_reader *reader);
size_t pprof_reader_location_count(const struct pprof_reader *reader);
/* Writes at most `room` bytes; returns the name. */
struct str pprof_reader_name(const struct pprof_reader *reader, uint32_t function, char *room,
			     size_t room_bytes);
/* The file of a function's text; empty: not told. Borrowed. */
struct str pprof_reader_file(const struct pprof_reader *reader, uint32_t function);
