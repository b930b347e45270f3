/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/alert/alert_evidence.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/json.h"
#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/render.h"
#include "storage/store.h"

#define LOOKED_AT   48 /* the slowest so many spans */
#define MAX_WAITS   32 /* distinct (reason, target) of them */
#define DEADLINE_NS (2 * NS_PER_SEC)

struct sample {
	uint8_t trace_id[TRACE_ID_BYTES], span_id[SPAN_ID_BYTES];
	uint64_t wall_ns;
	double ratio;
	int wait; /* its longest one, among the sums; -1: none */
};

struct wait_sum {
	struct ledger_wait longest; /* of those summed: names target, stack and wakers */
	uint64_t ns;
};

struct gathering {
	struct sample samples[LOOKED_AT]; /* slowest first */
	unsigned count;
	struct wait_sum waits[MAX_WAITS];
	unsigned wait_count;
	uint64_t wall_ns;
};

/* A lock's address and a connection's own port differ from span to span. */
static struct event_target common(const struct event_target *target)
{
	struct event_target same = *target;

	same.aux = 0;
	if (same.kind == TARGET_FUTEX)
		same.id = 0;
	return same;
}

/* Where this wait is summed; -1: there are too many. */
static int add_wait(struct gathering *gathering, const struct ledger_wait *wait)
{
	struct event_target target = common(&wait->target);
	struct wait_sum *sum;
	unsigned i;

	for (i = 0; i < gathering->wait_count; i++) {
		struct event_target other = common(&gathering->waits[i].longest.target);

		if (gathering->waits[i].longest.reason == wait->reason &&
		    memcmp(&other, &target, sizeof(target)) == 0)
			break;
	}
	if (i == MAX_WAITS)
		return -1;
	sum = &gathering->waits[i];
	if (i == gathering->wait_count)
		gathering->wait_count++;
	if (wait->ns > sum->longest.ns)
		sum->longest = *wait;
	sum->ns += wait->ns;
	return (int)i;
}

static int on_span(const struct store_span *stored, void *arg)
{
	struct gathering *gathering = arg;
	const struct ledger *ledger = &stored->ledger;
	struct sample *sample;

	if (!stored->has_ledger || ledger->grade < GRADE_INFERRED)
		return 0;
	if (gathering->count == LOOKED_AT)
		return 1;
	sample = &gathering->samples[gathering->count++];
	*sample = (struct sample){ .wall_ns = ledger->wall_ns,
				   .ratio = ledger_ratio(ledger),
				   .wait = -1 };
	memcpy(sample->trace_id, ledger->trace_id, TRACE_ID_BYTES);
	memcpy(sample->span_id, ledger->span_id, SPAN_ID_BYTES);
	gathering->wall_ns += ledger->wall_ns;
	for (unsigned i = 0; i < ledger->wait_count; i++) {
		int wait = add_wait(gathering, &ledger->waits[i]);

		if (i == 0) /* they are in order */
			sample->wait = wait;
	}
	return 0;
}

static int gather(struct store *store, const struct alert_scope *scope, struct gathering *gathering)
{
	struct store_query query = {
		.service = scope->service,
		.operation = scope->operation,
		.from_unix_ns = scope->from_unix_ns,
		.to_unix_ns = scope->to_unix_ns,
		.max_ratio = 1e6, /* with figures */
		.reason = -1,
		.grade = -1,
		.status = -1,
		.kind = scope->kind,
		.sort = STORE_SORT_WALL,
		.limit = LOOKED_AT,
		.mono_ns = clock_mono_ns,
		.deadline_mono_ns = clock_mono_ns() + DEADLINE_NS,
	};
	int rc = store_search(store, &query, on_span, gathering, NULL);

	return MIN(rc, 0);
}

static int dominant(const struct gathering *gathering)
{
	int best = -1;

	for (unsigned i = 0; i < gathering->wait_count; i++) {
		if (best < 0 || gathering->waits[i].ns > gathering->waits[best].ns)
			best = (int)i;
	}
	return best;
}

