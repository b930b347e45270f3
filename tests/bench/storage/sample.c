/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/storage/sample.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/frame.h"
#include "collector/base/macros.h"
#include "collector/base/map.h"
#include "collector/base/wire.h"
#include "collector/record_file.h"
#include "otlp/otlp_decode.h"

enum { SPAN_TRACE_ID = 1, SPAN_ID = 2, SPAN_PARENT_ID = 4, SPAN_START = 7, SPAN_END = 8 };

#define LEAST_TRACES 500 /* more than are compressed together */

struct member {
	const struct span *span;
	const struct span_resource *resource;
	const struct span_scope *scope;
	struct ledger ledger;
};

struct original {
	struct member *members; /* the root first */
	uint32_t count, cap;
	uint64_t start_unix_ns;
};

struct sample {
	struct span_batch **batches; /* owned */
	size_t batch_count;
	struct original *traces; /* owned */
	size_t trace_count;
	struct map by_id; /* trace id -> index */
	struct arena arena;
	double mean_spans;
};

static void die(const char *what)
{
	fprintf(stderr, "sample: %s\n", what);
	exit(1);
}

static void *grown(void *list, size_t count, size_t size)
{
	if (count & (count - 1)) /* room for the next power of two is there */
		return list;
	list = realloc(list, 2 * MAX(count, 1) * size);
	if (!list)
		die("out of memory");
	return list;
}

static uint64_t mix(uint64_t value)
{
	value += 0x9e3779b97f4a7c15ull;
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
	value = (value ^ value >> 27) * 0x94d049bb133111ebull;
	return value ^ value >> 31;
}

void sample_trace_id(uint64_t number, uint8_t out_id[TRACE_ID_BYTES])
{
	uint64_t halves[2] = { mix(2 * number), mix(2 * number + 1) };

	memcpy(out_id, halves, sizeof(halves));
}

static void new_span_id(uint64_t number, const uint8_t *old, uint8_t out_id[SPAN_ID_BYTES])
{
	uint64_t id;

	memcpy(&id, old, sizeof(id));
	id = mix(id ^ mix(number));
	memcpy(out_id, &id, sizeof(id));
}

#define FUNCTIONS 3000u

/* As those of a Python service: the outer half is the way to one of some dozen handlers. */
bool sample_find_stack(uint64_t id, struct buf *out_frames, void *arg)
{
	unsigned count = 12 + mix(id) % 32;

	(void)arg;
	for (unsigned i = 0; i < count; i++) {
		bool is_outer = i > count / 2;
		uint64_t way = is_outer ? id % 40 : id;
		uint64_t number = mix(mix(way) + (is_outer ? count - i : i)) % FUNCTIONS;
		char name[64], module[64];

		snprintf(name, sizeof(name), "function_of_some_length_%llu",
			 (unsigned long long)number);
		snprintf(module, sizeof(module), "/usr/lib/python3/site-packages/module_%llu.py",
			 (unsigned long long)number % 97);
		frame_put(out_frames, &(struct frame){ FRAME_PYTHON, number % 2000, str_of(name),
						       str_of(module) });
	}
	return true;
}

/* ---- reading the recording ---- */

static void add_span(struct sample *sample, const struct span_batch *batch, const struct span *span)
{
	uint32_t *place = map_put(&sample->by_id, span->trace_id);
	struct original *trace;

	if (*place == 0) {
		sample->traces = grown(sample->traces, sample->trace_count, sizeof(*trace));
		sample->traces[sample->trace_count++] = (struct original){ 0 };
		*place = (uint32_t)sample->trace_count;
	}
	trace = &sample->traces[*place - 1];
	trace->members = grown(trace->members, trace->count, sizeof(*trace->members));
	trace->members[trace->count++] = (struct member){
		.span = span,
		.resource = &batch->resources[span->resource],
		.scope = &batch->scopes[span->scope],
	};
}

