/* SPDX-License-Identifier: Apache-2.0 */
/* A whole OTLP/HTTP/1.1 connection without its socket: parser, gate, decompression, decoder and
 * answers. The first byte says how long the pieces are that arrive, and whether answers come at
 * once. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/intake.h"
#include "collector/receive/otlp_protocol.h"
#include "collector/receive/otlp_service.h"
#include "otlp/otlp_decode.h"

#define MAX_BODY  (64u << 10)
#define MAX_OUT   (1u << 20)
#define TICK_MS   1000
#define LATE_TICK 200 /* everything has run out of time by then */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	struct span_batch *batch; /* owned; NULL: none is waiting */
	struct intake_reply reply;
} waiting;
static bool answers_at_once;

static void answer(struct span_batch *batch, const struct intake_reply *reply)
{
	struct intake_result result = { .error = batch->span_count % 7 == 3 ? -EBUSY : 0,
					.batch = batch };

	reply->on_result(&result, reply->stream_id, reply->arg);
	otlp_batch_free(batch);
}

/* In place of the real one. */
void intake_submit(struct intake *intake, struct span_batch *batch,
		   const struct intake_reply *reply)
{
	(void)intake;
	if (answers_at_once)
		return answer(batch, reply);
	if (waiting.batch)
		abort(); /* one at a time */
	waiting.batch = batch;
	waiting.reply = *reply;
}

static void give_answer(void)
{
	struct span_batch *batch = waiting.batch;
	struct intake_reply reply = waiting.reply;

	waiting.batch = NULL;
	if (batch)
		answer(batch, &reply);
}

static void on_wake(void *arg)
{
	(void)arg;
}

static void talk(void *state, struct str bytes, size_t piece)
{
	struct buf out;
	uint64_t now_ms = 1;

	buf_init(&out, MAX_OUT);
	while (bytes.len && !otlp_http1.is_done(state)) {
		struct str part = { bytes.data, MIN(piece, bytes.len) };

		otlp_http1.feed(state, part, now_ms);
		bytes = (struct str){ bytes.data + part.len, bytes.len - part.len };
		if (!otlp_http1.wants_read(state) || bytes.len % 3 == 0)
			give_answer();
		otlp_http1.pull(state, &out);
	}
	for (unsigned i = 0; i < LATE_TICK; i++) {
		give_answer();
		otlp_http1.tick(state, now_ms += TICK_MS);
		otlp_http1.pull(state, &out);
	}
	otlp_http1.shutdown(state, NULL, now_ms);
	otlp_http1.pull(state, &out);
	if (!otlp_http1.is_done(state) || otlp_http1.has_unanswered(state))
		abort();
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct metrics metrics;
	struct grpc_budget limit = { .limit_bytes = MAX_BODY };
	struct otlp_service service = {
		.metrics = &metrics,
		.http2 = { .budget = &limit },
		.limits = otlp_limits_default,
		.http_limits = { .max_body_bytes = MAX_BODY },
		.timeouts = { 10000, 10000, 10000, 60000, 60000, 0 },
		.max_head_bytes = 4096,
		.max_head_fields = 32,
		.cors_origins = "https://a.example",
		.cors_headers = "",
	};
	struct otlp_owner owner = { &service, on_wake, NULL };
	void *state;

	if (size < 1)
		return 0;
	answers_at_once = data[0] & 1;
	service.http_limits.batch = &service.limits;
	if (otlp_http1.open(&owner, 0, &state) < 0)
		return 0;
	talk(state, (struct str){ (const char *)data + 1, size - 1 },
	     data[0] < 8 ? size : 1u + data[0] % 64);
	otlp_http1.close(state);
	if (limit.used_bytes != 0)
		abort(); /* it leaks away, one connection after the other */
	return 0;
}