struct judging {
	const struct sample *sample;
	const struct render_names *names;
	struct json *json;
	bool is_done;
};

static int judge(const struct store_span *stored, void *arg)
{
	struct judging *judging = arg;

	if (memcmp(stored->span.span_id, judging->sample->span_id, SPAN_ID_BYTES) != 0 ||
	    !stored->has_ledger)
		return 0;
	render_verdict(judging->json, &stored->ledger, judging->names);
	judging->is_done = true;
	return 1;
}

/* On the slowest span that waited for what they waited for most. */
static void put_verdict(struct store *store, const struct gathering *gathering, int wait,
			const struct render_names *names, struct json *json)
{
	struct judging judging = { &gathering->samples[0], names, json, false };

	for (unsigned i = gathering->count; i-- > 0;) {
		if (gathering->samples[i].wait == wait)
			judging.sample = &gathering->samples[i];
	}
	if (gathering->count)
		store_each_of_trace(store, judging.sample->trace_id, judge, &judging);
	if (!judging.is_done)
		json_null(json, "verdict");
}

static void put_waits(const struct gathering *gathering, int wait, const struct render_names *names,
		      struct json *json)
{
	const struct wait_sum *sum = wait < 0 ? NULL : &gathering->waits[wait];

	json_double(json, "dominant_share",
		    sum && gathering->wall_ns ? (double)sum->ns / (double)gathering->wall_ns : 0,
		    4);
	if (sum)
		render_wait(json, "dominant_wait", &sum->longest, names);
	else
		json_null(json, "dominant_wait");
}

static void put_sample(struct json *json, const char *kind, const struct sample *sample,
		       const char *url)
{
	char id[TRACE_ID_HEX + 1];
	struct buf link;

	hex_encode(sample->trace_id, TRACE_ID_BYTES, id);
	buf_init(&link, 0);
	buf_printf(&link, "%s/api/v1/traces/%.*s", url, TRACE_ID_HEX, id);
	json_object(json, NULL);
	json_text(json, "kind", kind);
	json_hex(json, "trace_id", sample->trace_id, TRACE_ID_BYTES);
	json_hex(json, "span_id", sample->span_id, SPAN_ID_BYTES);
	json_uint(json, "wall_ns", sample->wall_ns);
	if (sample->ratio < 0)
		json_null(json, "cpu_wall_ratio");
	else
		json_double(json, "cpu_wall_ratio", sample->ratio, 4);
	json_str(json, "link", buf_str(&link));
	json_end(json);
	buf_fini(&link);
}

/* The slowest, the one with the lowest ratio, and the one in the middle: each once. */
static void put_samples(const struct gathering *gathering, const char *url, struct json *json)
{
	unsigned low = 1, middle = gathering->count / 2;

	json_array(json, "exemplars");
	if (gathering->count)
		put_sample(json, "slow", &gathering->samples[0], url);
	for (unsigned i = 1; i < gathering->count; i++) {
		if (gathering->samples[i].ratio < gathering->samples[low].ratio)
			low = i;
	}
	if (gathering->count > 1)
		put_sample(json, "low_ratio", &gathering->samples[low], url);
	if (middle == low)
		middle++;
	if (gathering->count > 2)
		put_sample(json, "typical", &gathering->samples[middle], url);
	json_end(json);
}

int alert_evidence_write(struct store *store, const struct alert_scope *scope, struct buf *out)
{
	struct gathering *gathering = calloc(1, sizeof(*gathering));
	struct json json;
	int rc, wait;

	if (!gathering)
		return -ENOMEM;
	rc = gather(store, scope, gathering);
	if (rc == 0) {
		wait = dominant(gathering);
		json_init(&json, out);
		json_object(&json, NULL);
		put_verdict(store, gathering, wait, scope->names, &json);
		put_waits(gathering, wait, scope->names, &json);
		put_samples(gathering, scope->url, &json);
		json_end(&json);
		rc = buf_error(out);
	}
	free(gathering);
	return rc;
}
