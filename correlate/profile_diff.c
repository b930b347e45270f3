/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/profile_diff.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "collector/base/map.h"
#include "correlate/profile_merge.h"

#define NS          1e9
#define SAME_LENGTH 0.05 /* recordings are never of the same length to the ms */

/* ---- entries ---- */

struct entry_key {
	uint32_t owner, frame;
};

static bool is_own(uint32_t topics)
{
	return !(topics &
		 (TOPIC_BIT(TOPIC_LIBRARY) | TOPIC_BIT(TOPIC_KERNEL) | TOPIC_BIT(TOPIC_UNKNOWN)));
}

static struct entry_key key_of(const struct profile *profile, const uint32_t *topics, uint32_t node)
{
	struct entry_key key = { PROFILE_NONE, profile->nodes[node].frame };

	if (is_own(topics[key.frame]))
		return key;
	for (uint32_t at = profile->nodes[node].parent; at != PROFILE_ROOT;
	     at = profile->nodes[at].parent) {
		if (is_own(topics[profile->nodes[at].frame])) {
			key.owner = profile->nodes[at].frame;
			break;
		}
	}
	return key;
}

static uint32_t *topics_of(const struct profile *profile)
{
	uint32_t *topics = calloc((size_t)profile->frame_count + 1, sizeof(*topics));

	for (uint32_t i = 0; topics && i < profile->frame_count; i++)
		topics[i] = profile_topics_of(profile_frame_name(profile, i));
	return topics;
}

/* Sums a profile's own amounts by (owner, function) into `sums`: key -> values. */
static int sum_entries(const struct profile *profile, unsigned count, struct map *sums)
{
	uint32_t *topics = topics_of(profile);
	int rc = topics ? 0 : -ENOMEM;

	for (uint32_t node = 1; rc == 0 && node < profile->node_count; node++) {
		struct entry_key key;
		double *values;

		if (profile->nodes[node].value == PROFILE_NONE)
			continue;
		key = key_of(profile, topics, node);
		values = map_put(sums, &key);
		if (!values)
			rc = -ENOMEM;
		for (unsigned i = 0; rc == 0 && i < count; i++)
			values[i] += (double)profile_self(profile, node, i);
	}
	free(topics);
	return rc;
}

/* What was allocated is in the same tree, so frames have the same numbers. Functions that keep
 * nothing have no entry yet. */
static struct diff_entry *find_entry(struct profile_diff *diff, struct map *index,
				     const struct entry_key *key)
{
	size_t *at = map_put(index, key);

	if (!at)
		return NULL;
	if (!*at) {
		diff->entries[diff->entry_count] =
			(struct diff_entry){ .frame = key->frame, .owner = key->owner };
		*at = ++diff->entry_count;
	}
	return &diff->entries[*at - 1];
}

static int index_entries(struct profile_diff *diff, struct map *index, size_t more)
{
	struct diff_entry *bigger =
		realloc(diff->entries, (diff->entry_count + more + 1) * sizeof(*bigger));

	if (!bigger)
		return -ENOMEM;
	diff->entries = bigger;
	for (size_t i = 0; i < diff->entry_count; i++) {
		struct entry_key key = { diff->entries[i].owner, diff->entries[i].frame };
		size_t *at = map_put(index, &key);

		if (!at)
			return -ENOMEM;
		*at = i + 1;
	}
	return 0;
}

static int add_allocs(struct profile_diff *diff, const struct profile *allocs)
{
	struct map sums, index;
	const double *values;
	size_t cursor = 0;
	const void *key;
	int rc;

	map_init(&sums, sizeof(struct entry_key), sizeof(double) * DIFF_MAX_PROFILES, 0);
	map_init(&index, sizeof(struct entry_key), sizeof(size_t), 0);
	rc = sum_entries(allocs, diff->count, &sums);
	if (rc == 0)
		rc = index_entries(diff, &index, sums.count);
	while (rc == 0 && (values = map_next(&sums, &cursor, &key))) {
		struct entry_key pair;
		struct diff_entry *entry;

		memcpy(&pair, key, sizeof(pair));
		entry = find_entry(diff, &index, &pair);
		if (!entry) {
			rc = -ENOMEM;
			break;
		}
		memcpy(entry->allocs, values, sizeof(entry->allocs));
		entry->alloc_change = entry->allocs[diff->count - 1] - entry->allocs[0];
	}
	map_fini(&sums);
	map_fini(&index);
	return rc;
}

static int by_change(const void *a, const void *b)
{
	const struct diff_entry *left = a, *right = b;

	if (fabs(left->change) != fabs(right->change))
		return fabs(left->change) < fabs(right->change) ? 1 : -1;
	if (left->frame != right->frame)
		return left->frame < right->frame ? -1 : 1;
	return left->owner < right->owner ? -1 : left->owner > right->owner;
}

/* Amounts that rest on n observations of `step` scatter by step * sqrt(n); what was scaled scatters
 * by as much more. */
static double noise_of(const struct profile_diff *diff, double step, double base, double current)
{
	double scale = diff->scales[diff->count - 1];

	return step > 0 ? DIFF_SIGMAS * sqrt(step * (fabs(base) + scale * fabs(current))) : 0;
}

