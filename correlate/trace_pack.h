/* SPDX-License-Identifier: Apache-2.0 */
/* How a trace at rest stands in its block: by numbers that are short where they are small, times by
 * how far they are from the one before, and ids and pointers, of which it names most more than
 * once, whole only the first time. A head, then observations, spans, marks and lessons.
 *
 * Who writes has room for as much as each may take. Who reads trusts what stands there. */
#pragma once

#include "correlate/model.h"

/* At most, of one that is packed. */
#define TRACE_HEAD_BYTES        160
#define TRACE_OBSERVATION_BYTES 48
#define TRACE_SPAN_BYTES        112
#define TRACE_MARK_BYTES        72
#define TRACE_LESSON_BYTES      48

#define TRACE_WORDS 24

/* Ids and pointers that it named, the oldest of which make room for others. Zero is always there.
 */
struct trace_words {
	uint64_t known[TRACE_WORDS];
	uint32_t learned;
};

struct trace_writer {
	uint8_t *at;
	struct trace_words words;
	uint64_t time_ns, unix_ns; /* written last */
};

struct trace_reader {
	const uint8_t *at;
	struct trace_words words;
	uint64_t time_ns, unix_ns; /* read last */
};

struct trace_counts {
	uint32_t observations, spans, marks, lessons;
};

struct trace_head {
	struct trace trace; /* without what follows */
	struct trace_counts counts;
};

void trace_pack_head(struct trace_writer *writer, const struct trace *trace,
		     const struct trace_counts *counts);
void trace_pack_observation(struct trace_writer *writer, const struct observation *o);
void trace_pack_span(struct trace_writer *writer, const struct trace_span *span);
void trace_pack_mark(struct trace_writer *writer, const struct mark *mark);
void trace_pack_lesson(struct trace_writer *writer, const struct lesson *lesson);

void trace_unpack_head(struct trace_reader *reader, struct trace_head *out);
void trace_unpack_observation(struct trace_reader *reader, struct observation *out);
void trace_unpack_span(struct trace_reader *reader, struct trace_span *out);
void trace_unpack_mark(struct trace_reader *reader, struct mark *out);
/* In no list. */
void trace_unpack_lesson(struct trace_reader *reader, struct lesson *out);
