/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/profile_diagnose.h"

#include <math.h>
#include <stdio.h>

#include "collector/base/macros.h"

#define RECURSION_MATTERS 0.02 /* below, folding would only cost memory */
#define WARM_UP_SHARE     0.2
#define ALL_JIT           0.95 /* nothing else is there to be told about */

bool diagnosis_has_verdict(const struct diagnosis *diagnosis)
{
	return diagnosis_verdict(diagnosis) != NULL;
}

const struct finding *diagnosis_verdict(const struct diagnosis *diagnosis)
{
	for (unsigned i = 0; i < diagnosis->finding_count; i++) {
		if (diagnosis->findings[i].role == FINDING_VERDICT)
			return &diagnosis->findings[i];
	}
	return NULL;
}

const char *diagnosis_text(const struct diagnosis *diagnosis, const struct finding *finding)
{
	return buf_error(&diagnosis->text) ? "" : diagnosis->text.data + finding->text;
}

void diagnosis_say(struct diagnosis *diagnosis, enum profile_rule_id rule, enum finding_role role,
		   uint32_t frame, double part, const char *format, ...)
{
	va_list args;

	if (diagnosis->finding_count == DIAGNOSIS_MAX_FINDINGS)
		return;
	diagnosis->findings[diagnosis->finding_count++] =
		(struct finding){ rule, role, frame, part, diagnosis->text.len };
	va_start(args, format);
	buf_vprintf(&diagnosis->text, format, args);
	va_end(args);
	buf_append_byte(&diagnosis->text, 0);
}

/* Four at a time live in a ring: enough for one sentence. */
static char *ring_slot(void)
{
	static _Thread_local char slots[4][512];
	static _Thread_local unsigned next;

	return slots[next++ % ARRAY_LEN(slots)];
}

static const char *keep(struct buf *text)
{
	char *slot = ring_slot();

	snprintf(slot, 512, "%.*s", (int)text->len, text->len ? text->data : "");
	buf_fini(text);
	return slot;
}

const char *diagnosis_part(struct diagnosis *diagnosis, double part)
{
	const struct profile_type *type = &diagnosis->profile->types[diagnosis->type];
	struct buf text;

	buf_init(&text, 0);
	profile_put_amount(&text, part, type->unit, profile_noun(type));
	buf_append_text(&text, " (");
	profile_put_share(&text, part, diagnosis->tree.total);
	buf_append_byte(&text, ')');
	return keep(&text);
}

const char *diagnosis_name(struct diagnosis *diagnosis, uint32_t frame)
{
	struct buf text;

	buf_init(&text, 0);
	profile_put_name(&text, profile_frame_name(diagnosis->profile, frame), DIAGNOSIS_MAX_NAME);
	return keep(&text);
}

double diagnosis_uncertainty(double share, double samples)
{
	share = MIN(MAX(share, 0.0), 1.0);
	return samples > 0 ? 1.96 * sqrt((share * (1 - share) + 0.25 / samples) / samples) : 0;
}

static bool counts_waiting(enum profile_kind kind)
{
	return kind == PROFILE_OFF_CPU || kind == PROFILE_WALL || kind == PROFILE_THREADS;
}

bool diagnosis_is_warming_up(const struct diagnosis *diagnosis)
{
	const struct profile_tally *all = &diagnosis->all;
	double jit = all->topic_total[TOPIC_JIT];

	return diagnosis->kind == PROFILE_CPU && jit > all->total * WARM_UP_SHARE &&
	       jit < all->total * ALL_JIT;
}

/* The tree that verdicts are taken from. */
static int prepare_tree(struct diagnosis *diagnosis)
{
	const struct profile_tally *all = &diagnosis->all;
	bool drop_idle = counts_waiting(diagnosis->kind) &&
			 !diagnosis->profile->notes.is_of_spans &&
			 all->topic_total[TOPIC_IDLE] + all->topic_total[TOPIC_AWAIT] > 0;
	bool drop_jit = diagnosis_is_warming_up(diagnosis);
	int rc;

	if (!drop_idle && !drop_jit && all->recursive <= all->total * RECURSION_MATTERS) {
		diagnosis->tree = *all;
		return 0;
	}
	profile_tally_forget_nodes(&diagnosis->all);
	rc = profile_fold(all, drop_idle, drop_jit, &diagnosis->folded);
	if (rc < 0)
		return rc;
	diagnosis->is_folded = true;
	return profile_tally_init(&diagnosis->tree, &diagnosis->folded, diagnosis->type);
}

/* A wall-clock profile is read by what most of it is, once idle threads are left out. */
static bool is_waiting(const struct diagnosis *diagnosis)
{
	static const enum profile_topic waits[] = { TOPIC_PARKED, TOPIC_IDLE, TOPIC_SLEEP,
						    TOPIC_LOCK };
	double most = 0;

	if (diagnosis->kind != PROFILE_WALL)
		return counts_waiting(diagnosis->kind);
	for (size_t i = 0; i < ARRAY_LEN(waits); i++)
		most = MAX(most, diagnosis->tree.topic_self[waits[i]]);
	return most > diagnosis->tree.total * DOMINANT_SHARE;
}

static void apply_rules(struct diagnosis *diagnosis)
{
	diagnosis_rules_quality(diagnosis);
	if (diagnosis_has_verdict(diagnosis))
		return;
	switch (diagnosis->kind) {
	case PROFILE_INUSE:
	case PROFILE_ALLOC:
		diagnosis_rules_heap(diagnosis);
		break;
	case PROFILE_OFF_CPU:
	case PROFILE_THREADS:
		diagnosis_rules_wait(diagnosis);
		break;
	case PROFILE_CPU:
	case PROFILE_WALL:
	case PROFILE_OTHER:
		if (diagnosis->is_waiting)
			diagnosis_rules_wait(diagnosis);
		else
			diagnosis_rules_cpu(diagnosis);
		break;
	}
	diagnosis_rules_trap(diagnosis);
}

int diagnosis_init(struct diagnosis *diagnosis, const struct profile *profile, unsigned type,
		   enum profile_kind kind)
{
	int rc;

	*diagnosis = (struct diagnosis){
		.profile = profile, .type = type, .kind = kind, .callee = PROFILE_NONE
	};
	buf_init(&diagnosis->text, 0);
	rc = profile_tally_init(&diagnosis->all, profile, type);
	if (rc == 0)
		rc = prepare_tree(diagnosis);
	if (rc < 0)
		return rc;
	diagnosis->is_waiting = is_waiting(diagnosis);
	profile_dominant_find(&diagnosis->tree, diagnosis->is_waiting, &diagnosis->dominant);
	diagnosis->callee = profile_dominant_callee(&diagnosis->tree, &diagnosis->dominant, 0.2);
	apply_rules(diagnosis);
	return buf_error(&diagnosis->text);
}

void diagnosis_fini(struct diagnosis *diagnosis)
{
	profile_tally_fini(&diagnosis->all);
	if (diagnosis->is_folded) {
		profile_tally_fini(&diagnosis->tree);
		profile_fini(&diagnosis->folded);
	}
	buf_fini(&diagnosis->text);
}