static void add_batch(struct sample *sample, struct str request)
{
	struct span_batch *batch;
	char *body = malloc(request.len + 1);

	memcpy(body, request.data, request.len);
	if (otlp_decode(body, request.len, NULL, &batch) < 0)
		die("a request of the recording cannot be read");
	sample->batches = grown(sample->batches, sample->batch_count, sizeof(struct span_batch *));
	sample->batches[sample->batch_count++] = batch;
	for (uint32_t i = 0; i < batch->span_count; i++)
		add_span(sample, batch, &batch->spans[i]);
}

/* The last one of a span is its newest. */
static void add_ledger(struct sample *sample, struct str bytes)
{
	struct ledger ledger;
	const uint32_t *place;

	if (ledger_decode(bytes, &sample->arena, &ledger) < 0)
		die("a ledger of the recording cannot be read");
	place = map_get(&sample->by_id, ledger.trace_id);
	for (uint32_t i = 0; place && i < sample->traces[*place - 1].count; i++) {
		struct member *member = &sample->traces[*place - 1].members[i];

		if (memcmp(member->span->span_id, ledger.span_id, SPAN_ID_BYTES) == 0)
			member->ledger = ledger;
	}
}

static bool is_whole(struct original *trace)
{
	struct member *members = trace->members;

	trace->start_unix_ns = UINT64_MAX;
	for (uint32_t i = 0; i < trace->count; i++) {
		if (members[i].ledger.revision == 0 || members[i].ledger.grade == GRADE_NONE)
			return false;
		trace->start_unix_ns = MIN(trace->start_unix_ns, members[i].span->start_unix_ns);
		if (hex_is_zero(members[i].span->parent_span_id, SPAN_ID_BYTES)) {
			struct member root = members[i];

			members[i] = members[0];
			members[0] = root;
		}
	}
	return true;
}

static void keep_whole_ones(struct sample *sample)
{
	size_t kept = 0, spans = 0;

	for (size_t i = 0; i < sample->trace_count; i++) {
		uint32_t *place =
			map_get(&sample->by_id, sample->traces[i].members[0].span->trace_id);

		if (is_whole(&sample->traces[i])) {
			spans += sample->traces[i].count;
			sample->traces[kept++] = sample->traces[i];
			*place = (uint32_t)kept;
		} else {
			*place = 0;
			free(sample->traces[i].members);
		}
	}
	sample->trace_count = kept;
	if (kept < LEAST_TRACES)
		die("too few traces of the recording have all their ledgers");
	sample->mean_spans =
		(double)spans / (double)kept * (SAMPLE_SINGLE_EVERY - 1) / SAMPLE_SINGLE_EVERY +
		1.0 / SAMPLE_SINGLE_EVERY;
}

struct sample *sample_open(const char *path)
{
	struct sample *sample = calloc(1, sizeof(*sample));
	struct record_reader *reader;
	struct record_entry entry;
	int rc = record_reader_open(path, &reader);

	if (rc < 0 || !sample)
		die("the recording cannot be opened; one of another version must be made again");
	arena_init(&sample->arena, 0);
	map_init(&sample->by_id, TRACE_ID_BYTES, sizeof(uint32_t), 0);
	while ((rc = record_next(reader, &entry)) > 0) {
		if (entry.kind == RECORD_SPANS)
			add_batch(sample, entry.data);
		else if (entry.kind == RECORD_LEDGER)
			add_ledger(sample, entry.data);
	}
	record_reader_close(reader);
	keep_whole_ones(sample);
	return sample;
}

void sample_close(struct sample *sample)
{
	for (size_t i = 0; i < sample->trace_count; i++)
		free(sample->traces[i].members);
	for (size_t i = 0; i < sample->batch_count; i++)
		otlp_batch_free(sample->batches[i]);
	free(sample->traces);
	free(sample->batches);
	map_fini(&sample->by_id);
	arena_fini(&sample->arena);
	free(sample);
}

double sample_spans_of_a_trace(const struct sample *sample)
{
	return sample->mean_spans;
}

