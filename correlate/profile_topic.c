/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/profile_topic.h"

#include <stdbool.h>

#include "collector/base/macros.h"

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

static bool matches(const struct pattern *pattern, struct str name)
{
	size_t len = pattern->len;

	if (name.len < len)
		return false;
	switch ((enum how)pattern->how) {
	case EXACT:
		name = without_mark(name);
		return name.len == len && memcmp(name.data, pattern->text, len) == 0;
	case PREFIX:
		return memcmp(name.data, pattern->text, len) == 0;
	case SUFFIX:
		return memcmp(name.data + name.len - len, pattern->text, len) == 0;
	case HAS:
		return memmem(name.data, name.len, pattern->text, len) != NULL;
	case NAME:
		return str_eq(own_name(name), (struct str){ pattern->text, len });
	case WORD:
		return has_word(own_name(name), (struct str){ pattern->text, len });
	}
	return false;
}

uint32_t profile_topics_of(struct str name)
{
	uint32_t topics = 0;

	if (name.len == 0)
		return TOPIC_BIT(TOPIC_UNKNOWN);
	for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
		if (!(topics & TOPIC_BIT(patterns[i].topic)) && matches(&patterns[i], name))
			topics |= TOPIC_BIT(patterns[i].topic);
	}
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
