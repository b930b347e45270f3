/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/trace_pack.h"

#include <string.h>

#include "collector/base/wire.h"

#define NEW_WORD 0xff

enum head_flag {
	HEAD_NEWS = 1 << 0,
	HEAD_OBSERVED = 1 << 1,
	HEAD_OVER = 1 << 2,
	HEAD_OVER_LIMIT = 1 << 3,
	HEAD_GUESSED = 1 << 4,
};

enum observation_flag { OBSERVATION_INHERITED = 1 << 0, OBSERVATION_FOLD = 1 << 1 };

enum span_flag {
	SPAN_SETTLED = 1 << 0,
	SPAN_BACKWARD = 1 << 1,
	SPAN_LABEL = 1 << 2,
	SPAN_DISPUTED = 1 << 3,
	SPAN_ANONYMOUS = 1 << 4,
};

enum mark_flag {
	MARK_WITHIN = 1 << 0,
	MARK_LEFT = 1 << 1,
	MARK_SHOWN = 1 << 2,
	MARK_SINCE_AT = 3, /* two bits each */
	MARK_UNTIL_AT = 5,
};

/* Who adds something to one of these packs it, too. */
_Static_assert(sizeof(struct trace) == 176, "a new field is to rest as well");
_Static_assert(sizeof(struct observation) == 56, "a new field is to rest as well");
_Static_assert(sizeof(struct trace_span) == 88, "a new field is to rest as well");
_Static_assert(sizeof(struct mark) == 72, "a new field is to rest as well");
_Static_assert(sizeof(struct lesson) == 48, "a new field is to rest as well");

/* ---- numbers */

static void learn(struct trace_words *words, uint64_t word)
{
	words->known[1 + words->learned++ % (TRACE_WORDS - 1)] = word;
}

static void put_word(struct trace_writer *writer, uint64_t word)
{
	const struct trace_words *words = &writer->words;

	for (unsigned i = 0; i < TRACE_WORDS && i <= words->learned; i++) {
		if (words->known[i] == word) {
			*writer->at++ = (uint8_t)i;
			return;
		}
	}
	*writer->at++ = NEW_WORD;
	memcpy(writer->at, &word, sizeof(word));
	writer->at += sizeof(word);
	learn(&writer->words, word);
}

static uint64_t get_word(struct trace_reader *reader)
{
	uint8_t number = *reader->at++;
	uint64_t word;

	if (number != NEW_WORD)
		return reader->words.known[number];
	memcpy(&word, reader->at, sizeof(word));
	reader->at += sizeof(word);
	learn(&reader->words, word);
	return word;
}

static void put_id(struct trace_writer *writer, const uint8_t id[SPAN_ID_BYTES])
{
	uint64_t word;

	memcpy(&word, id, sizeof(word));
	put_word(writer, word);
}

static void get_id(struct trace_reader *reader, uint8_t *out_id)
{
	uint64_t word = get_word(reader);

	memcpy(out_id, &word, sizeof(word));
}

static void put_pointer(struct trace_writer *writer, const void *pointer)
{
	put_word(writer, (uintptr_t)pointer);
}

static void *get_pointer(struct trace_reader *reader)
{
	return (void *)(uintptr_t)get_word(reader);
}

/* Spans are of the processes whose threads show them. */
static void put_thread(struct trace_writer *writer, const struct thread *thread)
{
	uint32_t learned = writer->words.learned;

	put_pointer(writer, thread);
	if (writer->words.learned != learned)
		learn(&writer->words, (uintptr_t)thread->process);
}

static struct thread *get_thread(struct trace_reader *reader)
{
	uint32_t learned = reader->words.learned;
	struct thread *thread = get_pointer(reader);

	if (reader->words.learned != learned)
		learn(&reader->words, (uintptr_t)thread->process);
	return thread;
}

static void put_number(struct trace_writer *writer, uint64_t number)
{
	writer->at = wire_varint_at(writer->at, number);
}

static uint64_t get_number(struct trace_reader *reader)
{
	uint64_t number = *reader->at & 0x7f;

	for (unsigned shift = 7; *reader->at++ & 0x80; shift += 7)
		number |= (uint64_t)(*reader->at & 0x7f) << shift;
	return number;
}

static void put_signed(struct trace_writer *writer, int64_t number)
{
	put_number(writer, wire_zigzag(number));
}

