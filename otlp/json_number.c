/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/json_number.h"

#include <math.h>
#include <stdlib.h>

#include "collector/base/json_scan.h"

#define MAX_TEXT     400 /* as long as the longest double; longer text is no number of ours */
#define MAX_EXPONENT 400

/* A number as digits * 10^exponent. */
struct decimal {
	char digits[MAX_TEXT]; /* without the point, NUL terminated */
	size_t len;
	int exponent;
	bool is_negative;
};

/* `text` is a JSON number. */
static void split(struct str text, struct decimal *decimal)
{
	size_t i = text.data[0] == '-' ? 1 : 0;
	bool is_fraction = false;

	*decimal = (struct decimal){ .is_negative = i == 1 };
	for (; i < text.len && (text.data[i] | 0x20) != 'e'; i++) {
		if (text.data[i] == '.') {
			is_fraction = true;
			continue;
		}
		decimal->exponent -= is_fraction;
		decimal->digits[decimal->len++] = text.data[i];
	}
	if (i < text.len) {
		char exponent[MAX_TEXT];
		long value;

		memcpy(exponent, text.data + i + 1, text.len - i - 1);
		exponent[text.len - i - 1] = '\0';
		value = strtol(exponent, NULL, 10); /* saturates */
		if (value > MAX_EXPONENT)
			value = MAX_EXPONENT;
		decimal->exponent += (int)(value < -MAX_EXPONENT ? -MAX_EXPONENT : value);
	}
	while (decimal->len > 0 && decimal->digits[decimal->len - 1] == '0') {
		decimal->len--;
		decimal->exponent++;
	}
}

/* The magnitude; false: not whole, or more than 64 bits. */
static bool magnitude(const struct decimal *decimal, uint64_t *out_value)
{
	uint64_t value = 0;

	if (decimal->len > 0 && decimal->exponent < 0)
		return false;
	for (size_t i = 0; i < decimal->len; i++) {
		uint64_t digit = (uint64_t)(decimal->digits[i] - '0');

		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return false;
	}
	for (int i = 0; value > 0 && i < decimal->exponent; i++) {
		if (__builtin_mul_overflow(value, 10, &value))
			return false;
	}
	*out_value = value;
	return true;
}

static bool read_whole(struct str text, bool *out_is_negative, uint64_t *out_magnitude)
{
	struct decimal decimal;

	if (text.len >= MAX_TEXT || !json_scan_is_number(text))
		return false;
	split(text, &decimal);
	*out_is_negative = decimal.is_negative;
	return magnitude(&decimal, out_magnitude);
}

bool json_number_uint(struct str text, uint64_t max, uint64_t *out_value)
{
	bool is_negative;
	uint64_t value;

	if (!read_whole(text, &is_negative, &value) || (is_negative && value != 0) || value > max)
		return false;
	*out_value = value;
	return true;
}

bool json_number_int(struct str text, int64_t *out_value)
{
	bool is_negative;
	uint64_t value;

	if (!read_whole(text, &is_negative, &value) ||
	    value > (uint64_t)INT64_MAX + (is_negative ? 1 : 0))
		return false;
	*out_value = is_negative ? (int64_t)(0 - value) : (int64_t)value;
	return true;
}

bool json_number_double(struct str text, double *out_value)
{
	char copy[MAX_TEXT];
	double value;

	if (str_eq(text, STR("NaN"))) {
		*out_value = NAN;
		return true;
	}
	if (str_eq(text, STR("Infinity")) || str_eq(text, STR("-Infinity"))) {
		*out_value = text.data[0] == '-' ? -INFINITY : INFINITY;
		return true;
	}
	if (text.len >= MAX_TEXT || !json_scan_is_number(text))
		return false;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	value = strtod(copy, NULL);
	if (!isfinite(value))
		return false;
	*out_value = value;
	return true;
}
