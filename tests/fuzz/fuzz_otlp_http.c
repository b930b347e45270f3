/* SPDX-License-Identifier: Apache-2.0 */
/* A byte that says encoding and compression, then the body as sent. What is refused has a status
 * and a text; what is taken stays within the limits. */
#include <stdlib.h>
#include <string.h>

#include "otlp/otlp_http.h"
#include "tests/fuzz/fuzz.h"

#define MAX_BODY_BYTES 100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct otlp_http_limits limits = { .max_body_bytes = MAX_BODY_BYTES };
	struct otlp_http_request request;
	struct span_batch *batch = NULL;
	struct buf detail = { 0 }, answer = { 0 };
	struct grpc_error error;
	char *body;

	if (len < 2)
		return 0;
	request.form = data[0] & 1 ? OTLP_JSON : OTLP_PROTOBUF;
	request.coding = (enum otlp_coding)(data[0] >> 1 & 3);
	body = malloc(len - 1);
	memcpy(body, data + 1, len - 1);
	error = otlp_http_decode(&request, body, len - 1, &limits, &batch, &detail);
	if (error.status) {
		MUST(error.text && error.http_status >= 400);
		MUST(otlp_http_refused(request.form, error, &answer) == 0);
	} else {
		MUST(batch->body.len <= MAX_BODY_BYTES);
		MUST(otlp_response_stored(request.form, batch, &answer) == 0);
		otlp_batch_free(batch);
	}
	buf_fini(&detail);
	buf_fini(&answer);
	return 0;
}