static int64_t get_signed(struct trace_reader *reader)
{
	return wire_unzigzag(get_number(reader));
}

static void put_time(struct trace_writer *writer, uint64_t time_ns)
{
	put_signed(writer, (int64_t)(time_ns - writer->time_ns));
	writer->time_ns = time_ns;
}

static uint64_t get_time(struct trace_reader *reader)
{
	reader->time_ns += (uint64_t)get_signed(reader);
	return reader->time_ns;
}

/* ---- parts of a trace */

void trace_pack_head(struct trace_writer *writer, const struct trace *trace,
		     const struct trace_counts *counts)
{
	uint8_t flags = 0;

	flags |= trace->news_ns ? HEAD_NEWS : 0;
	flags |= trace->observed_ns ? HEAD_OBSERVED : 0;
	flags |= trace->to_ns ? HEAD_OVER : 0;
	flags |= trace->over_limit ? HEAD_OVER_LIMIT : 0;
	flags |= trace->is_guessed ? HEAD_GUESSED : 0;
	memcpy(writer->at, trace->id, TRACE_ID_BYTES);
	writer->at += TRACE_ID_BYTES;
	*writer->at++ = flags;
	*writer->at++ = trace->taken_back;
	put_time(writer, trace->made_ns);
	if (trace->news_ns)
		put_time(writer, trace->news_ns);
	if (trace->observed_ns)
		put_time(writer, trace->observed_ns);
	if (trace->to_ns)
		put_time(writer, trace->to_ns);
	put_number(writer, trace->lesson);
	put_number(writer, trace->revision);
	put_number(writer, counts->observations);
	put_number(writer, counts->spans);
	put_number(writer, counts->marks);
	put_number(writer, counts->lessons);
}

void trace_unpack_head(struct trace_reader *reader, struct trace_head *out)
{
	struct trace *trace = &out->trace;
	uint8_t flags;

	*trace = (struct trace){ .list = LIST_NONE };
	memcpy(trace->id, reader->at, TRACE_ID_BYTES);
	reader->at += TRACE_ID_BYTES;
	flags = *reader->at++;
	trace->taken_back = *reader->at++;
	trace->over_limit = flags & HEAD_OVER_LIMIT;
	trace->is_guessed = flags & HEAD_GUESSED;
	trace->made_ns = get_time(reader);
	if (flags & HEAD_NEWS)
		trace->news_ns = get_time(reader);
	if (flags & HEAD_OBSERVED)
		trace->observed_ns = get_time(reader);
	if (flags & HEAD_OVER)
		trace->to_ns = get_time(reader);
	trace->lesson = get_number(reader);
	trace->revision = (uint16_t)get_number(reader);
	out->counts.observations = (uint32_t)get_number(reader);
	out->counts.spans = (uint32_t)get_number(reader);
	out->counts.marks = (uint32_t)get_number(reader);
	out->counts.lessons = (uint32_t)get_number(reader);
}

void trace_pack_observation(struct trace_writer *writer, const struct observation *o)
{
	*writer->at++ = (uint8_t)((o->inherited ? OBSERVATION_INHERITED : 0) |
				  (o->fold ? OBSERVATION_FOLD : 0));
	put_thread(writer, o->thread);
	put_id(writer, o->span_id);
	put_time(writer, o->first_ns);
	put_time(writer, o->last_ns);
	if (!o->fold)
		return;
	memcpy(writer->at, &o->fold, sizeof(o->fold));
	writer->at += sizeof(o->fold);
}

void trace_unpack_observation(struct trace_reader *reader, struct observation *out)
{
	uint8_t flags = *reader->at++;

	*out = (struct observation){ .inherited = flags & OBSERVATION_INHERITED };
	out->thread = get_thread(reader);
	get_id(reader, out->span_id);
	out->first_ns = get_time(reader);
	out->last_ns = get_time(reader);
	if (!(flags & OBSERVATION_FOLD))
		return;
	memcpy(&out->fold, reader->at, sizeof(out->fold));
	reader->at += sizeof(out->fold);
}

