/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/profile_topic.h"

#include <stdbool.h>

#include "collector/base/macros.h"

enum how { EXACT, PREFIX, SUFFIX, HAS };

static const struct pattern {
	uint8_t topic, how, len;
	const char *text;
} patterns[] = {
#define X(topic, how, text) { TOPIC_##topic, how, sizeof(text) - 1, text },
#include "correlate/profile_topic.def"
#undef X
};

static bool matches(const struct pattern *pattern, struct str name)
{
	size_t len = pattern->len;

	if (name.len < len)
		return false;
	switch ((enum how)pattern->how) {
	case EXACT:
		return name.len == len && memcmp(name.data, pattern->text, len) == 0;
	case PREFIX:
		return memcmp(name.data, pattern->text, len) == 0;
	case SUFFIX:
		return memcmp(name.data + name.len - len, pattern->text, len) == 0;
	case HAS:
		return memmem(name.data, name.len, pattern->text, len) != NULL;
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
		[TOPIC_KERNEL] = "the kernel",
		[TOPIC_EXCEPTION] = "exceptions",
		[TOPIC_SYMBOLIZE] = "symbolization",
		[TOPIC_WORKER] = "worker loops",
		[TOPIC_LIBRARY] = "libraries",
	};

	return names[topic];
}
