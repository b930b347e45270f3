/* SPDX-License-Identifier: Apache-2.0 */
/* Tells spanwise which span a thread is working on.
 *
 *   spanwise_process_init("shop", NULL);                      once, at start
 *
 *   struct spanwise_token token;
 *   spanwise_attach(trace_id, span_id, 1, &token);            the span becomes current
 *   ...                                                       (attach and detach nest)
 *   spanwise_detach(&token);                                  what was current before is again
 *
 * The ids go to the thread-local variable `otel_thread_ctx_v1` (OpenTelemetry OTEP 4947), which
 * readers find by its name, so an executable must export it: link it with
 * -Wl,--export-dynamic-symbol=otel_thread_ctx_v1 (or -rdynamic). A shared library exports it
 * anyway.
 *
 * Attach, detach, publish and mark never fail, lock, allocate or enter the kernel; they may be
 * called from signal handlers. Each thread has its own context, empty at first. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What was current before an attach. It lives wherever the caller likes, on the stack as a rule,
 * until the detach; on the same thread, innermost first. */
struct spanwise_token {
	uint8_t trace_id[16];
	uint8_t span_id[8];
	uint8_t valid;
	uint8_t trace_flags;
};

/* Makes a span the thread's current one; 16 and 8 bytes in W3C order. `trace_id` NULL: none is.
 * `trace_flags` are W3C's (1: sampled; 0 may mean that it is not known). */
void spanwise_attach(const uint8_t *trace_id, const uint8_t *span_id, uint8_t trace_flags,
		     struct spanwise_token *out_previous);
void spanwise_detach(const struct spanwise_token *previous);

/* The same without a token, for runtimes that know by themselves what to go back to. */
void spanwise_publish(const uint8_t *trace_id, const uint8_t *span_id, uint8_t trace_flags);

/* In exact mode: this thread begins that span, or ends it, now. For SDKs, right before they read
 * the clock for it: who marks a span's edges lets a reader know whose the time is from its start to
 * its attach and from its detach to its end, and whose a span is that nobody attaches. Of no effect
 * without exact mode. */
void spanwise_mark(const uint8_t *trace_id, const uint8_t *span_id);

/* Publishes what spans of this process say about their origin (OTEP 4719), so that a reader can
 * tell whose they are: give the exporter's resource the same two values. Either may be NULL: no
 * service name; an instance id made at random. Call it again to change them, from one thread at a
 * time. A forked child gets a context of its own, with a new random instance id. 0 or negative
 * errno; -E2BIG: a value is longer than SPANWISE_VALUE_MAX. */
#define SPANWISE_VALUE_MAX 255
int spanwise_process_init(const char *service_name, const char *instance_id);

/* Exact mode: each change of a thread's span is also written, with its time, to a log that the
 * thread keeps (README.md), so that spans which take turns on a thread are told apart to the
 * microsecond. It costs a reading of the clock with each attach and detach, 128 KiB for each thread
 * that attaches, and a system call or two at its first attach. SPANWISE_EXACT_MODE=1 in the
 * environment of spanwise_process_init does the same. From now on and for good; before the first
 * thread attaches, best. 0 or negative errno of publishing that it is so; after
 * spanwise_process_init, or it is published there. */
int spanwise_exact_mode(void);

/* The instance id that is published, "" before the first init. Changes at the next init or fork. */
const char *spanwise_instance_id(void);

#ifdef __cplusplus
} /* extern "C" */

namespace spanwise
{
/* Current from here to the end of the block. */
class scope
{
	spanwise_token previous;

      public:
	scope(const uint8_t *trace_id, const uint8_t *span_id, uint8_t trace_flags = 1)
	{
		spanwise_attach(trace_id, span_id, trace_flags, &previous);
	}
	~scope()
	{
		spanwise_detach(&previous);
	}
	scope(const scope &) = delete;
	scope &operator=(const scope &) = delete;
};
} // namespace spanwise
#endif