void trace_pack_span(struct trace_writer *writer, const struct trace_span *span)
{
	*writer->at++ =
		(uint8_t)((span->settled ? SPAN_SETTLED : 0) |
			  (span->backward_ns ? SPAN_BACKWARD : 0) | (span->label ? SPAN_LABEL : 0) |
			  (span->is_disputed ? SPAN_DISPUTED : 0) |
			  (span->is_anonymous ? SPAN_ANONYMOUS : 0));
	*writer->at++ = span->kind;
	put_id(writer, span->span_id);
	put_id(writer, span->parent_id);
	put_signed(writer, (int64_t)(span->start_unix_ns - writer->unix_ns));
	writer->unix_ns = span->start_unix_ns;
	put_number(writer, span->end_unix_ns - span->start_unix_ns);
	if (span->backward_ns)
		put_number(writer, span->backward_ns);
	put_word(writer, span->resource_key);
	put_pointer(writer, span->process);
	put_signed(writer, span->process_pid);
	put_signed(writer, span->thread_id);
	put_number(writer, span->flags);
	if (!span->label)
		return;
	memcpy(writer->at, &span->label, sizeof(span->label));
	writer->at += sizeof(span->label);
}

void trace_unpack_span(struct trace_reader *reader, struct trace_span *out)
{
	uint8_t flags = *reader->at++;

	*out = (struct trace_span){ .settled = flags & SPAN_SETTLED,
				    .is_anonymous = flags & SPAN_ANONYMOUS,
				    .is_disputed = flags & SPAN_DISPUTED };
	out->kind = *reader->at++;
	get_id(reader, out->span_id);
	get_id(reader, out->parent_id);
	reader->unix_ns += (uint64_t)get_signed(reader);
	out->start_unix_ns = reader->unix_ns;
	out->end_unix_ns = out->start_unix_ns + get_number(reader);
	if (flags & SPAN_BACKWARD)
		out->backward_ns = get_number(reader);
	out->resource_key = get_word(reader);
	out->process = get_pointer(reader);
	out->process_pid = get_signed(reader);
	out->thread_id = get_signed(reader);
	out->flags = (uint32_t)get_number(reader);
	if (!(flags & SPAN_LABEL))
		return;
	memcpy(&out->label, reader->at, sizeof(out->label));
	reader->at += sizeof(out->label);
}

void trace_pack_mark(struct trace_writer *writer, const struct mark *mark)
{
	*writer->at++ =
		(uint8_t)((mark->is_within ? MARK_WITHIN : 0) | (mark->left_ns ? MARK_LEFT : 0) |
			  (mark->shown_ns ? MARK_SHOWN : 0) | mark->since_left << MARK_SINCE_AT |
			  mark->until_shown << MARK_UNTIL_AT);
	put_thread(writer, mark->thread);
	put_id(writer, mark->span_id);
	put_id(writer, mark->within_id);
	put_time(writer, mark->time_ns);
	if (mark->left_ns)
		put_time(writer, mark->left_ns);
	if (mark->shown_ns)
		put_time(writer, mark->shown_ns);
	put_number(writer, mark->turn);
}

void trace_unpack_mark(struct trace_reader *reader, struct mark *out)
{
	uint8_t flags = *reader->at++;

	*out = (struct mark){ .is_within = flags & MARK_WITHIN,
			      .since_left = flags >> MARK_SINCE_AT & 3,
			      .until_shown = flags >> MARK_UNTIL_AT & 3 };
	out->thread = get_thread(reader);
	get_id(reader, out->span_id);
	get_id(reader, out->within_id);
	out->time_ns = get_time(reader);
	if (flags & MARK_LEFT)
		out->left_ns = get_time(reader);
	if (flags & MARK_SHOWN)
		out->shown_ns = get_time(reader);
	out->turn = (uint32_t)get_number(reader);
}

void trace_pack_lesson(struct trace_writer *writer, const struct lesson *lesson)
{
	*writer->at++ = lesson->kind;
	put_pointer(writer, lesson->process);
	put_pointer(writer, lesson->thread);
	put_time(writer, lesson->when.from_ns);
	put_time(writer, lesson->when.to_ns);
}

void trace_unpack_lesson(struct trace_reader *reader, struct lesson *out)
{
	*out = (struct lesson){ .kind = *reader->at++ };
	out->process = get_pointer(reader);
	out->thread = get_pointer(reader);
	out->when.from_ns = get_time(reader);
	out->when.to_ns = get_time(reader);
}
