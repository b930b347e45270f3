/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever decodes must encode, decode again to the same spans, and print as JSON. */
#include <stdlib.h>
#include <string.h>

#include "otlp/otlp_decode.h"
#include "otlp/otlp_encode.h"
#include "otlp/otlp_json.h"
#include "tests/fuzz/fuzz.h"

static struct otlp_part *parts_of(const struct span_batch *batch)
{
	struct otlp_part *parts = calloc(batch->span_count + 1, sizeof(*parts));

	for (uint32_t i = 0; parts && i < batch->span_count; i++) {
		const struct span *span = &batch->spans[i];

		parts[i] = (struct otlp_part){
			.resource = batch->resources[span->resource].bytes,
			.resource_schema_url = batch->resources[span->resource].schema_url,
			.scope = batch->scopes[span->scope].bytes,
			.scope_schema_url = batch->scopes[span->scope].schema_url,
			.span = span->bytes,
		};
	}
	return parts;
}

static void check_again(struct buf *encoded, const struct span_batch *batch)
{
	struct span_batch *again = NULL;

	MUST(otlp_decode(encoded->data, encoded->len, NULL, &again) == 0);
	MUST(again->span_count == batch->span_count && again->rejected_count == 0);
	MUST(again->mended_count == 0);
	for (uint32_t i = 0; i < batch->span_count; i++) {
		MUST(str_eq(again->spans[i].bytes, batch->spans[i].bytes));
		MUST(str_eq(again->spans[i].peer, batch->spans[i].peer));
	}
	otlp_batch_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *body = len ? malloc(len) : NULL;
	struct span_batch *batch = NULL;
	struct buf encoded = { 0 }, text = { 0 };
	struct otlp_part *parts;
	struct json json;

	if (len)
		memcpy(body, data, len);
	if (otlp_decode(body, len, NULL, &batch) < 0)
		return 0;
	parts = parts_of(batch);
	json_init(&json, &text);
	otlp_json_traces(&json, NULL, parts, batch->span_count);
	MUST(json.depth == 0);
	otlp_encode_traces(parts, batch->span_count, &encoded);
	check_again(&encoded, batch);
	buf_fini(&text);
	free(parts);
	otlp_batch_free(batch);
	return 0;
}
