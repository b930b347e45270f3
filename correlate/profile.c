/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/profile_grow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/base/map.h"

#define FIRST_CAP   64
#define FIRST_SLOTS 256

/* ---- growing ---- */

/* By half, so that the copy of a large block (by remapping) costs little more than it holds. */
int profile_grow(struct profile *profile, void *array_pointer, uint64_t count, uint32_t *cap,
		 size_t item_bytes)
{
	void **array = array_pointer;
	uint64_t wanted = MAX(count, (uint64_t)*cap + *cap / 2 + FIRST_CAP);
	size_t more;
	void *bigger;

	if (count <= *cap)
		return 0;
	if (wanted >= PROFILE_NONE)
		return -EMSGSIZE;
	more = (size_t)(wanted - *cap) * item_bytes;
	if (more > profile->limit_bytes - MIN(profile->limit_bytes, profile->bytes))
		return -EMSGSIZE;
	bigger = realloc(*array, (size_t)wanted * item_bytes);
	if (!bigger)
		return -ENOMEM;
	*array = bigger;
	*cap = (uint32_t)wanted;
	profile->bytes += more;
	return 0;
}

int profile_double_slots(struct profile *profile, uint32_t **slots, size_t *count,
			 uint32_t (*hash_at)(const struct profile *profile, uint32_t index))
{
	size_t wanted = *count ? *count * 2 : FIRST_SLOTS;
	uint32_t *bigger;

	if (wanted * sizeof(*bigger) >
	    profile->limit_bytes - MIN(profile->limit_bytes, profile->bytes))
		return -EMSGSIZE;
	bigger = malloc(wanted * sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	memset(bigger, 0xff, wanted * sizeof(*bigger));
	for (size_t i = 0; i < *count; i++) {
		size_t at;

		if ((*slots)[i] == PROFILE_NONE)
			continue;
		at = hash_at(profile, (*slots)[i]) & (wanted - 1);
		while (bigger[at] != PROFILE_NONE)
			at = (at + 1) & (wanted - 1);
		bigger[at] = (*slots)[i];
	}
	free(*slots);
	profile->bytes += (wanted - *count) * sizeof(**slots);
	*slots = bigger;
	*count = wanted;
	return 0;
}

static int put_text(struct profile *profile, struct str name, uint64_t *out_offset)
{
	if (profile->text_len + name.len > profile->text_cap) {
		size_t wanted = profile->text_cap + profile->text_cap / 2 + name.len + 4096;
		size_t more = wanted - profile->text_cap;
		char *bigger;

		if (more > profile->limit_bytes - MIN(profile->limit_bytes, profile->bytes))
			return -EMSGSIZE;
		bigger = realloc(profile->text, wanted);
		if (!bigger)
			return -ENOMEM;
		profile->text = bigger;
		profile->text_cap = wanted;
		profile->bytes += more;
	}
	if (name.len)
		memcpy(profile->text + profile->text_len, name.data, name.len);
	*out_offset = profile->text_len;
	profile->text_len += name.len;
	return 0;
}

/* ---- life ---- */

int profile_init(struct profile *profile, size_t limit_bytes)
{
	*profile = (struct profile){ .limit_bytes = limit_bytes ? limit_bytes : PROFILE_MAX_BYTES };
	return 0;
}

void profile_fini(struct profile *profile)
{
	free(profile->frames);
	free(profile->text);
	free(profile->nodes);
	free(profile->values);
	free(profile->stacks);
	free(profile->path);
	free(profile->frame_slots);
	free(profile->stack_slots);
	*profile = (struct profile){ 0 };
}

/* ---- types ---- */

static const struct kind_name {
	const char *type;
	enum profile_kind kind;
} kind_names[] = {
	{ "cpu", PROFILE_CPU },
	{ "samples", PROFILE_CPU },
	{ "cpu-time", PROFILE_CPU },
	{ "cpu-samples", PROFILE_CPU },
	{ "cycles", PROFILE_CPU },
	{ "cpu-clock", PROFILE_CPU },
	{ "off_cpu", PROFILE_OFF_CPU },
	{ "off-cpu", PROFILE_OFF_CPU },
	{ "delay", PROFILE_OFF_CPU },
	{ "offcpu", PROFILE_OFF_CPU },
	{ "block", PROFILE_OFF_CPU },
	{ "events", PROFILE_OFF_CPU },
	{ "mutex", PROFILE_OFF_CPU },
	{ "blocked", PROFILE_OFF_CPU },
	{ "contentions", PROFILE_OFF_CPU },
	{ "runqueue", PROFILE_OFF_CPU },
	{ "wait", PROFILE_OFF_CPU },
	{ "wall", PROFILE_WALL },
	{ "wall-time", PROFILE_WALL },
	{ "inuse_space", PROFILE_INUSE },
	{ "inuse_objects", PROFILE_INUSE },
	{ "heap", PROFILE_INUSE },
	{ "space", PROFILE_INUSE },
	{ "objects", PROFILE_INUSE },
	{ "alloc_space", PROFILE_ALLOC },
	{ "alloc_objects", PROFILE_ALLOC },
	{ "alloc", PROFILE_ALLOC },
	{ "goroutine", PROFILE_THREADS },
	{ "goroutines", PROFILE_THREADS },
	{ "threadcreate", PROFILE_THREADS },
	{ "threads", PROFILE_THREADS },
};

enum profile_kind profile_kind_of(struct str name, struct str unit)
{
	double factor;

	for (size_t i = 0; i < ARRAY_LEN(kind_names); i++) {
		if (str_eq(name, str_of(kind_names[i].type)))
			return kind_names[i].kind;
	}
	return profile_unit_of(unit, &factor) == PROFILE_BYTES ? PROFILE_INUSE : PROFILE_OTHER;
}

const char *profile_kind_name(enum profile_kind kind)
{
	static const char *const names[] = {
		[PROFILE_CPU] = "cpu",         [PROFILE_OFF_CPU] = "off-cpu",
		[PROFILE_WALL] = "wall",       [PROFILE_INUSE] = "heap",
		[PROFILE_ALLOC] = "alloc",     [PROFILE_OTHER] = "other",
		[PROFILE_THREADS] = "threads",
	};

	return names[kind];
}

const char *profile_noun(const struct profile_type *type)
{
	if (type->unit != PROFILE_COUNT)
		return NULL;
	switch (type->kind) {
	case PROFILE_THREADS:
		return strncmp(type->name, "goroutine", 9) == 0 ? "goroutines" : "threads";
	case PROFILE_INUSE:
	case PROFILE_ALLOC: /* or bytes, if the file does not tell */
		return type->is_unit_guessed ? NULL : "objects";
	case PROFILE_OFF_CPU:
		return type->is_unit_guessed ? NULL : "events";
	default:
		return "samples";
	}
}

int profile_add_type(struct profile *profile, struct str name, struct str unit)
{
	struct profile_type *type;

	if (profile->type_count == PROFILE_MAX_TYPES)
		return -E2BIG;
	type = &profile->types[profile->type_count++];
	snprintf(type->name, sizeof(type->name), "%.*s", (int)MIN(name.len, (size_t)64),
		 name.len ? name.data : "");
	snprintf(type->unit_name, sizeof(type->unit_name), "%.*s", (int)MIN(unit.len, (size_t)64),
		 unit.len ? unit.data : "");
	type->unit = profile_unit_of(unit, &type->factor);
	type->kind = profile_kind_of(name, unit);
	return 0;
}

uint32_t profile_find_type(const struct profile *profile, const char *name)
{
	for (unsigned i = 0; i < profile->type_count; i++) {
		if (strcmp(profile->types[i].name, name) == 0)
			return i;
	}
	return PROFILE_NONE;
}

uint32_t profile_count_type(const struct profile *profile, unsigned type)
{
	const struct profile_type *wanted = &profile->types[type];

	if (wanted->unit == PROFILE_COUNT)
		return type;
	for (unsigned i = 0; i < profile->type_count; i++) {
		if (profile->types[i].unit == PROFILE_COUNT &&
		    profile->types[i].kind == wanted->kind)
			return i;
	}
	return PROFILE_NONE;
}

/* ---- frames ---- */

struct str profile_frame_name(const struct profile *profile, uint32_t frame)
{
	if (frame >= profile->frame_count)
		return STR("all");
	if (!profile->frames[frame].len) /* there may be no text at all */
		return (struct str){ 0 };
	return (struct str){ profile->text + profile->frames[frame].offset,
			     profile->frames[frame].len };
}

static int new_frame(struct profile *profile, struct str name, uint32_t hash, uint32_t *out_frame)
{
	uint64_t offset = 0;
	int rc = 0;

	rc = profile_grow(profile, &profile->frames, profile->frame_count + 1ull,
			  &profile->frame_cap, sizeof(*profile->frames));
	if (rc == 0)
		rc = put_text(profile, name, &offset);
	if (rc < 0)
		return rc;
	profile->frames[profile->frame_count] =
		(struct profile_frame){ offset, hash, (uint16_t)name.len, 0 };
	*out_frame = profile->frame_count++;
	return 0;
}

static uint32_t frame_hash(const struct profile *profile, uint32_t frame)
{
	return profile->frames[frame].hash;
}

int profile_frame(struct profile *profile, struct str name, uint32_t *out_frame)
{
	size_t mask, at;
	uint32_t hash;
	int rc;

	name.len = MIN(name.len, (size_t)PROFILE_MAX_NAME);
	if (profile->frame_count >= profile->frame_slot_count / 2) {
		rc = profile_double_slots(profile, &profile->frame_slots,
					  &profile->frame_slot_count, frame_hash);
		if (rc < 0)
			return rc;
	}
	hash = (uint32_t)(map_hash(name.data, name.len, 0) >> 32);
	mask = profile->frame_slot_count - 1;
	for (at = hash & mask; profile->frame_slots[at] != PROFILE_NONE; at = (at + 1) & mask) {
		uint32_t found = profile->frame_slots[at];

		if (profile->frames[found].hash == hash &&
		    str_eq(profile_frame_name(profile, found), name)) {
			*out_frame = found;
			return 0;
		}
	}
	rc = new_frame(profile, name, hash, out_frame);
	if (rc == 0)
		profile->frame_slots[at] = *out_frame;
	return rc;
}

int64_t profile_self(const struct profile *profile, uint32_t node, unsigned type)
{
	uint32_t value = profile->nodes[node].value;

	return value == PROFILE_NONE ? 0
				     : profile->values[(size_t)value * profile->type_count + type];
}

double profile_total(const struct profile *profile, unsigned type)
{
	double total = 0;

	for (uint32_t i = 0; i < profile->value_count; i++)
		total += (double)profile->values[(size_t)i * profile->type_count + type];
	return total * profile->types[type].factor;
}

void profile_note_frame(struct profile *profile, uint32_t frame, bool is_inlined)
{
	profile->frames[frame].seen |= is_inlined ? PROFILE_SEEN_INLINED : PROFILE_SEEN_REAL;
}

bool profile_frame_is_inlined(const struct profile *profile, uint32_t frame)
{
	return frame < profile->frame_count && profile->frames[frame].seen == PROFILE_SEEN_INLINED;
}
