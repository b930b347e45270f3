/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of a pprof profile: strings, functions, locations, mappings. Within otlp/, for
 * pprof_read.c. */
#pragma once

#include "collector/base/wire.h"
#include "otlp/pprof_read.h"

#define PPROF_NO_INDEX UINT32_MAX

struct pprof_text {
	uint64_t offset;
	uint64_t len;
};

struct pprof_function {
	uint64_t id;
	uint64_t name, file; /* indexes of strings */
};

struct pprof_location {
	uint64_t id;
	uint64_t address;
	uint64_t mapping;
	uint32_t first_line, line_count; /* in `lines` */
};

struct pprof_mapping {
	uint64_t id;
	uint64_t file;
};

struct pprof_tables {
	struct pprof_info info;
	struct buf text;
	struct pprof_text *strings; /* owned, as all below */
	struct pprof_function *functions;
	struct pprof_location *locations;
	struct pprof_mapping *mappings;
	uint64_t *line_ids; /* until pprof_tables_finish: function ids */
	uint32_t *lines;    /* then: indexes of functions */
	size_t string_count, function_count, location_count, mapping_count, line_count;
	size_t string_cap, function_cap, location_cap, mapping_cap, line_cap;
	size_t bytes;
	unsigned declared_types;
	uint64_t type_texts[PPROF_MAX_TYPES][2], period_texts[2], default_type_text;
	bool has_dense_locations;
};

void pprof_tables_init(struct pprof_tables *tables);
void pprof_tables_fini(struct pprof_tables *tables);

/* One field of the top level. -EBADMSG, -ENOMEM, -EMSGSIZE. */
int pprof_tables_field(struct pprof_tables *tables, const struct wire_field *field);
/* All are there: resolves references. */
int pprof_tables_finish(struct pprof_tables *tables);

uint32_t pprof_tables_location(const struct pprof_tables *tables, uint64_t id);
size_t pprof_tables_lines(const struct pprof_tables *tables, uint32_t location,
			  const uint32_t **out);
/* Where a function stands; empty: not told. */
struct str pprof_tables_file(const struct pprof_tables *tables, uint32_t function);
struct str pprof_tables_name(const struct pprof_tables *tables, uint32_t function, char *room,
			     size_t room_bytes);
