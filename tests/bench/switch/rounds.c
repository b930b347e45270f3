/* SPDX-License-Identifier: Apache-2.0 */
#include "rounds.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

/* Of sorted figures, at that part of them. */
static double quantile(const double *sorted, size_t count, double part)
{
	double at = part * (double)(count - 1);
	size_t below = (size_t)at;

	if (below + 1 >= count)
		return sorted[count - 1];
	return sorted[below] + (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

static double least(const struct rounds *rounds, size_t entry)
{
	double ns = rounds->ns[entry][0];

	for (size_t i = 1; i < rounds->count; i++)
		if (rounds->ns[entry][i] < ns)
			ns = rounds->ns[entry][i];
	return ns;
}

double rounds_median(const struct rounds *rounds, size_t entry)
{
	double sorted[ROUNDS_MAX];

	memcpy(sorted, rounds->ns[entry], rounds->count * sizeof(sorted[0]));
	qsort(sorted, rounds->count, sizeof(sorted[0]), compare);
	return quantile(sorted, rounds->count, 0.5);
}

void rounds_compare(const struct rounds *rounds, size_t entry, size_t with,
		    struct rounds_difference *out)
{
	double differences[ROUNDS_MAX], ratios[ROUNDS_MAX];

	for (size_t i = 0; i < rounds->count; i++) {
		differences[i] = rounds->ns[entry][i] - rounds->ns[with][i];
		ratios[i] = rounds->ns[entry][i] / rounds->ns[with][i];
	}
	qsort(differences, rounds->count, sizeof(differences[0]), compare);
	qsort(ratios, rounds->count, sizeof(ratios[0]), compare);
	out->low = quantile(differences, rounds->count, 0.25);
	out->median = quantile(differences, rounds->count, 0.5);
	out->high = quantile(differences, rounds->count, 0.75);
	out->of_least = least(rounds, entry) - least(rounds, with);
	out->ratio = quantile(ratios, rounds->count, 0.5);
}
