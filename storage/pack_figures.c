/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/pack_figures.h"

#include <string.h>

/* Of the column GRADE: 0 is no ledger, else the grade + 1 in the low three bits. */
enum grade_bit {
	GRADE_BITS = 7,
	BIT_SETTLED = 8,
	BIT_LOCAL_ROOT = 16,
	BIT_TRUNCATED = 32,
	BIT_REVISED = 64, /* the revision is not 1, but stands in its column */
	BITS_OF_GRADE = 127,
};

/* Of the column FIGURES: what is not as expected, and so follows. */
enum figure {
	FIGURE_CAUSE,
	FIGURE_TIMES,   /* not the span's */
	FIGURE_RUNNING, /* not what is left of the wall */
	FIGURE_UNCERTAIN,
	FIGURE_CPU, /* not running_ns */
	FIGURE_RUNNABLE,
	FIGURE_ELSEWHERE,
	FIGURE_UNKNOWN,
	FIGURE_FORKED,
	FIGURE_PREEMPTED,
	FIGURE_THROTTLED,
	FIGURE_BLOCKED, /* + enum ledger_reason */
	FIGURE_YIELDED = FIGURE_BLOCKED + REASON_COUNT,
	FIGURE_COUNT,
};

static void code_grade(struct coder *coder, struct ledger *ledger, bool *has_ledger)
{
	uint64_t revision = coder->is_reading ? 1 : ledger->revision;
	uint8_t bits = 0;

	if (*has_ledger)
		bits = (uint8_t)((ledger->grade + 1) | (ledger->settled ? BIT_SETTLED : 0) |
				 (ledger->is_local_root ? BIT_LOCAL_ROOT : 0) |
				 (ledger->slices_truncated ? BIT_TRUNCATED : 0) |
				 (ledger->revision != 1 ? BIT_REVISED : 0));
	coder_byte(coder, COLUMN_GRADE, &bits, BITS_OF_GRADE);
	*has_ledger = bits != 0;
	if (!bits)
		return;
	if ((bits & GRADE_BITS) == 0 || (bits & GRADE_BITS) > GRADE_EXACT + 1) {
		coder_fail(coder);
		return;
	}
	ledger->grade = (uint8_t)((bits & GRADE_BITS) - 1);
	ledger->settled = bits & BIT_SETTLED;
	ledger->is_local_root = bits & BIT_LOCAL_ROOT;
	ledger->slices_truncated = bits & BIT_TRUNCATED;
	if (bits & BIT_REVISED)
		coder_number(coder, COLUMN_REVISION, &revision);
	if (revision > UINT16_MAX)
		coder_fail(coder);
	ledger->revision = (uint16_t)revision;
}

bool pack_figures_grade(uint8_t bits, uint8_t *out_grade, bool *out_is_revised)
{
	if (!bits)
		return false;
	*out_grade = (uint8_t)((bits & GRADE_BITS) - 1);
	*out_is_revised = bits & BIT_REVISED;
	return true;
}

/* Without figures there is nothing on a CPU either. */
static uint64_t expected_running(const struct ledger *ledger)
{
	const struct ledger_split *all = &ledger->all;

	return ledger->grade == GRADE_NONE
		       ? 0
		       : ledger->wall_ns - all->runnable_ns - all->elsewhere_ns - all->unknown_ns -
				 ledger_blocked_ns(all);
}

static uint64_t find_figures(const struct block_span *span, const struct ledger *ledger)
{
	const struct ledger_split *all = &ledger->all;
	const bool there[FIGURE_BLOCKED] = {
		[FIGURE_CAUSE] = ledger->none_cause != 0,
		[FIGURE_TIMES] = ledger->start_unix_ns != span->start_unix_ns ||
				 ledger->wall_ns != span->end_unix_ns - span->start_unix_ns,
		[FIGURE_RUNNING] = all->running_ns != expected_running(ledger),
		[FIGURE_UNCERTAIN] = ledger->uncertain_ns != 0,
		[FIGURE_CPU] = ledger->cpu_ns != all->running_ns,
		[FIGURE_RUNNABLE] = all->runnable_ns != 0,
		[FIGURE_ELSEWHERE] = all->elsewhere_ns != 0,
		[FIGURE_UNKNOWN] = all->unknown_ns != 0,
		[FIGURE_FORKED] = ledger->forked_cpu_ns != 0,
		[FIGURE_PREEMPTED] = ledger->preempted_ns != 0,
		[FIGURE_THROTTLED] = ledger->throttled_ns != 0,
	};
	uint64_t mask = (uint64_t)(ledger->yielded_ns != 0) << FIGURE_YIELDED;

	for (unsigned i = 0; i < FIGURE_BLOCKED; i++)
		mask |= (uint64_t)there[i] << i;
	for (unsigned i = 0; i < REASON_COUNT; i++)
		mask |= (uint64_t)(all->blocked_ns[i] != 0) << (FIGURE_BLOCKED + i);
	return mask;
}

