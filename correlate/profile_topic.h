/* SPDX-License-Identifier: Apache-2.0 */
/* What the name of a frame says about its code: a table of names (profile_topic.def), in a mask. */
#pragma once

#include <stdint.h>

#include "collector/base/str.h"

enum profile_topic {
	TOPIC_UNKNOWN, /* no symbol */
	TOPIC_TRUNCATED,
	TOPIC_GC,
	TOPIC_ALLOC,
	TOPIC_LOCK,
	TOPIC_IDLE,  /* waits for work, on nobody's behalf */
	TOPIC_AWAIT, /* waits for the next request: idle, whatever stands above */
	TOPIC_REGEX,
	TOPIC_SERIALIZE,
	TOPIC_REFLECT,
	TOPIC_LOG,
	TOPIC_DB,
	TOPIC_COMPRESS,
	TOPIC_CRYPTO,
	TOPIC_JIT,
	TOPIC_FAULT,
	TOPIC_COPY,
	TOPIC_RUNNABLE, /* ready, without a CPU */
	TOPIC_SLEEP,
	TOPIC_PARKED,   /* at the leaf: a thread that is off the CPU */
	TOPIC_PLUMBING, /* between one's own code and what it calls: an interpreter's frames */
	TOPIC_NO_STACK, /* stands for a stack that was not taken */
	TOPIC_CLOSURE,  /* stands in the text of another function */
	TOPIC_CHANNEL,  /* hands something over: whoever is at the other end is late */
	TOPIC_KERNEL,
	TOPIC_EXCEPTION,
	TOPIC_SYMBOLIZE,
	TOPIC_ENTRY,   /* where threads and programs begin: what stands above is a name for them */
	TOPIC_WORKER,  /* the frame of a thread's own loop: it says nothing about a request */
	TOPIC_LIBRARY, /* not the code of whoever reads the profile */
	TOPIC_COUNT,
};

#define TOPIC_BIT(topic) (1u << (topic))

uint32_t profile_topics_of(struct str name);
/* "garbage collection", "locks" */
const char *profile_topic_name(enum profile_topic topic);
