/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/profile_topic.h"

#include <pthread.h>
#include <stdbool.h>

#include "collector/base/macros.h"

#define KEY_BYTES 3
#define KEY_BITS  12

enum how { EXACT, PREFIX, SUFFIX, HAS, NAME, WORD };

static const struct pattern {
	uint8_t topic, how, len;
	const char *text;
} patterns[] = {
#define X(topic, how, text) { TOPIC_##topic, how, sizeof(text) - 1, text },
#include "correlate/profile_topic.def"
#undef X
};

/* Where " (file.py)" or "(java.lang.String)" begins; not the "(*T)" of Go's methods. */
static size_t arguments_at(struct str name)
{
	for (size_t i = 1; i < name.len; i++) {
		if (name.data[i] == '(' && name.data[i - 1] != '.' && name.data[i - 1] != ':')
			return name.data[i - 1] == ' ' ? i - 1 : i;
	}
	return name.len;
}

/* "pool_worker" of "main.(*pool).pool_worker.func1 (pool.go)": the function's own name. */
static struct str own_name(struct str name)
{
	const char *closure;

	name.len = arguments_at(name);
	while (name.len && (closure = memmem(name.data + 1, name.len - 1, ".func", 5)))
		name.len = (size_t)(closure - name.data);
	for (size_t i = name.len; i > 0; i--) {
		if (strchr(".:/$", name.data[i - 1]))
			return (struct str){ name.data + i, name.len - i };
	}
	return name;
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* The words of poolWorker, pool_worker and PoolWorker are "pool" and "worker". */
static bool has_word(struct str name, struct str word)
{
	for (size_t start = 0, end; start < name.len; start = end) {
		for (end = start + 1;
		     end < name.len && name.data[end] != '_' && !is_upper(name.data[end]); end++)
			;
		if (name.data[start] == '_')
			start++;
		if (end - start == word.len && word.len &&
		    (name.data[start] | 0x20) == word.data[0] &&
		    memcmp(name.data + start + 1, word.data + 1, word.len - 1) == 0)
			return true;
	}
	return false;
}

/* The mark of the kernel's functions and " [libc.so.6]" are no part of their names. */
static struct str without_mark(struct str name)
{
	const char *open;

	if (name.len < 5 || name.data[name.len - 1] != ']')
		return name;
	if (memcmp(name.data + name.len - 4, "_[k]", 4) == 0)
		return (struct str){ name.data, name.len - 4 };
	open = memmem(name.data + 1, name.len - 1, " [", 2);
	return open ? (struct str){ name.data, (size_t)(open - name.data) } : name;
}

/* ---- the table, found by the first bytes of a text ---- */

/* Profiles have up to a million names, and the table hundreds of texts: each place of a name is
 * looked up once, not each text in each name. Built once, then only read. */
static struct index {
	uint16_t first[1u << KEY_BITS]; /* number of a pattern + 1; 0: none */
	uint16_t next[ARRAY_LEN(patterns)];
	uint16_t others[ARRAY_LEN(patterns)]; /* those without a key: few */
	size_t other_count;
} index_of_table;
static pthread_once_t index_is_built = PTHREAD_ONCE_INIT;

static uint32_t key_of(const char *text)
{
	uint32_t bytes = 0;

	memcpy(&bytes, text, KEY_BYTES);
	return bytes * 2654435761u >> (32 - KEY_BITS);
}

static void build_index(void)
{
	struct index *index = &index_of_table;

	for (size_t i = ARRAY_LEN(patterns); i-- > 0;) {
		bool has_key = patterns[i].len >= KEY_BYTES && patterns[i].how <= HAS &&
			       patterns[i].how != SUFFIX;
		uint16_t *first;

		if (!has_key) {
			index->others[index->other_count++] = (uint16_t)i;
			continue;
		}
		first = &index->first[key_of(patterns[i].text)];
		index->next[i] = *first;
		*first = (uint16_t)(i + 1);
	}
}

/* What is looked at, in all the ways in which a text may be compared. */
struct named {
	struct str name, plain, own; /* with its mark, without, the function's own name */
};

static bool matches_at(const struct pattern *pattern, const struct named *named, size_t at)
{
	struct str name = named->name;

	if (name.len - at < pattern->len ||
	    memcmp(name.data + at, pattern->text, pattern->len) != 0)
		return false;
	if (pattern->how == HAS)
		return true;
	return at == 0 && (pattern->how == PREFIX || named->plain.len == pattern->len);
}

static bool matches_whole(const struct pattern *pattern, const struct named *named)
{
	struct str text = { pattern->text, pattern->len };

	switch ((enum how)pattern->how) {
	case NAME:
		return str_eq(named->own, text);
	case WORD:
		return has_word(named->own, text);
	case SUFFIX:
		return named->name.len >= text.len &&
		       memcmp(named->name.data + named->name.len - text.len, text.data, text.len) ==
			       0;
	case HAS:
		return memmem(named->name.data, named->name.len, text.data, text.len) != NULL;
	default:
		return matches_at(pattern, named, 0);
	}
}

static uint32_t look_up(const struct named *named)
{
	const struct index *index = &index_of_table;
	uint32_t topics = 0;

	for (size_t at = 0; at + KEY_BYTES <= named->name.len; at++) {
		for (unsigned i = index->first[key_of(named->name.data + at)]; i;
		     i = index->next[i - 1]) {
			if (matches_at(&patterns[i - 1], named, at))
				topics |= TOPIC_BIT(patterns[i - 1].topic);
		}
	}
	for (size_t i = 0; i < index->other_count; i++) {
		const struct pattern *pattern = &patterns[index->others[i]];

		if (!(topics & TOPIC_BIT(pattern->topic)) && matches_whole(pattern, named))
			topics |= TOPIC_BIT(pattern->topic);
	}
	return topics;
}

/* "libpq.so.5.17+0x1d8a2": a place in a library, no name. */
static bool is_place(struct str name)
{
	const char *offset = name.len ? memmem(name.data, name.len, "+0x", 3) : NULL;

	return offset && memmem(name.data, (size_t)(offset - name.data), ".so", 3);
}

/* spanwise's own "threading.py: Thread.run" is others' "Thread.run (threading.py)", which the table
 * has. */
static struct str as_others_say(struct str name, char *room, size_t room_bytes)
{
	const char *colon = name.len > 5 ? memmem(name.data, name.len, ".py: ", 5) : NULL;
	size_t file, rest;

