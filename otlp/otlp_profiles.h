/* SPDX-License-Identifier: Apache-2.0 */
/* Reads OTLP profiles (opentelemetry.proto.profiles.v1development): ProfilesData, or the export
 * request, whose fields are the same.
 *
 * Works on the whole message, without copying: strings are slices of it. -EBADMSG where it is not
 * protobuf; references that lead nowhere are counted as bad samples. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "collector/base/str.h"

#define OTLP_PROFILES_MAX_FRAMES 4096

struct otlp_profile_head {
	struct str type, unit;
	struct str period_type, period_unit;
	int64_t period;
	uint64_t time_unix_ns, duration_ns;
};

struct otlp_profiles_visitor {
	/* Each Profile message; a negative return ends the walk. */
	int (*on_profile)(void *arg, const struct otlp_profile_head *head);
	/* A sample of the profile announced last: names leaf first, its values already summed. */
	int (*on_sample)(void *arg, const struct str *frames, size_t frame_count, int64_t value);
	void *arg;
};

/* Adds to `*out_bad` the samples that had to be left out. -ENOMEM, -EBADMSG, or the visitor's. */
int otlp_profiles_read(struct str message, const struct otlp_profiles_visitor *visitor,
		       uint64_t *out_bad);
/* Whether this is more likely an OTLP profile than a pprof one: told by its first fields. */
int otlp_profiles_looks_like(struct str head);
