/* SPDX-License-Identifier: Apache-2.0 */
/* A program whose memory looks like that of a Node add-on, of a Go runtime, of Elastic's agent, or
 * of a user of custom labels; it goes through the states in which each can be.
 *
 *   forms FORM: prints "tls OFFSET", waits for a line, and prints for each state a line
 *   "wait NAME TID SPAN ..." as subject.c does; SPAN is what a reader must find, 0: nothing. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bpf/tag.h"
#include "tests/bpf/task_state.h"

#define SPAN_BYTES "\x01\x23\x45\x67\x89\xab\xcd\xef"
#define SPAN_HEX   "0123456789aBCDef"
#define SPAN_TEN   "81985529216486895"
#define TRACE_HEX  "abababababababababababababababAB"
#define UNMAPPED   ((uint64_t)16)

static __thread struct tag_nodejs node;
static __thread void *pointer; /* of all others */
static struct tag_record record;
static uint64_t span;

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

/* Waits in the state that has been set up. */
static void show(const char *name, uint64_t found)
{
	int64_t before_ns = now_ns();

	sleep_once(1000000);
	printf("wait %s %d %lu %ld %ld 0 0 0 0\n", name, (int)syscall(SYS_gettid), found, before_ns,
	       now_ns());
}

/* ---- Node: a Map from handles to values, as V8 lays it out */

#define BUCKETS 4

static struct {
	uint64_t header[2], elements, deleted, buckets;
	uint64_t chains[BUCKETS];
	struct {
		uint64_t key, value, next;
	} entries[4];
} table;
static uint64_t map[4], wrapper[8], undefined[2];
static uint64_t frame, storage, key[2];

static uint64_t tagged(const void *object)
{
	return (uint64_t)(uintptr_t)object + 1;
}

static uint64_t small(int32_t number)
{
	return (uint64_t)(uint32_t)number << 32;
}

/* Our entry is the second of its chain, behind one that was deleted. */
static void set_up_node(void)
{
	map[3] = tagged(&table);
	table.elements = small(1);
	table.deleted = small(1);
	table.buckets = small(BUCKETS);
	for (int i = 0; i < BUCKETS; i++)
		table.chains[i] = small(-1);
	table.chains[7 & (BUCKETS - 1)] = small(1);
	table.entries[1].key = tagged(undefined);
	table.entries[1].next = small(0);
	table.entries[0].key = storage = tagged(key);
	table.entries[0].value = tagged(wrapper);
	table.entries[0].next = small(-1);
	wrapper[4] = (uint64_t)(uintptr_t)&record;
	frame = tagged(map);
	node = (struct tag_nodejs){ (uint64_t)(uintptr_t)&frame, (uint64_t)(uintptr_t)&storage, 7,
				    32, tagged(undefined) };
}

static void show_node(void)
{
	show("idle", 0);
	set_up_node();
	show("chained", span);
	record.valid = 0;
	show("finished", 0);
	record.valid = 1;
	frame = tagged(undefined);
	show("no-frame", 0);
	frame = tagged(map);
	table.entries[0].key = tagged(undefined);
	show("absent", 0);
	table.entries[0].key = storage;
	table.entries[0].value = tagged(undefined);
	show("undefined", 0);
	table.entries[0].value = tagged(wrapper);
	show("again", span);
	table.buckets = small(3);
	show("odd-buckets", 0);
	table.buckets = small(BUCKETS);
	table.entries[1].next = small(1);
	show("circle", 0);
	table.entries[1].next = small(1000);
	show("far-entry", 0);
	table.entries[1].next = small(0);
	node.record_offset = 0;
	show("older-form", 0);
	node.record_offset = 32;
	show("last", span);
	frame = UNMAPPED + 1;
	show("fault", span);
}

/* ---- labels */

struct go_text {
	const char *text;
	uint64_t bytes;
};

static struct go_text text_of(const char *text)
{
	return (struct go_text){ text, strlen(text) };
}

static const char *const sets[][2][2] = {
	{ { "span_id", SPAN_HEX }, { "trace_id", TRACE_HEX } },
	{ { "traceId", TRACE_HEX }, { "spanId", SPAN_HEX } },
	{ { "trace id", TRACE_HEX }, { "span id", SPAN_TEN } },
	{ { "span.id", SPAN_HEX }, { "trace.id", TRACE_HEX } },
	{ { "span_id", SPAN_HEX }, { "other", TRACE_HEX } },
	{ { "span_id", "0123456789abcdeg" }, { "trace_id", TRACE_HEX } },
	{ { "span_id", "0123456789abcde" }, { "trace_id", TRACE_HEX } },
	{ { "span id", "81985529216486x95" }, { "trace id", TRACE_HEX } },
};
static const char *const set_names[] = { "snake",    "camel",   "datadog", "dotted",
					 "no-trace", "not-hex", "short",   "not-ten" };