	if (!colon)
		return name;
	file = (size_t)(colon - name.data) + 3;
	rest = name.len - file - 2;
	if (name.len + 1 > room_bytes)
		return name;
	memcpy(room, name.data + file + 2, rest);
	memcpy(room + rest, " (", 2);
	memcpy(room + rest + 2, name.data, file);
	room[rest + 2 + file] = ')';
	return (struct str){ room, rest + file + 3 };
}

uint32_t profile_topics_of(struct str name)
{
	struct named named;
	uint32_t topics;
	char room[1024];

	if (name.len == 0)
		return TOPIC_BIT(TOPIC_UNKNOWN);
	pthread_once(&index_is_built, build_index);
	name = as_others_say(name, room, sizeof(room));
	if (is_place(name))
		return TOPIC_BIT(TOPIC_UNKNOWN) | TOPIC_BIT(TOPIC_LIBRARY);
	named = (struct named){ name, without_mark(name), own_name(name) };
	topics = look_up(&named);
	if (topics & (TOPIC_BIT(TOPIC_UNKNOWN) | TOPIC_BIT(TOPIC_KERNEL) | TOPIC_BIT(TOPIC_ALLOC)))
		topics |= TOPIC_BIT(TOPIC_LIBRARY);
	return topics;
}

const char *profile_topic_name(enum profile_topic topic)
{
	static const char *const names[TOPIC_COUNT] = {
		[TOPIC_UNKNOWN] = "code without symbols",
		[TOPIC_TRUNCATED] = "cut stacks",
		[TOPIC_GC] = "garbage collection",
		[TOPIC_ALLOC] = "allocation",
		[TOPIC_LOCK] = "locks",
		[TOPIC_IDLE] = "waiting for work",
		[TOPIC_AWAIT] = "waiting for requests",
		[TOPIC_REGEX] = "regular expressions",
		[TOPIC_SERIALIZE] = "serialization",
		[TOPIC_REFLECT] = "reflection",
		[TOPIC_LOG] = "logging",
		[TOPIC_DB] = "the database client",
		[TOPIC_COMPRESS] = "compression",
		[TOPIC_CRYPTO] = "cryptography",
		[TOPIC_JIT] = "the JIT compiler",
		[TOPIC_FAULT] = "page faults",
		[TOPIC_COPY] = "copying memory",
		[TOPIC_RUNNABLE] = "ready without a CPU",
		[TOPIC_SLEEP] = "sleeps",
		[TOPIC_PARKED] = "parked threads",
		[TOPIC_PLUMBING] = "interpreters",
		[TOPIC_NO_STACK] = "stacks that were not taken",
		[TOPIC_CLOSURE] = "closures",
		[TOPIC_CHANNEL] = "channels and queues",
		[TOPIC_KERNEL] = "the kernel",
		[TOPIC_EXCEPTION] = "exceptions",
		[TOPIC_SYMBOLIZE] = "symbolization",
		[TOPIC_ENTRY] = "entry points",
		[TOPIC_WORKER] = "worker loops",
		[TOPIC_LIBRARY] = "libraries",
	};

	return names[topic];
}
