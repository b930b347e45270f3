/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/event_tails.h"
#include "collector/base/macros.h"
#include "collector/record_file.h"
#include "correlate/correlator.h"
#include "otlp/otlp_decode.h"

struct replay {
	const struct replay_options *options;
	struct replay_result *result;
	struct correlator *correlator; /* owned; NULL before RECORD_OPTIONS */
	struct buf made;               /* u32 length and bytes of each ledger not yet compared */
	size_t made_at;                /* front of `made` */
	struct buf scratch;
};

static void on_ledgers(const struct ledger *ledgers, size_t count, void *arg)
{
	struct replay *replay = arg;

	for (size_t i = 0; i < count; i++) {
		uint32_t len;

		buf_clear(&replay->scratch);
		ledger_encode(&ledgers[i], &replay->scratch);
		len = (uint32_t)replay->scratch.len;
		buf_append(&replay->made, &len, sizeof(len));
		buf_append_str(&replay->made, buf_str(&replay->scratch));
		replay->result->ledgers++;
		if (replay->options->on_ledger)
			replay->options->on_ledger(&ledgers[i], replay->options->arg);
	}
}

static int set_options(struct replay *replay, struct str data)
{
	struct record_options recorded;
	struct correlator_options options;

	if (data.len != sizeof(recorded) || replay->correlator)
		return -EBADMSG;
	memcpy(&recorded, data.data, sizeof(recorded));
	if (recorded.max_trace_spans > UINT32_MAX)
		return -EBADMSG;
	options = (struct correlator_options){
		.limit_bytes = recorded.limit_bytes,
		.settle_ns = recorded.settle_ns,
		.reach_ns = recorded.reach_ns,
		.max_trace_spans = (uint32_t)recorded.max_trace_spans,
		.on_ledgers = on_ledgers,
		.arg = replay,
	};
	return correlator_new(&options, &replay->correlator);
}

/* The lengths that the ring would have checked. */
static int feed_event(struct replay *replay, struct str data)
{
	const struct event_header *record = (const void *)data.data;

	if (data.len < sizeof(*record) || record->bytes != data.len || !event_is_sound(record))
		return -EBADMSG;
	correlator_record(replay->correlator, record);
	return 0;
}

static int feed_process(struct replay *replay, struct str data)
{
	struct event_process process;

	if (data.len != sizeof(process))
		return -EBADMSG;
	memcpy(&process, data.data, sizeof(process));
	process.comm[sizeof(process.comm) - 1] = '\0';
	process.executable[sizeof(process.executable) - 1] = '\0';
	process.variable[sizeof(process.variable) - 1] = '\0';
	process.service_name[sizeof(process.service_name) - 1] = '\0';
	process.service_instance_id[sizeof(process.service_instance_id) - 1] = '\0';
	process.container_id[sizeof(process.container_id) - 1] = '\0';
	correlator_process(replay->correlator, &process);
	return 0;
}

static int feed_spans(struct replay *replay, struct str data)
{
	struct span_batch *batch;
	char *body = malloc(MAX(data.len, 1));
	int rc;

	if (!body)
		return -ENOMEM;
	memcpy(body, data.data, data.len);
	rc = otlp_decode(body, data.len, NULL, &batch);
	if (rc < 0)
		return rc;
	correlator_spans(replay->correlator, batch);
	otlp_batch_free(batch);
	return 0;
}

static void say_difference(struct replay *replay, struct str then, struct str now)
{
	struct replay_result *result = replay->result;
	size_t at = 0;

	while (at < MIN(then.len, now.len) && then.data[at] == now.data[at])
		at++;
	result->is_equal = false;
	result->differs_at = result->recorded;
	if (now.len == 0)
		buf_printf(&result->difference, "it was recorded, but does not come out now");
	else
		buf_printf(&result->difference,
			   "%zu bytes then, %zu now, the first difference at %zu", then.len,
			   now.len, at);
}

static int compare(struct replay *replay, struct str then)
{
	struct replay_result *result = replay->result;
	struct str now = { NULL, 0 };
	uint32_t len;

	if (buf_error(&replay->made))
		return buf_error(&replay->made);
	if (replay->made_at < replay->made.len) {
		memcpy(&len, replay->made.data + replay->made_at, sizeof(len));
		now = (struct str){ replay->made.data + replay->made_at + sizeof(len), len };
		replay->made_at += sizeof(len) + len;
	}
	if (result->is_equal && !str_eq(then, now))
		say_difference(replay, then, now);
	result->recorded++;
	if (replay->made_at == replay->made.len) {
		buf_clear(&replay->made);
		replay->made_at = 0;
	}
	return 0;
}