static void code_if(struct coder *coder, uint64_t mask, enum figure figure,
		    enum coder_column column, uint64_t *value)
{
	if (mask >> figure & 1)
		coder_number(coder, column, value);
}

static void code_wide_if(struct coder *coder, uint64_t mask, enum figure figure,
			 enum coder_column column, uint64_t *value)
{
	if (mask >> figure & 1)
		coder_wide(coder, column, value);
}

static void code_head(struct pack_figures *figures, struct coder *coder, uint64_t mask,
		      struct ledger *ledger)
{
	int64_t step = (int64_t)ledger->pid - figures->pid;

	coder_signed(coder, COLUMN_FIGURE, &step);
	ledger->pid = figures->pid + (uint32_t)step;
	figures->pid = ledger->pid;
	if (mask >> FIGURE_CAUSE & 1)
		coder_byte(coder, COLUMN_FIGURE, &ledger->none_cause, NONE_BEFORE_START);
	code_if(coder, mask, FIGURE_TIMES, COLUMN_FIGURE, &ledger->start_unix_ns);
	code_if(coder, mask, FIGURE_TIMES, COLUMN_FIGURE, &ledger->wall_ns);
	code_if(coder, mask, FIGURE_FORKED, COLUMN_FIGURE, &ledger->forked_cpu_ns);
}

/* Of what was runnable, the part that is smaller is the one that was woken. */
static void code_preempted(struct coder *coder, uint64_t mask, struct ledger *ledger)
{
	uint64_t woken_ns = ledger->all.runnable_ns - ledger->preempted_ns;

	code_wide_if(coder, mask, FIGURE_PREEMPTED, COLUMN_RUNNABLE, &woken_ns);
	if (coder->is_reading && mask >> FIGURE_PREEMPTED & 1)
		ledger->preempted_ns = ledger->all.runnable_ns - woken_ns;
	code_if(coder, mask, FIGURE_THROTTLED, COLUMN_FIGURE, &ledger->throttled_ns);
	code_if(coder, mask, FIGURE_YIELDED, COLUMN_FIGURE, &ledger->yielded_ns);
}

static void code_split(struct coder *coder, uint64_t mask, struct ledger *ledger)
{
	struct ledger_split *all = &ledger->all;
	int64_t over;

	code_wide_if(coder, mask, FIGURE_UNCERTAIN, COLUMN_UNCERTAIN, &ledger->uncertain_ns);
	code_wide_if(coder, mask, FIGURE_RUNNABLE, COLUMN_RUNNABLE, &all->runnable_ns);
	code_preempted(coder, mask, ledger);
	code_wide_if(coder, mask, FIGURE_ELSEWHERE, COLUMN_BLOCKED, &all->elsewhere_ns);
	code_wide_if(coder, mask, FIGURE_UNKNOWN, COLUMN_BLOCKED, &all->unknown_ns);
	for (unsigned i = 0; i < REASON_COUNT; i++)
		code_wide_if(coder, mask, FIGURE_BLOCKED + i, COLUMN_BLOCKED, &all->blocked_ns[i]);
	if (coder->is_reading)
		all->running_ns = expected_running(ledger);
	code_if(coder, mask, FIGURE_RUNNING, COLUMN_FIGURE, &all->running_ns);
	over = (int64_t)(ledger->cpu_ns - all->running_ns);
	if (mask >> FIGURE_CPU & 1)
		coder_wide_signed(coder, COLUMN_CPU, &over);
	ledger->cpu_ns = all->running_ns + (mask >> FIGURE_CPU & 1 ? (uint64_t)over : 0);
}

