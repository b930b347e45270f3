/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/packed_figures.h"

#include <errno.h>
#include <string.h>

#include "collector/base/breath.h"
#include "collector/base/macros.h"
#include "storage/ledger_block.h"
#include "storage/pack_figures.h"

int packed_figures_unpack(struct packed *packed)
{
	int rc = packed->has_figures
			 ? 0
			 : coder_unpack(&packed->coder, COLUMN_REVISION, COLUMN_UNCERTAIN_BITS);

	packed->has_figures = rc == 0;
	return rc;
}

/* Figures are read once from the first row to the last, to know the places where to begin again.
 * `each` gets those of the rows that have a ledger. */
static int walk(struct packed *packed,
		void (*each)(struct packed *packed, uint32_t row, const struct ledger *))
{
	struct coder *coder = &packed->coder;
	struct pack_figures figures = { 0 };
	uint32_t start[PACK_FIGURES_COLUMNS] = { 0 };

	coder_seek(coder, PACK_FIGURES_FIRST, PACK_FIGURES_COLUMNS, start);
	for (uint32_t row = 0; row < packed->rows.count && !coder->error; row++) {
		struct ledger ledger = { 0 };
		bool has_ledger = false;

		if (row % PACK_FIGURES_EVERY == 0) {
			coder_tell(coder, PACK_FIGURES_FIRST, PACK_FIGURES_COLUMNS,
				   packed->figure_places +
					   row / PACK_FIGURES_EVERY * PACK_FIGURES_COLUMNS);
			breath_take();
		}
		pack_figures_code(&figures, coder, &packed->rows.spans[row], &ledger, &has_ledger);
		if (has_ledger && !coder->error)
			each(packed, row, &ledger);
	}
	packed->known_places = packed->rows.count / PACK_FIGURES_EVERY + 1;
	return coder->error;
}

static struct block_ledger make_row(const struct block_span *span, const struct ledger *ledger)
{
	struct block_ledger row = ledger_block_row(ledger);

	row.operation = span->operation;
	row.kind = span->kind;
	row.status = span->status;
	return row;
}

static void set_ledger_row(struct packed *packed, uint32_t row, const struct ledger *ledger)
{
	packed->ledgers[row] = make_row(&packed->rows.spans[row], ledger);
}

/* With or without a ledger, each row is one of its trace and knows the next. */
static void link_ledgers(struct packed *packed)
{
	for (uint32_t row = 0; row < packed->rows.count; row++) {
		const struct block_span *span = &packed->rows.spans[row];
		struct block_ledger *ledger = &packed->ledgers[row];

		memcpy(ledger->trace_id, span->trace_id, TRACE_ID_BYTES);
		memcpy(ledger->span_id, span->span_id, SPAN_ID_BYTES);
		ledger->next_of_trace = span->next_of_trace;
		ledger->is_first = span->is_first;
	}
}

int packed_figures_load(struct packed *packed)
{
	int rc;

	if (packed->ledgers || !packed->has_ledgers)
		return 0;
	packed->ledgers =
		arena_alloc(&packed->arena, packed->rows.count * sizeof(*packed->ledgers));
	if (!packed->ledgers)
		return -ENOMEM;
	rc = packed_figures_unpack(packed);
	if (rc == 0)
		rc = walk(packed, set_ledger_row);
	link_ledgers(packed);
	return rc;
}

int packed_figures_each(struct packed *packed,
			bool (*is_wanted)(const struct block_span *span, void *arg),
			int (*visit)(uint32_t row, const struct block_ledger *ledger, void *arg),
			void *arg)
{
	const uint32_t start[PACK_FIGURES_COLUMNS] = { 0 };
	struct pack_figures figures = { 0 };
	struct coder *coder = &packed->coder;
	int rc = packed->has_ledgers ? packed_figures_unpack(packed) : 0;

	if (rc < 0 || !packed->has_ledgers)
		return rc;
	coder_seek(coder, PACK_FIGURES_FIRST, PACK_FIGURES_COLUMNS, start);
	for (uint32_t row = 0; row < packed->rows.count && rc == 0; row++) {
		const struct block_span *span = &packed->rows.spans[row];
		struct block_ledger found;
		struct ledger ledger = { 0 };
		bool has_ledger = false;

		if (!is_wanted(span, arg))
			continue;
		pack_figures_skip(&figures, coder, row);
		pack_figures_code(&figures, coder, span, &ledger, &has_ledger);
		rc = coder->error;
		if (rc < 0 || !has_ledger)
			continue;
		found = make_row(span, &ledger);
		rc = visit(row, &found, arg);
	}
	return rc;
}

static void note_revision(struct packed *packed, uint32_t row, const struct ledger *ledger)
{
	packed->revisions[row] = ledger->revision;
}

/* Ledgers that were computed again are rare: only then all is read at once. */
int packed_figures_open(struct packed *packed)
{
	struct coder *coder = &packed->coder;
	uint32_t count = packed->rows.count;
	int rc = coder_unpack(coder, COLUMN_GRADE, COLUMN_GRADE);

	if (rc < 0 || coder_bytes_of(coder, COLUMN_GRADE) == 0)
		return rc;
	if (coder_bytes_of(coder, COLUMN_GRADE) != count)
		return -EBADMSG;
	packed->has_ledgers = true;
	packed->figure_places =
		arena_alloc(&packed->arena, (size_t)(count / PACK_FIGURES_EVERY + 1) *
						    PACK_FIGURES_COLUMNS * sizeof(uint32_t));
	if (!packed->figure_places)
		return -ENOMEM;
	memset(packed->figure_places, 0, PACK_FIGURES_COLUMNS * sizeof(*packed->figure_places));
	packed->known_places = 1;
	if (coder_bytes_of(coder, COLUMN_REVISION) == 0)
		return 0;
	packed->revisions = arena_alloc(&packed->arena, count * sizeof(*packed->revisions));
	rc = packed->revisions ? packed_figures_unpack(packed) : -ENOMEM;
	return rc < 0 ? rc : walk(packed, note_revision);
}

/* To the first row of a stride. Where it begins is found by going past what is before. */
static void seek(struct packed *packed, uint32_t stride)
{
	struct coder *coder = &packed->coder;
	uint32_t known = MIN(stride, packed->known_places - 1);
	uint32_t *place = packed->figure_places + (size_t)known * PACK_FIGURES_COLUMNS;
	struct pack_figures figures = { .row = known * PACK_FIGURES_EVERY };

	coder_seek(coder, PACK_FIGURES_FIRST, PACK_FIGURES_COLUMNS, place);
	for (; known < stride && !coder->error; known++) {
		pack_figures_skip(&figures, coder, (known + 1) * PACK_FIGURES_EVERY);
		place += PACK_FIGURES_COLUMNS;
		coder_tell(coder, PACK_FIGURES_FIRST, PACK_FIGURES_COLUMNS, place);
		packed->known_places = known + 2;
	}
}

void packed_figures_read(struct packed *packed, struct pack_member *member)
{
	struct coder *coder = &packed->coder;
	uint32_t stride = member->row / PACK_FIGURES_EVERY;
	struct pack_figures figures = { .row = stride * PACK_FIGURES_EVERY };

	seek(packed, stride);
	pack_figures_skip(&figures, coder, member->row);
	pack_figures_code(&figures, coder, member->span, &member->ledger, &member->has_ledger);
}