/* y over x by least squares; without times, x is the number of the profile. */
static void fit_line(const struct profile_diff *diff, struct diff_entry *entry)
{
	double n = diff->count, sx = 0, sy = 0, sxx = 0, sxy = 0, syy = 0, dx, dy;

	for (unsigned i = 0; i < diff->count; i++) {
		double x = diff->has_times ? diff->times_s[i] : i, y = entry->values[i];

		sx += x;
		sy += y;
		sxx += x * x;
		sxy += x * y;
		syy += y * y;
	}
	dx = n * sxx - sx * sx;
	dy = n * syy - sy * sy;
	if (dx <= 0)
		return;
	entry->slope_per_s = (n * sxy - sx * sy) / dx;
	entry->fit = dy > 0 ? (n * sxy - sx * sy) * (n * sxy - sx * sy) / (dx * dy) : 0;
}

static void fill_entry(const struct profile_diff *diff, struct diff_entry *entry, double step)
{
	unsigned last = diff->count - 1;

	entry->change = entry->values[last] - entry->values[0];
	entry->noise = noise_of(diff, step, entry->values[0], entry->values[last]);
	if (diff->count >= 3)
		fit_line(diff, entry);
}

static int make_entries(struct profile_diff *diff, double step)
{
	size_t cursor = 0;
	const void *key;
	const double *values;
	struct map sums;
	int rc;

	map_init(&sums, sizeof(struct entry_key), sizeof(double) * DIFF_MAX_PROFILES, 0);
	rc = sum_entries(&diff->merged, diff->count, &sums);
	diff->entries = calloc(sums.count + 1, sizeof(*diff->entries));
	if (!diff->entries)
		rc = -ENOMEM;
	while (rc == 0 && (values = map_next(&sums, &cursor, &key))) {
		struct diff_entry *entry = &diff->entries[diff->entry_count++];
		struct entry_key pair;

		memcpy(&pair, key, sizeof(pair));
		entry->frame = pair.frame;
		entry->owner = pair.owner;
		memcpy(entry->values, values, sizeof(entry->values));
		fill_entry(diff, entry, step);
	}
	map_fini(&sums);
	return rc;
}

/* The functions that grew most with what they call: a change that hides in shared leaves. */
static int find_inclusive(struct profile_diff *diff, double step)
{
	struct profile_tally base, current;
	int rc = profile_tally_init(&base, &diff->merged, 0);

	diff->inclusive.frame = PROFILE_NONE;
	if (rc < 0)
		return rc;
	rc = profile_tally_init(&current, &diff->merged, diff->count - 1);
	for (uint32_t i = 0; rc == 0 && i < diff->merged.frame_count; i++) {
		double change = current.inclusive[i] - base.inclusive[i];
		double noise = noise_of(diff, step, base.inclusive[i], current.inclusive[i]);

		if (change <= noise || current.inclusive[i] >= current.total * 0.95 ||
		    (diff->inclusive.frame != PROFILE_NONE && change <= diff->inclusive.change))
			continue;
		diff->inclusive = (struct diff_entry){
			.frame = i, .owner = PROFILE_NONE, .change = change, .noise = noise
		};
	}
	profile_tally_fini(&base);
	if (rc == 0)
		profile_tally_fini(&current);
	return rc;
}

/* ---- the whole ---- */

/* pprof's way: -base compares with the sum of all changes, -diff_base with the base. */
static void choose_whole(struct profile_diff *diff, bool is_diff_base)
{
	double sum = 0;

	for (uint32_t node = 0; node < diff->merged.node_count; node++)
		sum += fabs((double)profile_self(&diff->merged, node, diff->count - 1) -
			    (double)profile_self(&diff->merged, node, 0));
	diff->whole = is_diff_base ? diff->totals[0] : sum;
	diff->whole_name = is_diff_base ? "the base" : "all change";
}

static void take_times(struct profile_diff *diff, const struct diff_input *inputs,
		       double interval_ns)
{
	uint64_t first = inputs[0].profile->time_unix_ns;

	diff->has_times = true;
	for (unsigned i = 0; i < diff->count; i++) {
		uint64_t at = inputs[i].profile->time_unix_ns;

		diff->times_s[i] =
			interval_ns > 0 ? i * interval_ns / NS : ((double)at - (double)first) / NS;
		if (i && diff->times_s[i] <= diff->times_s[i - 1])
			diff->has_times = false;
	}
}

/* What one observation is worth; 0: not known. */
static double step_of(const struct diff_input *input)
{
	const struct profile_type *type = &input->profile->types[input->type];
	double factor;

	if (type->kind == PROFILE_THREADS)
		return 0; /* all of them were counted */
	if (type->unit == PROFILE_COUNT && type->kind != PROFILE_INUSE &&
	    type->kind != PROFILE_ALLOC)
		return 1;
	if (input->profile->period <= 0)
		return 0;
	if (profile_unit_of(str_of(input->profile->period_unit), &factor) != type->unit)
		return 0;
	return (double)input->profile->period * factor;
}