/* ---- making a copy ---- */

struct copy {
	const struct sample *sample;
	uint64_t number;
	const struct original *from;
	uint32_t count;
	uint64_t start_ns;
	struct arena *arena;
};

static struct copy begin_copy(const struct sample *sample, uint64_t number)
{
	struct copy copy = { .sample = sample,
			     .number = number,
			     .from = &sample->traces[number % sample->trace_count] };

	copy.count = number % SAMPLE_SINGLE_EVERY ? copy.from->count : 1;
	return copy;
}

uint32_t sample_trace_spans(const struct sample *sample, uint64_t number)
{
	return begin_copy(sample, number).count;
}

static uint64_t moved(const struct copy *copy, uint64_t unix_ns)
{
	return copy->start_ns + (unix_ns - copy->from->start_unix_ns);
}

static void *copied(const struct copy *copy, const void *list, size_t bytes)
{
	void *out = arena_alloc(copy->arena, bytes + 1);

	if (!out)
		die("out of memory");
	if (bytes)
		memcpy(out, list, bytes);
	return out;
}

/* The copy of another trace that lies as near to this one as it was recorded. */
static uint64_t number_of(const struct copy *copy, const uint8_t *trace_id)
{
	const struct sample *sample = copy->sample;
	const uint32_t *place = map_get(&sample->by_id, trace_id);
	uint64_t own = copy->number % sample->trace_count;

	return place && *place ? copy->number - own + (*place - 1) : copy->number;
}

static void renew_tag(const struct copy *copy, struct event_tag *tag)
{
	uint64_t number = number_of(copy, tag->trace_id);
	uint8_t old[SPAN_ID_BYTES];

	if (hex_is_zero(tag->span_id, SPAN_ID_BYTES))
		return;
	memcpy(old, tag->span_id, sizeof(old));
	new_span_id(number, old, tag->span_id);
	sample_trace_id(number, tag->trace_id);
}

static void copy_lists(const struct copy *copy, struct ledger *ledger)
{
	ledger->waits = copied(copy, ledger->waits, ledger->wait_count * sizeof(*ledger->waits));
	ledger->links = copied(copy, ledger->links, ledger->link_count * sizeof(*ledger->links));
	ledger->slices =
		copied(copy, ledger->slices, ledger->slice_count * sizeof(*ledger->slices));
	for (unsigned i = 0; i < ledger->wait_count; i++) {
		for (unsigned k = 0; k < ledger->waits[i].waker_count; k++)
			renew_tag(copy, &ledger->waits[i].wakers[k].tag);
	}
	for (unsigned i = 0; i < ledger->link_count; i++)
		renew_tag(copy, &ledger->links[i].to);
	for (unsigned i = 0; i < ledger->slice_count; i++)
		ledger->slices[i].start_unix_ns = moved(copy, ledger->slices[i].start_unix_ns);
}

static struct ledger copy_ledger(const struct copy *copy, const struct ledger *from)
{
	struct ledger ledger = *from;

	ledger.start_unix_ns = moved(copy, from->start_unix_ns);
	copy_lists(copy, &ledger);
	sample_trace_id(copy->number, ledger.trace_id);
	new_span_id(copy->number, from->span_id, ledger.span_id);
	return ledger;
}

/* A copy's span on its way into a request. */
struct outgoing {
	const struct member *member;
	struct copy copy;
	uint64_t start_ns, end_ns;
};

static void put_id(const struct outgoing *out, uint32_t number, struct str old, struct buf *message)
{
	uint8_t id[TRACE_ID_BYTES];

	if (number == SPAN_TRACE_ID)
		sample_trace_id(out->copy.number, id);
	else
		new_span_id(out->copy.number, (const uint8_t *)old.data, id);
	wire_put_bytes(message, number, (struct str){ (const char *)id, old.len });
}