#define SETS      (sizeof(sets) / sizeof(sets[0]))
#define GOOD_SETS 4

static uint64_t found_in(size_t set)
{
	return set < GOOD_SETS ? span : 0;
}

/* ---- Go */

static uint64_t g0[64], g1[64], m[64];

static void set_up_go(uint64_t *labels)
{
	g0[6] = (uint64_t)(uintptr_t)m;       /* .m at 48 */
	m[23] = (uint64_t)(uintptr_t)g1;      /* .curg at 184 */
	g1[44] = (uint64_t)(uintptr_t)labels; /* .labels at 352 */
	pointer = g0;                         /* a system call runs on g0 of its thread */
}

static void show_go_slice(void)
{
	static struct go_text pairs[4];
	static uint64_t slice[3] = { 0, 2, 2 };

	show("no-g", 0);
	set_up_go(slice);
	slice[0] = (uint64_t)(uintptr_t)pairs;
	for (size_t i = 0; i < SETS; i++) {
		for (int k = 0; k < 4; k++)
			pairs[k] = text_of(sets[i][k / 2][k % 2]);
		show(set_names[i], found_in(i));
	}
	m[23] = 0;
	show("parked", 0);
	m[23] = (uint64_t)(uintptr_t)g1;
	g1[44] = 0;
	show("no-labels", 0);
}

static void show_go_map(void)
{
	static struct {
		uint8_t tophash[8];
		struct go_text keys[8], values[8];
		uint64_t overflow;
	} buckets[2];
	static uint64_t header[4] = { 2, 0, (uint64_t)(uintptr_t)buckets, 0 };
	static uint64_t *labels = header;

	header[1] = 1 << 8; /* two buckets */
	set_up_go((uint64_t *)&labels);
	for (size_t i = 0; i < SETS; i++) {
		memset(buckets, 0, sizeof(buckets));
		for (int k = 0; k < 2; k++) {
			buckets[k].tophash[3 * k] = 200;
			buckets[k].keys[3 * k] = text_of(sets[i][k][0]);
			buckets[k].values[3 * k] = text_of(sets[i][k][1]);
		}
		show(set_names[i], found_in(i));
	}
	buckets[0].tophash[0] = 1; /* empty */
	show("emptied", 0);
}

/* ---- custom labels: a text is {bytes, address} */

static void show_labels(void)
{
	static uint64_t pairs[12], set[3] = { (uint64_t)(uintptr_t)pairs, 3, 3 };

	show("none", 0);
	pointer = set;
	for (size_t i = 0; i < SETS; i++) {
		for (int k = 0; k < 4; k++) {
			/* The first pair is a free one. */
			pairs[4 + 2 * k] = strlen(sets[i][k / 2][k % 2]);
			pairs[5 + 2 * k] = (uint64_t)(uintptr_t)sets[i][k / 2][k % 2];
		}
		show(set_names[i], found_in(i));
	}
	set[1] = 1;
	show("too-few", 0);
	pointer = (void *)(uintptr_t)UNMAPPED;
	show("unmapped", 0);
}

/* ---- Elastic */

static void show_elastic(void)
{
	static struct tag_elastic elastic = { .valid = 1, .has_trace = 1 };

	show("none", 0);
	memset(elastic.trace_id, 0xab, sizeof(elastic.trace_id));
	memcpy(elastic.span_id, SPAN_BYTES, sizeof(elastic.span_id));
	pointer = &elastic;
	show("set", span);
	elastic.has_trace = 0;
	show("idle", 0);
	elastic.has_trace = 1;
	elastic.valid = 0;
	show("invalid", 0);
}

static const struct {
	const char *name;
	void (*show)(void);
} forms[] = {
	{ "nodejs", show_node },   { "go-slice", show_go_slice }, { "go-map", show_go_map },
	{ "labels", show_labels }, { "elastic", show_elastic },
};

int main(int argc, char **argv)
{
	const char *form = argc > 1 ? argv[1] : "nodejs";
	const char *variable = strcmp(form, "nodejs") == 0 ? (char *)&node : (char *)&pointer;
	char line[16];

	memset(record.trace_id, 0xab, sizeof(record.trace_id));
	memcpy(record.span_id, SPAN_BYTES, sizeof(record.span_id));
	memcpy(&span, SPAN_BYTES, sizeof(span));
	record.valid = 1;
	setvbuf(stdout, NULL, _IOFBF, 65536);
	printf("tls %ld\n", (long)(variable - (char *)__builtin_thread_pointer()));
	fflush(stdout);
	if (read(0, line, sizeof(line)) <= 0)
		return 1;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (strcmp(form, forms[i].name) == 0)
			forms[i].show();
	fflush(stdout);
	return 0;
}
