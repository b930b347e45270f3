/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles for tests, from collapsed text, and what is said about them. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "collector/profile_file.h"
#include "correlate/profile_diagnose.h"

static inline void build_profile(struct profile *profile, const char *text)
{
	const struct profile_file_options options = { .format = "collapsed" };
	struct buf message;

	buf_init(&message, 0);
	assert_int_equal(profile_file_parse(str_of(text), &options, 0, profile, NULL, &message), 0);
	buf_fini(&message);
}

/* The first finding by this rule; NULL. */
static inline const struct finding *find_rule(const struct diagnosis *diagnosis,
					      enum profile_rule_id rule)
{
	for (unsigned i = 0; i < diagnosis->finding_count; i++) {
		if (diagnosis->findings[i].rule == rule)
			return &diagnosis->findings[i];
	}
	return NULL;
}

static inline bool is_about(const struct diagnosis *diagnosis, const struct finding *finding,
			    const char *frame)
{
	return finding && finding->frame != PROFILE_NONE &&
	       str_eq(profile_frame_name(diagnosis->profile, finding->frame), str_of(frame));
}