static int take_allocs(struct profile_diff *diff, const struct diff_input *inputs,
		       const double *scales)
{
	struct profile allocs;
	int rc = profile_merge(&allocs, inputs, diff->count, true, scales);

	for (unsigned i = 0; rc == 0 && i < diff->count; i++)
		diff->alloc_totals[i] = profile_total(&allocs, i);
	if (rc == 0)
		rc = add_allocs(diff, &allocs);
	profile_fini(&allocs);
	return rc;
}

/* Time and samples add up over a recording: of unlike lengths, they are compared by the second. */
static void choose_scales(struct profile_diff *diff, const struct diff_input *inputs,
			  bool normalize)
{
	bool is_sum = diff->kind == PROFILE_CPU || diff->kind == PROFILE_OFF_CPU ||
		      diff->kind == PROFILE_WALL || diff->kind == PROFILE_OTHER;

	for (unsigned i = 0; i < diff->count; i++) {
		double total = profile_total(inputs[i].profile, inputs[i].type);

		diff->lengths_ns[i] = (double)inputs[i].profile->duration_ns;
		diff->totals[i] = total;
		diff->scales[i] = normalize && i && total > 0 ? diff->totals[0] / total : 1;
		is_sum = is_sum && diff->lengths_ns[i] > 0;
	}
	for (unsigned i = 1; is_sum && !normalize && i < diff->count; i++) {
		double scale = diff->lengths_ns[0] / diff->lengths_ns[i];

		if (fabs(scale - 1) <= SAME_LENGTH)
			continue;
		diff->scales[i] = scale;
		diff->is_by_second = true;
	}
	for (unsigned i = 0; i < diff->count; i++)
		diff->totals[i] *= diff->scales[i];
}

static int compute(struct profile_diff *diff, const struct diff_input *inputs,
		   const struct diff_options *options)
{
	double step = step_of(&inputs[0]);
	int rc;

	choose_scales(diff, inputs, options->normalize);
	for (unsigned i = 0; i < diff->count; i++)
		diff->has_alloc =
			inputs[i].alloc_type != PROFILE_NONE && (i == 0 || diff->has_alloc);
	rc = profile_merge(&diff->merged, inputs, diff->count, false, diff->scales);
	if (rc < 0)
		return rc;
	diff->change = diff->totals[diff->count - 1] - diff->totals[0];
	diff->noise = noise_of(diff, step, diff->totals[0], diff->totals[diff->count - 1]);
	take_times(diff, inputs, options->interval_ns);
	choose_whole(diff, options->is_diff_base);
	rc = make_entries(diff, step);
	if (rc == 0)
		rc = find_inclusive(diff, step);
	if (rc < 0)
		return rc;
	rc = diff->has_alloc ? take_allocs(diff, inputs, diff->scales) : 0;
	qsort(diff->entries, diff->entry_count, sizeof(*diff->entries), by_change);
	return rc;
}
int profile_diff_init(struct profile_diff *diff, const struct diff_input *inputs, unsigned count,
		      const struct diff_options *options, struct buf *message)
{
	int rc;

	*diff = (struct profile_diff){ .count = count };
	buf_init(&diff->text, 0);
	if (count < 2 || count > DIFF_MAX_PROFILES) {
		buf_printf(message, "give 2 to %d profiles", DIFF_MAX_PROFILES);
		return -EINVAL;
	}
	rc = profile_merge_check(inputs, count, message);
	if (rc < 0)
		return rc;
	diff->unit = inputs[0].profile->types[inputs[0].type].unit;
	diff->kind = inputs[0].profile->types[inputs[0].type].kind;
	rc = compute(diff, inputs, options);
	if (rc == 0)
		profile_diff_judge(diff);
	return rc < 0 ? rc : buf_error(&diff->text);
}

void profile_diff_fini(struct profile_diff *diff)
{
	profile_fini(&diff->merged);
	free(diff->entries);
	diff->entries = NULL;
	buf_fini(&diff->text);
}

bool profile_diff_is_noise(const struct diff_entry *entry)
{
	return fabs(entry->change) < entry->noise;
}

void profile_diff_put_name(const struct profile_diff *diff, const struct diff_entry *entry,
			   struct buf *out)
{
	if (entry->owner != PROFILE_NONE) {
		profile_put_name(out, profile_frame_name(&diff->merged, entry->owner),
				 DIAGNOSIS_MAX_NAME);
		buf_append_text(out, " -> ");
	}
	profile_put_name(out, profile_frame_name(&diff->merged, entry->frame), DIAGNOSIS_MAX_NAME);
}

void profile_diff_say(struct profile_diff *diff, enum profile_rule_id rule, enum finding_role role,
		      const struct diff_entry *entry, const char *format, ...)
{
	va_list args;

	if (diff->finding_count == DIAGNOSIS_MAX_FINDINGS)
		return;
	diff->findings[diff->finding_count++] =
		(struct finding){ rule, role, entry ? entry->frame : PROFILE_NONE,
				  entry ? entry->change : 0, diff->text.len };
	va_start(args, format);
	buf_vprintf(&diff->text, format, args);
	va_end(args);
	buf_append_byte(&diff->text, 0);
}
