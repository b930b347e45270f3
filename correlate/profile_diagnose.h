/* SPDX-License-Identifier: Apache-2.0 */
/* What a senior engineer would say about a profile: the verdict, why, what to do, what not to be
 * fooled by, and how sure. The rules are a table; each finding names the one it came from. */
#pragma once

#include "correlate/profile_dominant.h"
#include "correlate/profile_rule.h"

#define DIAGNOSIS_MAX_FINDINGS 24
#define DIAGNOSIS_MAX_NAME     96 /* columns of a frame's name inside a sentence */

enum finding_role {
	FINDING_VERDICT, /* the first is the verdict; later ones are told as "also" */
	FINDING_DETAIL,
	FINDING_NEXT,   /* what to do */
	FINDING_TRAP,   /* what not to be fooled by */
	FINDING_CAVEAT, /* how far the data can be trusted */
};

struct finding {
	enum profile_rule_id rule;
	enum finding_role role;
	uint32_t frame; /* what it is about; PROFILE_NONE */
	double part;    /* of the total, in the unit */
	size_t text;    /* offset of its sentence in diagnosis->text, NUL terminated */
};

struct diagnosis {
	const struct profile *profile; /* borrowed; outlives us */
	unsigned type;
	enum profile_kind kind;
	struct profile_tally all; /* everything */
	struct profile
		folded; /* without recursion, and without idle threads where waiting counts */
	struct profile_tally tree; /* of `folded`; when it is not folded, `all` itself */
	struct profile_dominant dominant;
	uint32_t callee; /* dominant over all its callers; PROFILE_NONE */
	bool is_folded;
	bool is_waiting; /* most of it is: the rules for waits read it */
	struct finding findings[DIAGNOSIS_MAX_FINDINGS];
	unsigned finding_count;
	struct buf text;
};

/* Reads one type of a profile as `kind`. -ENOMEM, -EMSGSIZE. diagnosis_fini afterwards in any case.
 */
int diagnosis_init(struct diagnosis *diagnosis, const struct profile *profile, unsigned type,
		   enum profile_kind kind);
void diagnosis_fini(struct diagnosis *diagnosis);

/* The verdict; NULL: there is none. */
const struct finding *diagnosis_verdict(const struct diagnosis *diagnosis);
const char *diagnosis_text(const struct diagnosis *diagnosis, const struct finding *finding);

/* A share's uncertainty at 95 %, from the number of samples: 0 when that is not known. */
double diagnosis_uncertainty(double share, double samples);

/* ---- for the rules ---- */

void diagnosis_say(struct diagnosis *diagnosis, enum profile_rule_id rule, enum finding_role role,
		   uint32_t frame, double part, const char *format, ...)
	__attribute__((format(printf, 6, 7)));
/* "612 ms (70 %)" of the tree's total, in the tool's own words; for "%s": gone with the next four.
 */
const char *diagnosis_part(struct diagnosis *diagnosis, double part);
const char *diagnosis_name(struct diagnosis *diagnosis, uint32_t frame);
/* The JIT compiler took so much of the CPU that it is left out of the tree. */
bool diagnosis_is_warming_up(const struct diagnosis *diagnosis);
bool diagnosis_has_verdict(const struct diagnosis *diagnosis);

void diagnosis_rules_quality(struct diagnosis *diagnosis);
void diagnosis_rules_cpu(struct diagnosis *diagnosis);
void diagnosis_rules_wait(struct diagnosis *diagnosis);
void diagnosis_rules_heap(struct diagnosis *diagnosis);
void diagnosis_rules_trap(struct diagnosis *diagnosis);
