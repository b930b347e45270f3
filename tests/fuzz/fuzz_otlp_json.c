/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever is read as OTLP/JSON and decodes must be written as JSON that reads as the same again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "otlp/otlp_json.h"
#include "otlp/otlp_json_decode.h"
#include "tests/fuzz/fuzz.h"

static void write_json(const struct span_batch *batch, struct buf *out)
{
	struct otlp_part *parts = calloc(batch->span_count + 1, sizeof(*parts));
	struct json json;

	MUST(parts);
	for (uint32_t i = 0; i < batch->span_count; i++) {
		const struct span *span = &batch->spans[i];

		parts[i] = (struct otlp_part){
			.resource = batch->resources[span->resource].bytes,
			.resource_schema_url = batch->resources[span->resource].schema_url,
			.scope = batch->scopes[span->scope].bytes,
			.scope_schema_url = batch->scopes[span->scope].schema_url,
			.span = span->bytes,
		};
	}
	json_init(&json, out);
	otlp_json_traces(&json, NULL, parts, batch->span_count);
	MUST(json.depth == 0 && buf_error(out) == 0);
	free(parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf problem = { 0 }, text = { 0 }, again_text = { 0 };
	struct span_batch *batch, *again;
	int rc = otlp_json_decode((struct str){ (const char *)data, len }, 0, NULL, &batch,
				  &problem);

	if (rc < 0) {
		MUST(problem.len > 0 || rc != -EBADMSG);
		buf_fini(&problem);
		return 0;
	}
	write_json(batch, &text);
	MUST(otlp_json_decode(buf_str(&text), 0, NULL, &again, NULL) == 0);
	MUST(again->span_count == batch->span_count && again->rejected_count == 0);
	write_json(again, &again_text);
	MUST(str_eq(buf_str(&text), buf_str(&again_text)));
	otlp_batch_free(again);
	otlp_batch_free(batch);
	buf_fini(&text);
	buf_fini(&again_text);
	buf_fini(&problem);
	return 0;
}
