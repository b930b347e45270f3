/* SPDX-License-Identifier: Apache-2.0 */
/* Writes OTLP profiles: opentelemetry.proto.profiles.v1development, ProfilesData, as of
 * opentelemetry-proto ac2c4b5d (alpha: its readers must be of the same age). An export request has
 * the same bytes.
 *
 * Samples are written as they come: give each distinct (stack, link, attribute) once a profile.
 * Every table begins with the empty entry and holds each other one once.
 *
 *   new -> { service -> { profile -> sample ... } ... } ... -> finish -> free
 *
 * The first failure sticks and finish returns it. Not thread safe. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"
#include "otlp/pprof_write.h"

struct otlp_profiles_writer;

struct otlp_profiles_type {
	struct str type, unit; /* "off_cpu", "nanoseconds" */
	uint64_t time_unix_ns, duration_ns;
};

struct otlp_profiles_sample {
	const struct pprof_frame *frames; /* leaf first */
	size_t frame_count;
	int64_t value;
	const uint8_t *trace_id, *span_id; /* NULL: linked to no span */
	struct str key, text;              /* one attribute; empty: none */
};

/* `exporter`: the name of the scope. NULL: out of memory. */
struct otlp_profiles_writer *otlp_profiles_writer_new(struct str exporter, struct str version);
void otlp_profiles_writer_free(struct otlp_profiles_writer *writer);

/* What follows is of this service. */
void otlp_profiles_writer_service(struct otlp_profiles_writer *writer, struct str service);
/* What follows is a profile of its own: one has one type. */
void otlp_profiles_writer_profile(struct otlp_profiles_writer *writer,
				  const struct otlp_profiles_type *type);
void otlp_profiles_writer_sample(struct otlp_profiles_writer *writer,
				 const struct otlp_profiles_sample *sample);

/* Appends all. -ENOMEM. */
int otlp_profiles_writer_finish(struct otlp_profiles_writer *writer, struct buf *out);
