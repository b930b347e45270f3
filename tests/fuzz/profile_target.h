/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a profile of one format: read within a small memory, diagnosed, compared with
 * itself. */
#pragma once

#include "collector/profile_file.h"
#include "correlate/profile_diff.h"
#include "tests/fuzz/fuzz.h"

#define FUZZ_LIMIT_BYTES ((size_t)64 << 20)

static inline void profile_target_use(const struct profile *profile)
{
	const struct diff_input inputs[2] = { { profile, 0, PROFILE_NONE },
					      { profile, 0, PROFILE_NONE } };
	const struct diff_options options = { 0 };
	struct diagnosis diagnosis;
	struct profile_diff diff;
	struct buf message;

	for (int kind = PROFILE_CPU; kind <= PROFILE_OTHER; kind++) {
		MUST(diagnosis_init(&diagnosis, profile, 0, (enum profile_kind)kind) == 0);
		MUST(diagnosis_verdict(&diagnosis) ||
		     diagnosis.finding_count <= DIAGNOSIS_MAX_FINDINGS);
		diagnosis_fini(&diagnosis);
	}
	buf_init(&message, 0);
	MUST(profile_diff_init(&diff, inputs, 2, &options, &message) == 0);
	MUST(diff.change == 0 ||
	     diff.change != diff.change); /* infinite totals have no difference */
	profile_diff_fini(&diff);
	buf_fini(&message);
}

static inline int profile_target_run(const char *format, const uint8_t *data, size_t len)
{
	const struct profile_file_options options = { .format = format };
	struct profile profile;
	struct buf message;

	buf_init(&message, 0);
	if (profile_file_parse((struct str){ (const char *)data, len }, &options, FUZZ_LIMIT_BYTES,
			       &profile, NULL, &message) == 0) {
		MUST(profile.bytes <= FUZZ_LIMIT_BYTES);
		if (profile.type_count)
			profile_target_use(&profile);
		profile_fini(&profile);
	} else {
		MUST(message.len > 0);
	}
	buf_fini(&message);
	return 0;
}
