/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/roll.h"

#include <errno.h>

#include "collector/base/macros.h"
#include "storage/ledger_block.h"
#include "storage/summary.h"

void roll_init(struct roll *roll, struct span_lookup *lookup, const struct operations_book *names,
	       uint64_t seed)
{
	*roll = (struct roll){ .lookup = lookup, .names = names };
	rollup_table_init(&roll->added, seed);
	arena_init(&roll->arena, 0);
}

void roll_fini(struct roll *roll)
{
	if (roll->has_view) {
		trace_reader_fini(&roll->reader);
		trace_view_fini(&roll->trace);
		view_close(&roll->view);
	}
	rollup_table_fini(&roll->added);
	arena_fini(&roll->arena);
}

void roll_trace(struct roll *roll)
{
	roll->is_gathered = false;
}

/* The span as all parts know it; left alone when none does. */
static int find_anywhere(struct roll *roll, const struct block_ledger *row,
			 const struct trace_span **out_found)
{
	struct store *store = roll->lookup->store;
	int rc = 0;

	if (!roll->has_view) {
		rc = view_open(store, &roll->view);
		if (rc < 0)
			return rc;
		trace_view_init(&roll->trace, &roll->view, store->folder.seed);
		trace_reader_init(&roll->reader, &roll->view);
		roll->has_view = true;
	}
	if (!roll->is_gathered)
		rc = trace_view_gather(&roll->trace, row->trace_id);
	if (rc < 0)
		return rc == -E2BIG ? 0 : rc;
	roll->is_gathered = true;
	*out_found = trace_view_find(&roll->trace, row->span_id);
	return 0;
}

static int key_of(struct roll *roll, uint64_t end_unix_ns, uint32_t operation,
		  struct rollup_key *out_key)
{
	out_key->minute = summary_minute(end_unix_ns);
	if (operations_are_over(roll->names->operations, operation))
		span_lookup_forget(roll->lookup); /* a new name may be put */
	return operations_rolled(roll->names, operation, &out_key->operation);
}

static int add(struct roll *roll, const struct block_ledger *row, const struct ledger *ledger,
	       int sign)
{
	struct rollup_key key;
	int rc = key_of(roll, row->start_unix_ns + row->wall_ns, row->operation, &key);

	return rc < 0 ? rc
		      : rollup_table_add(&roll->added, key, ledger,
					 row->status == SPAN_STATUS_ERROR, sign);
}

int roll_settled(struct roll *roll, const struct block_span *row)
{
	struct rollup_span span = {
		.trace_id = row->trace_id,
		.span_id = row->span_id,
		.wall_ns = row->end_unix_ns - row->start_unix_ns,
		.is_error = row->status == SPAN_STATUS_ERROR,
	};
	struct rollup_key key;
	int rc = key_of(roll, row->end_unix_ns, row->operation, &key);

	return rc < 0 ? rc : rollup_table_add_plain(&roll->added, key, &span);
}

/* The span is in this part; so is any ledger it had before. */
static int replace(struct roll *roll, const struct block_ledger *row,
		   const struct ledger_place *before)
{
	struct ledger old;
	int rc = span_lookup_ledger(roll->lookup, before, &roll->arena, &old);

	if (rc == 0)
		rc = add(roll, row, &old, -1);
	arena_fini(&roll->arena);
	return rc;
}

static void learn(struct block_ledger *row, const struct store_span *span, uint32_t operation)
{
	row->start_unix_ns = span->span.start_unix_ns;
	row->wall_ns = span->span.end_unix_ns - span->span.start_unix_ns;
	row->operation = operation;
	row->kind = span->span.kind;
	row->status = span->span.status;
}

static int roll_stranger(struct roll *roll, struct block_ledger *row, const struct ledger *ledger)
{
	const struct trace_span *found = NULL;
	struct operations_record record;
	struct operations_hash service;
	struct store_span span;
	uint32_t operation = 0;
	int rc = find_anywhere(roll, row, &found);

	if (rc < 0 || !found || !found->span.seq)
		return rc;
	rc = trace_reader_read(&roll->reader, found->span, found->ledger, &span);
	if (rc < 0)
		return rc;
	record = (struct operations_record){ .service = span.service,
					     .operation = span.span.name,
					     .kind = span.span.kind };
	service = operations_service(roll->names->operations, span.service);
	span_lookup_forget(roll->lookup);
	rc = operations_id(roll->names, &service, &record, &operation);
	learn(row, &span, operation);
	if (rc == 0 && span.has_ledger) {
		if (ledger_block_compare(row->revision, row->grade, span.ledger.revision,
					 span.ledger.grade) < 0)
			return 0;
		rc = add(roll, row, &span.ledger, -1);
	}
	return rc < 0 ? rc : add(roll, row, ledger, 1);
}

int roll_ledger(struct roll *roll, struct block_ledger *row, const struct ledger *ledger)
{
	const struct ledger_place *before = span_lookup_before(roll->lookup, row->span_id);
	int rc = 0;

	/* A first revision has nothing before it in another part. */
	if (!row->span_seq && !(before && before->seq))
		return roll_stranger(roll, row, ledger);
	if (before && before->seq) {
		if (ledger_block_compare(row->revision, row->grade, before->revision,
					 before->grade) < 0)
			return 0;
		rc = replace(roll, row, before);
	}
	return rc < 0 ? rc : add(roll, row, ledger, 1);
}