/* `count` numbers, or -EBADMSG. */
static int numbers(struct str data, uint64_t *out_values, size_t count)
{
	if (data.len != count * sizeof(*out_values))
		return -EBADMSG;
	memcpy(out_values, data.data, data.len);
	return 0;
}

static int feed_numbers(struct replay *replay, const struct record_entry *entry)
{
	static const size_t counts[RECORD_KINDS] = {
		[RECORD_CLOCK] = 3,        [RECORD_GAP] = 2,  [RECORD_KERNEL] = 1,
		[RECORD_ADVANCE] = 1,      [RECORD_LOSS] = 3, [RECORD_LIMIT] = 1,
		[RECORD_COARSE_CLOCK] = 2,
	};
	uint64_t value[3];
	int rc = numbers(entry->data, value, counts[entry->kind]);

	if (rc < 0)
		return rc;
	if (entry->kind == RECORD_CLOCK)
		correlator_clock(replay->correlator, value[0], value[1], value[2]);
	else if (entry->kind == RECORD_COARSE_CLOCK)
		correlator_coarse_clock(replay->correlator, value[0], value[1]);
	else if (entry->kind == RECORD_GAP)
		correlator_gap(replay->correlator, value[0], value[1]);
	else if (entry->kind == RECORD_LOSS)
		correlator_loss(replay->correlator, value[0], value[1], value[2]);
	else if (entry->kind == RECORD_KERNEL)
		correlator_kernel(replay->correlator, value[0]);
	else if (entry->kind == RECORD_LIMIT)
		correlator_limit(replay->correlator, value[0]);
	else
		correlator_advance(replay->correlator, value[0]);
	return 0;
}

static int feed(struct replay *replay, const struct record_entry *entry)
{
	replay->result->entries++;
	if (entry->kind != RECORD_OPTIONS && !replay->correlator)
		return -EBADMSG;
	switch (entry->kind) {
	case RECORD_OPTIONS:
		return set_options(replay, entry->data);
	case RECORD_EVENT:
		return feed_event(replay, entry->data);
	case RECORD_PROCESS:
		return feed_process(replay, entry->data);
	case RECORD_SPANS:
		return feed_spans(replay, entry->data);
	case RECORD_CLOCK:
	case RECORD_COARSE_CLOCK:
	case RECORD_GAP:
	case RECORD_LOSS:
	case RECORD_KERNEL:
	case RECORD_LIMIT:
	case RECORD_ADVANCE:
		return feed_numbers(replay, entry);
	case RECORD_SETTLE_ALL:
		correlator_settle_all(replay->correlator);
		return 0;
	case RECORD_LEDGER:
		return compare(replay, entry->data);
	case RECORD_KINDS:
		break;
	}
	return -EBADMSG;
}

/* A recording that is whole holds every ledger that comes out. */
static void check_rest(struct replay *replay)
{
	struct replay_result *result = replay->result;

	if (!result->is_equal || result->is_truncated || replay->made_at == replay->made.len)
		return;
	result->is_equal = false;
	result->differs_at = result->recorded;
	buf_printf(&result->difference, "it comes out now, but was not recorded");
}

int replay_run(const char *path, const struct replay_options *options,
	       struct replay_result *out_result)
{
	struct replay replay = { .options = options, .result = out_result };
	struct record_reader *reader = NULL;
	struct record_entry entry;
	int rc;

	*out_result = (struct replay_result){ .is_equal = true };
	buf_init(&out_result->difference, 0);
	buf_init(&replay.made, 0);
	buf_init(&replay.scratch, 0);
	rc = record_reader_open(path, &reader);
	if (rc == 0)
		rc = 1;
	while (rc == 1) {
		rc = record_next(reader, &entry);
		if (rc == 1 && (rc = feed(&replay, &entry)) == 0)
			rc = 1;
	}
	if (reader)
		out_result->is_truncated = record_is_truncated(reader);
	if (rc == 0)
		check_rest(&replay);
	record_reader_close(reader);
	correlator_free(replay.correlator);
	buf_fini(&replay.made);
	buf_fini(&replay.scratch);
	return rc;
}

void replay_fini(struct replay_result *result)
{
	buf_fini(&result->difference);
}
