/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a JSON number, with all its digits: 64-bit integers must not pass through a double.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/str.h"

/* Whole numbers in any spelling: 1000, 1e3, 1000.0. false: not a number, not whole, negative where
 * that is impossible, or out of range. */
bool json_number_uint(struct str text, uint64_t max, uint64_t *out_value);
bool json_number_int(struct str text, int64_t *out_value);

/* The nearest double; also "NaN", "Infinity" and "-Infinity". false: none, or beyond all doubles.
 */
bool json_number_double(struct str text, double *out_value);
