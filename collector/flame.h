/* SPDX-License-Identifier: Apache-2.0 */
/* Where the time of some spans went, by code: ledgers in, a flame graph out, in the formats that
 * tools read. Every nanosecond of the chosen states is in it; what has no stack stands under the
 * cause of that. Not thread safe. */
#pragma once

#include "collector/base/map.h"
#include "collector/query/stacks.h"
#include "correlate/ledger.h"

enum flame_state {
	FLAME_CPU = 0, /* running */
	FLAME_BLOCKED,
	FLAME_RUNNABLE,
	FLAME_ALL, /* these, elsewhere and unknown: the whole wall */
};

enum flame_format {
	FLAME_JSON = 0,
	FLAME_COLLAPSED,
	FLAME_PPROF, /* gzip */
	FLAME_SPEEDSCOPE,
	FLAME_SVG,
	FLAME_OTLP,
	FLAME_PERFETTO, /* spans over time, not sums: trace_events.h writes it */
	FLAME_FORMATS,
};

/* A span that sums are of, where they are kept by span. */
struct flame_link {
	uint8_t trace_id[TRACE_ID_BYTES], span_id[SPAN_ID_BYTES];
	uint32_t service; /* of flame.services */
};

struct flame {
	enum flame_state state;
	int reason;   /* of the blocked; -1: all */
	bool is_self; /* sums what is the spans' own: of spans that contain each other */
	bool by_span; /* sums are kept by span: set it before the first */
	struct map sums;
	uint64_t spans;    /* with figures */
	uint64_t read, of; /* spans that were read, of so many that were asked for; 0: one trace */
	bool is_share_exact; /* ... which were counted, not told by rollups */
	uint64_t units;      /* what means are taken over: spans, or 1 of a whole trace */
	uint64_t total_ns;   /* of all sums */
	uint64_t first_unix_ns, last_unix_ns;
	struct flame_link *links; /* owned; link 1 is the first */
	uint32_t link_count, link_cap;
	struct buf services; /* with by_span: their names, each with its NUL */
	struct map service_offsets;
};

void flame_init(struct flame *flame, enum flame_state state, int reason, bool is_self);
void flame_fini(struct flame *flame);

/* A ledger without figures adds nothing. -ENOMEM. */
int flame_add(struct flame *flame, const struct ledger *ledger, struct str service);

/* `title`: what the spans are. -ENOMEM and the like; -EINVAL: FLAME_PERFETTO. */
int flame_write(const struct flame *flame, enum flame_format format, const char *title,
		struct stacks *stacks, struct buf *out);
const char *flame_content_type(enum flame_format format);
const char *flame_format_name(unsigned format);
const char *flame_state_name(unsigned state);
