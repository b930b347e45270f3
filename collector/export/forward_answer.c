/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/export/forward_answer.h"

#include <stdlib.h>
#include <strings.h>

#include "collector/base/macros.h"
#include "otlp/base64.h"
#include "otlp/grpc_frame.h"
#include "otlp/grpc_status.h"
#include "otlp/otlp_response.h"

#define DIGITS_MAX 10

void forward_answer_init(struct forward_answer *answer, bool is_grpc)
{
	*answer = (struct forward_answer){ .is_grpc = is_grpc, .grpc_status = -1 };
	buf_init(&answer->text, 0);
}

void forward_answer_fini(struct forward_answer *answer)
{
	buf_fini(&answer->text);
}

/* Negative: it is no whole number that fits. */
static int64_t number_of(struct str text)
{
	int64_t number = 0;

	if (text.len == 0 || text.len > DIGITS_MAX)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return -1;
		number = number * 10 + (text.data[i] - '0');
	}
	return number;
}

static bool is_name(struct str name, const char *wanted)
{
	return name.len == strlen(wanted) && strncasecmp(name.data, wanted, name.len) == 0;
}

static void take_delay(struct forward_answer *answer, int64_t ms)
{
	if (ms > 0)
		answer->retry_after_ms = (uint32_t)MIN(ms, (int64_t)INT32_MAX);
}

static void take_details(struct forward_answer *answer, struct str value)
{
	struct buf status = { 0 };

	if (base64_decode(value, &status))
		take_delay(answer, otlp_response_retry_delay_ms(buf_str(&status)));
	buf_fini(&status);
}

static bool names_gzip(struct str list)
{
	return list.len >= 4 && memmem(list.data, list.len, "gzip", 4);
}

void forward_answer_take(struct forward_answer *answer, struct str name, struct str value)
{
	if (is_name(name, "retry-after")) {
		take_delay(answer, number_of(value) * 1000);
	} else if (is_name(name, "grpc-status")) {
		answer->grpc_status = (int)MIN(number_of(value), (int64_t)INT32_MAX);
	} else if (is_name(name, "grpc-message")) {
		buf_clear(&answer->text);
		buf_append_str(&answer->text, value);
	} else if (is_name(name, "grpc-status-details-bin")) {
		take_details(answer, value);
	} else if (is_name(name, "grpc-retry-pushback-ms") && !answer->retry_after_ms) {
		take_delay(answer, number_of(value));
	} else if (is_name(name, "grpc-accept-encoding")) {
		answer->refuses_gzip = !names_gzip(value);
	}
}

/* The message of a gRPC reply; empty: there is none that we can read. */
static struct str message_of(struct str body)
{
	const uint8_t *prefix = (const uint8_t *)body.data;
	size_t len;

	if (body.len < GRPC_FRAME_PREFIX_BYTES || prefix[0] != 0)
		return (struct str){ NULL, 0 };
	len = (size_t)prefix[1] << 24 | (size_t)prefix[2] << 16 | (size_t)prefix[3] << 8 |
	      prefix[4];
	if (len > body.len - GRPC_FRAME_PREFIX_BYTES)
		return (struct str){ NULL, 0 };
	return (struct str){ body.data + GRPC_FRAME_PREFIX_BYTES, len };
}

static enum forward_verdict refuse_or_split(unsigned spans)
{
	return spans > 1 ? FORWARD_SMALLER : FORWARD_REFUSED;
}

static enum forward_verdict judge_grpc(const struct forward_answer *answer, unsigned spans,
				       bool packed)
{
	switch (answer->grpc_status) {
	case GRPC_OK:
		return FORWARD_DONE;
	case GRPC_CANCELLED:
	case GRPC_DEADLINE_EXCEEDED:
	case GRPC_ABORTED:
	case GRPC_OUT_OF_RANGE:
	case GRPC_UNAVAILABLE:
	case GRPC_DATA_LOSS:
		return FORWARD_AGAIN;
	case GRPC_RESOURCE_EXHAUSTED: /* with a delay it is load; else they are too large */
		return answer->retry_after_ms ? FORWARD_AGAIN : refuse_or_split(spans);
	case GRPC_UNIMPLEMENTED:
		return packed && answer->refuses_gzip ? FORWARD_PLAIN : FORWARD_REFUSED;
	default:
		return FORWARD_REFUSED;
	}
}

static enum forward_verdict judge_http(int status, unsigned spans, bool packed)
{
	switch (status) {
	case 429:
	case 502:
	case 503:
	case 504:
		return FORWARD_AGAIN;
	case 413:
		return refuse_or_split(spans);
	case 415:
		return packed ? FORWARD_PLAIN : FORWARD_REFUSED;
	default:
		return status >= 200 && status < 300 ? FORWARD_DONE : FORWARD_REFUSED;
	}
}

enum forward_verdict forward_answer_judge(const struct forward_answer *answer, unsigned spans,
					  bool packed, uint64_t *out_rejected)
{
	struct str response = answer->is_grpc ? message_of(answer->body) : answer->body;
	enum forward_verdict verdict;

	*out_rejected = 0;
	if (answer->status < 0)
		return FORWARD_AGAIN;
	if (answer->is_grpc && answer->grpc_status >= 0)
		verdict = judge_grpc(answer, spans, packed);
	else /* somebody on the way has answered, or it is no gRPC at all */
		verdict = judge_http(answer->status, spans, packed);
	if (verdict == FORWARD_DONE && answer->is_grpc && answer->grpc_status != GRPC_OK)
		return FORWARD_REFUSED;
	if (verdict == FORWARD_DONE)
		*out_rejected = MIN(otlp_response_rejected(response), (uint64_t)spans);
	return verdict;
}
