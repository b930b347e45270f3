/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of configurations that were measured one after the other, round by round.
 *
 * What one costs more than another is told by the rounds' own differences, for the machine's pace
 * drifts by more from minute to minute than what is looked for; their median is judged, and the
 * quartiles show how sure it is. */
#pragma once

#include <stddef.h>

#define ROUNDS_MAX         500
#define ROUNDS_MAX_ENTRIES 32

struct rounds {
	const char *title;
	size_t count;
	double ns[ROUNDS_MAX_ENTRIES][ROUNDS_MAX];
};

struct rounds_difference {
	double low, median, high; /* quartiles, and the middle */
	double of_least;          /* the least of all rounds less that of the other */
	double ratio;             /* the median of what one takes, as a part of the other */
};

void rounds_compare(const struct rounds *rounds, size_t entry, size_t with,
		    struct rounds_difference *out);
double rounds_median(const struct rounds *rounds, size_t entry);
