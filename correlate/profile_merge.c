/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/profile_merge.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool same_period(const struct profile *a, const struct profile *b)
{
	return a->period == b->period && strcmp(a->period_type, b->period_type) == 0 &&
	       strcmp(a->period_unit, b->period_unit) == 0;
}

int profile_merge_check(const struct diff_input *inputs, unsigned count, struct buf *message)
{
	const struct profile *base = inputs[0].profile;
	const struct profile_type *type = &base->types[inputs[0].type];

	for (unsigned i = 1; i < count; i++) {
		const struct profile *other = inputs[i].profile;
		const struct profile_type *other_type = &other->types[inputs[i].type];

		if (strcmp(type->name, other_type->name) != 0 || type->unit != other_type->unit) {
			buf_printf(message,
				   "unlike: the base measures %s in %s, profile %u %s in %s; "
				   "choose the same with --type",
				   type->name, type->unit_name, i + 1, other_type->name,
				   other_type->unit_name);
			return -EINVAL;
		}
		if (!same_period(base, other)) {
			buf_printf(message,
				   "unlike: the base was sampled every %lld %s, profile %u every "
				   "%lld %s; record both alike",
				   (long long)base->period, base->period_unit, i + 1,
				   (long long)other->period, other->period_unit);
			return -EINVAL;
		}
	}
	return 0;
}

struct merge {
	struct profile *to;
	uint32_t *frames; /* of `from`, as those of `to` */
	double scale;
	unsigned from_type, to_type;
	struct profile_walk walk;
};

static int merge_node(struct merge *merge)
{
	const struct profile_walk *walk = &merge->walk;
	uint32_t path[PROFILE_MAX_DEPTH], stack;
	int64_t values[PROFILE_MAX_TYPES] = { 0 };
	int64_t self = profile_self(walk->profile, walk->node, merge->from_type);
	int rc;

	if (!self)
		return 0;
	for (uint32_t i = 0; i < walk->depth; i++)
		path[i] = merge->frames[walk->frames[i]];
	rc = profile_stack(merge->to, path, walk->depth, &stack);
	values[merge->to_type] = (int64_t)llround((double)self * merge->scale);
	if (rc == 0)
		profile_add(merge->to, stack, values);
	return rc;
}

static int merge_one(struct profile *to, const struct profile *from, unsigned from_type,
		     unsigned to_type, double scale)
{
	struct merge *merge = calloc(1, sizeof(*merge));
	size_t bytes = ((size_t)from->frame_count + 1) * sizeof(*merge->frames);
	int rc = -ENOMEM;

	if (!merge)
		return rc;
	*merge = (struct merge){ .to = to,
				 .frames = malloc(bytes),
				 .scale = scale * from->types[from_type].factor,
				 .from_type = from_type,
				 .to_type = to_type };
	if (merge->frames) {
		profile_walk_init(&merge->walk, from);
		rc = 0;
	}
	/* all of them, so that a profile's types get the same numbers */
	for (uint32_t i = 0; rc == 0 && i < from->frame_count; i++)
		rc = profile_frame(to, profile_frame_name(from, i), &merge->frames[i]);
	while (rc == 0 && profile_walk_next(&merge->walk))
		rc = merge_node(merge);
	free(merge->frames);
	free(merge);
	return rc;
}

int profile_merge(struct profile *to, const struct diff_input *inputs, unsigned count,
		  bool of_alloc, const double *scales)
{
	int rc = profile_init(to, 0);

	for (unsigned i = 0; rc == 0 && i < count; i++) {
		const struct profile_type *type = &inputs[i].profile->types[inputs[i].type];

		rc = profile_add_type(to, str_of(type->name), STR("count"));
		to->types[i].unit = type->unit;
		to->types[i].kind = type->kind;
		to->types[i].is_unit_guessed = type->is_unit_guessed;
	}
	for (unsigned i = 0; rc == 0 && i < count; i++)
		rc = merge_one(to, inputs[i].profile,
			       of_alloc ? inputs[i].alloc_type : inputs[i].type, i, scales[i]);
	return rc < 0 ? rc : profile_seal(to);
}
