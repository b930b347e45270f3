/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/receive/otlp_service.h"

#include <errno.h>

#include "collector/base/macros.h"
#include "collector/intake.h"
#include "collector/log.h"
#include "otlp/span.h"

#define RETRY_BUSY_MS 1000
#define RETRY_DISK_MS 5000

const struct otlp_counters otlp_counters_grpc = {
	.accepted = METRIC_ACCEPTED_SPANS,
	.refused = METRIC_REFUSED_SPANS,
	.invalid = METRIC_INVALID_REQUESTS,
	.rejected = METRIC_FAILED_SPANS,
	.clamped = METRIC_CLAMPED_SPANS,
};

const struct otlp_counters otlp_counters_http = {
	.accepted = METRIC_HTTP_ACCEPTED_SPANS,
	.refused = METRIC_HTTP_REFUSED_SPANS,
	.invalid = METRIC_HTTP_INVALID_REQUESTS,
	.rejected = METRIC_HTTP_FAILED_SPANS,
	.clamped = METRIC_HTTP_CLAMPED_SPANS,
};

static struct grpc_error refusal(int error)
{
	struct grpc_error answer = { .status = GRPC_UNAVAILABLE, .retry_delay_ms = RETRY_BUSY_MS };

	switch (error) {
	case -EBUSY:
		answer.text = "too much is in flight; try again";
		break;
	case -ENOMEM:
		answer.text = "out of memory; try again";
		break;
	case -ENOSPC:
	case -EDQUOT:
		answer.text = "the disk of the collector is full; try again";
		answer.retry_delay_ms = RETRY_DISK_MS;
		break;
	case -EMSGSIZE:
		answer = (struct grpc_error){ .status = GRPC_RESOURCE_EXHAUSTED,
					      .text = "the batch is too large to be stored" };
		break;
	default:
		answer.text = "the collector could not store the batch; try again";
		answer.retry_delay_ms = RETRY_DISK_MS;
	}
	return answer;
}

static void count_repairs(const struct otlp_service *service, const struct span_batch *batch)
{
	static const enum metric rejected[SPAN_REJECTION_KINDS] = {
#define X(name, label, text) METRIC_REJECTED_##name,
		SPAN_REJECTIONS(X)
#undef X
	};

	for (int kind = 0; batch->rejected_count && kind < SPAN_REJECTION_KINDS; kind++)
		metrics_add(service->metrics, rejected[kind], batch->rejected[kind]);
	if (batch->mended_count)
		metrics_add(service->metrics, METRIC_MENDED_STRINGS, batch->mended_count);
}

struct grpc_error otlp_service_result(const struct otlp_service *service,
				      const struct otlp_counters *counters,
				      const struct intake_result *result)
{
	const struct span_batch *batch = result->batch;

	if (result->error) {
		metrics_add(service->metrics, counters->refused, batch->span_count);
		return refusal(result->error);
	}
	metrics_add(service->metrics, counters->accepted, batch->span_count);
	metrics_add(service->metrics, counters->rejected, batch->rejected_count);
	metrics_add(service->metrics, counters->clamped, batch->clamped_count);
	count_repairs(service, batch);
	return (struct grpc_error){ .status = GRPC_OK };
}

void otlp_service_invalid(const struct otlp_service *service, const struct otlp_counters *counters,
			  const char *why)
{
	metrics_add(service->metrics, counters->invalid, 1);
	LOG_LIMITED(LOG_WARNING, "otlp: refused export: %s", why);
}

void otlp_service_count_http(const struct otlp_service *service, int status)
{
	static const struct {
		int status;
		enum metric metric;
	} rows[] = {
		{ 200, METRIC_HTTP_200 }, { 204, METRIC_HTTP_204 }, { 400, METRIC_HTTP_400 },
		{ 401, METRIC_HTTP_401 }, { 404, METRIC_HTTP_404 }, { 405, METRIC_HTTP_405 },
		{ 408, METRIC_HTTP_408 }, { 413, METRIC_HTTP_413 }, { 415, METRIC_HTTP_415 },
		{ 431, METRIC_HTTP_431 }, { 503, METRIC_HTTP_503 },
	};
	enum metric metric = METRIC_HTTP_OTHER;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].status == status)
			metric = rows[i].metric;
	}
	metrics_add(service->metrics, metric, 1);
}
