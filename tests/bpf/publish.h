/* SPDX-License-Identifier: Apache-2.0 */
/* How the subjects publish tags: as OTEP 4947 says, one record a thread, written in place. */
#pragma once

#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf/tag.h"

struct record {
	uint8_t trace_id[16];
	uint64_t span_id;
	uint8_t valid, trace_flags;
	uint16_t attrs_bytes;
};

__attribute__((visibility("default"))) __thread struct record *otel_thread_ctx_v1;
static __thread struct record own;

#define FENCE() __asm__ volatile("" ::: "memory")

/* As one does that clears the last ids before it writes others. */
static inline void clear(void)
{
	own.valid = 0;
	FENCE();
	memset(own.trace_id, 0, sizeof(own.trace_id));
	own.span_id = 0;
	FENCE();
}

/* 0: nothing. */
static inline void publish(uint64_t span)
{
	clear();
	memset(own.trace_id, span ? 0xab : 0, sizeof(own.trace_id));
	own.span_id = span;
	own.trace_flags = span ? 0 : TAG_SHOWS_NONE;
	FENCE();
	own.valid = span != 0;
	FENCE();
	otel_thread_ctx_v1 = &own;
}

static inline long tls_offset(void)
{
	return (long)((char *)&otel_thread_ctx_v1 - (char *)__builtin_thread_pointer());
}

static inline int my_tid(void)
{
	return (int)syscall(SYS_gettid);
}