/* The process of the row before is known from where a reader can begin. */
static void begin_row(struct pack_figures *figures)
{
	if (figures->row++ % PACK_FIGURES_EVERY == 0)
		figures->pid = 0;
}

void pack_figures_code(struct pack_figures *figures, struct coder *coder,
		       const struct block_span *span, struct ledger *ledger, bool *has_ledger)
{
	uint64_t mask = 0;

	begin_row(figures);
	code_grade(coder, ledger, has_ledger);
	if (!*has_ledger || coder->error)
		return;
	if (coder->is_reading) {
		ledger->start_unix_ns = span->start_unix_ns;
		ledger->wall_ns = span->end_unix_ns - span->start_unix_ns;
		memcpy(ledger->trace_id, span->trace_id, TRACE_ID_BYTES);
		memcpy(ledger->span_id, span->span_id, SPAN_ID_BYTES);
	} else {
		mask = find_figures(span, ledger);
	}
	coder_number(coder, COLUMN_FIGURES, &mask);
	if (mask >> FIGURE_COUNT)
		coder_fail(coder);
	code_head(figures, coder, mask, ledger);
	code_split(coder, mask, ledger);
}

#define BIT(figure) (1ull << (figure))

/* How many wide numbers some rows have in each pair of columns. */
struct wide_counts {
	uint64_t uncertain, runnable, blocked, cpu;
};

static void count_wide(uint64_t mask, struct wide_counts *counts)
{
	uint64_t blocked = mask & (BIT(FIGURE_ELSEWHERE) | BIT(FIGURE_UNKNOWN) |
				   (BIT(FIGURE_YIELDED) - BIT(FIGURE_BLOCKED)));

	counts->uncertain += mask >> FIGURE_UNCERTAIN & 1;
	counts->runnable += (mask >> FIGURE_RUNNABLE & 1) + (mask >> FIGURE_PREEMPTED & 1);
	counts->cpu += mask >> FIGURE_CPU & 1;
	for (; blocked; blocked &= blocked - 1)
		counts->blocked++;
}

/* What stands in the column FIGURE beside the process. */
static void skip_rare(struct coder *coder, uint64_t mask)
{
	uint64_t rare = mask & (BIT(FIGURE_CAUSE) | BIT(FIGURE_TIMES) | BIT(FIGURE_FORKED) |
				BIT(FIGURE_THROTTLED) | BIT(FIGURE_RUNNING) | BIT(FIGURE_YIELDED)),
		 any = 0;

	if (rare >> FIGURE_TIMES & 1) /* start and length */
		coder_number(coder, COLUMN_FIGURE, &any);
	for (; rare; rare &= rare - 1)
		coder_number(coder, COLUMN_FIGURE, &any);
}

static void skip_row(struct pack_figures *figures, struct coder *coder, struct wide_counts *counts)
{
	uint64_t mask = 0, any = 0;
	uint8_t grade = 0;
	int64_t step = 0;

	begin_row(figures);
	coder_byte(coder, COLUMN_GRADE, &grade, BITS_OF_GRADE);
	if (!grade)
		return;
	if (grade & BIT_REVISED)
		coder_number(coder, COLUMN_REVISION, &any);
	coder_number(coder, COLUMN_FIGURES, &mask);
	coder_signed(coder, COLUMN_FIGURE, &step);
	figures->pid += (uint32_t)step;
	skip_rare(coder, mask);
	count_wide(mask, counts);
}

void pack_figures_skip(struct pack_figures *figures, struct coder *coder, uint32_t until_row)
{
	struct wide_counts counts = { 0 };

	while (figures->row < until_row && !coder->error)
		skip_row(figures, coder, &counts);
	coder_skip_wide(coder, COLUMN_UNCERTAIN, counts.uncertain);
	coder_skip_wide(coder, COLUMN_RUNNABLE, counts.runnable);
	coder_skip_wide(coder, COLUMN_BLOCKED, counts.blocked);
	coder_skip_wide(coder, COLUMN_CPU, counts.cpu);
}
