/* SPDX-License-Identifier: Apache-2.0 */
/* The buckets of a quantile sketch: DDSketch (Masson, Rim, Lee: "DDSketch", VLDB 2019) with its
 * linearly interpolated mapping.
 *
 * Each doubling is cut into 64 buckets of equal width, so a value and what its bucket stands for
 * differ by at most 1/128 of the value (0.79 %); below 128 they are equal. Sketches are merged by
 * adding the counts of equal buckets, and what was added can be taken out again exactly. */
#pragma once

#include <stdint.h>

#define SKETCH_STEPS   64u /* buckets for each doubling */
#define SKETCH_BUCKETS (59u * SKETCH_STEPS)
#define SKETCH_ERROR   (1.0 / (2 * SKETCH_STEPS))

static inline unsigned sketch_bucket(uint64_t value)
{
	unsigned exponent;

	if (value < SKETCH_STEPS)
		return (unsigned)value;
	exponent = 63 - (unsigned)__builtin_clzll(value);
	return (exponent - 6) * SKETCH_STEPS + (unsigned)(value >> (exponent - 6));
}

/* The least value of a bucket, and how many values it holds. */
static inline uint64_t sketch_low(unsigned bucket)
{
	unsigned doubling = bucket / SKETCH_STEPS;

	return doubling < 2 ? bucket
			    : (uint64_t)(SKETCH_STEPS + bucket % SKETCH_STEPS) << (doubling - 1);
}

static inline uint64_t sketch_width(unsigned bucket)
{
	unsigned doubling = bucket / SKETCH_STEPS;

	return doubling < 2 ? 1 : (uint64_t)1 << (doubling - 1);
}

/* What a bucket stands for. */
static inline uint64_t sketch_value(unsigned bucket)
{
	return sketch_low(bucket) + (sketch_width(bucket) - 1) / 2;
}