static void put_span(const struct outgoing *out, struct buf *scope_spans)
{
	struct wire_reader reader = wire_read(out->member->span->bytes);
	struct wire_field field;
	struct buf message = { 0 };

	while (wire_next(&reader, &field) > 0) {
		if (field.number == SPAN_START)
			wire_put_fixed64(&message, SPAN_START, out->start_ns);
		else if (field.number == SPAN_END)
			wire_put_fixed64(&message, SPAN_END, out->end_ns);
		else if ((field.number <= SPAN_ID || field.number == SPAN_PARENT_ID) &&
			 field.bytes.len)
			put_id(out, field.number, field.bytes, &message);
		else
			buf_append_str(&message, field.raw);
	}
	wire_put_bytes(scope_spans, 2, buf_str(&message));
	buf_fini(&message);
}

static int compare_ends(const void *a, const void *b)
{
	const struct outgoing *left = a, *right = b;

	return (left->end_ns > right->end_ns) - (left->end_ns < right->end_ns);
}

/* An SDK exports spans as they end. All of one service and scope here; others follow each other. */
static void put_request(const struct outgoing *list, size_t count, struct buf *request)
{
	for (size_t i = 0; i < count;) {
		const struct member *first = list[i].member;
		struct buf resource_spans = { 0 }, scope_spans = { 0 };

		wire_put_bytes(&resource_spans, 1, first->resource->bytes);
		wire_put_bytes(&scope_spans, 1, first->scope->bytes);
		for (;
		     i < count && str_eq(list[i].member->resource->bytes, first->resource->bytes) &&
		     str_eq(list[i].member->scope->bytes, first->scope->bytes);
		     i++)
			put_span(&list[i], &scope_spans);
		wire_put_bytes(&resource_spans, 2, buf_str(&scope_spans));
		wire_put_bytes(request, 1, buf_str(&resource_spans));
		buf_fini(&scope_spans);
		buf_fini(&resource_spans);
	}
}

static struct store_ledger_rows copy_trace(const struct copy *copy, struct outgoing *out)
{
	struct ledger *ledgers = arena_alloc(copy->arena, copy->count * sizeof(*ledgers));

	if (!ledgers)
		die("out of memory");
	for (uint32_t i = 0; i < copy->count; i++) {
		const struct member *member = &copy->from->members[i];

		ledgers[i] = copy_ledger(copy, &member->ledger);
		out[i] = (struct outgoing){
			.member = member,
			.copy = *copy,
			.start_ns = ledgers[i].start_unix_ns,
			.end_ns = ledgers[i].start_unix_ns + ledgers[i].wall_ns,
		};
	}
	return (struct store_ledger_rows){ ledgers, copy->count };
}

void sample_make(struct sample *sample, uint64_t first, size_t count, uint64_t start_ns,
		 uint64_t every_ns, struct sample_group *out_group)
{
	struct outgoing *list;
	struct buf request = { 0 };
	size_t spans = 0, at = 0;

	*out_group = (struct sample_group){ .row_count = count };
	arena_init(&out_group->arena, 0);
	out_group->rows = arena_alloc(&out_group->arena, count * sizeof(*out_group->rows));
	for (size_t i = 0; i < count; i++)
		spans += sample_trace_spans(sample, first + i);
	list = arena_alloc(&out_group->arena, spans * sizeof(*list));
	for (size_t i = 0; i < count; i++) {
		struct copy copy = begin_copy(sample, first + i);

		copy.start_ns = start_ns + i * every_ns;
		copy.arena = &out_group->arena;
		out_group->rows[i] = copy_trace(&copy, list + at);
		at += copy.count;
	}
	qsort(list, spans, sizeof(*list), compare_ends);
	put_request(list, spans, &request);
	out_group->bytes = request.len;
	if (otlp_decode(request.data, request.len, NULL, &out_group->batch) < 0)
		die("a copied request cannot be read");
}

void sample_group_fini(struct sample_group *group)
{
	otlp_batch_free(group->batch);
	arena_fini(&group->arena);
}
