/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of a query, strictly: what is not understood is refused by name, never ignored.
 *
 *   params_parse -> params_text, params_uint ... -> params_check
 *
 * The first complaint sticks, so read ten and check once. Not thread safe. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

#define PARAMS_MAX 32

struct param {
	struct str key;
	struct str value;
	bool is_used;
	bool is_shared; /* by params_inherit */
};

struct params {
	struct param items[PARAMS_MAX];
	unsigned count;
	uint64_t now_unix_ns;
	struct buf text;      /* what the slices point into */
	struct buf known;     /* names asked for, for the complaint about one that was not */
	struct buf complaint; /* empty: none */
};

/* `query`: as it stands after '?'. `now_unix_ns`: what "-15m" counts from. */
void params_parse(struct params *params, struct str query, uint64_t now_unix_ns);
void params_fini(struct params *params);

/* Takes over what `params` does not say itself, borrowed from `from`, whose parameters all count as
 * used: for selections within a query. */
void params_inherit(struct params *params, struct params *from);

/* -EINVAL: params->complaint says which parameter and why. Call it when all were asked for. */
int params_check(struct params *params);

void params_complain(struct params *params, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The value of a parameter; without it, what the last argument says. An empty value is refused. */
struct str params_text(struct params *params, const char *key);
uint64_t params_uint(struct params *params, const char *key, uint64_t least, uint64_t most,
		     uint64_t otherwise);
double params_double(struct params *params, const char *key, double least, double most,
		     double otherwise);
bool params_flag(struct params *params, const char *key); /* 1 or true, 0 or false */
/* Unix ns, RFC 3339, now, or how long ago: -90s, -15m, -2h, -7d. */
uint64_t params_time(struct params *params, const char *key, uint64_t otherwise);
/* One of the names that `name_of` gives for 0 .. count - 1, as its number; NULL names are skipped.
 */
int params_choice(struct params *params, const char *key, const char *(*name_of)(unsigned),
		  unsigned count, int otherwise);

/* Each parameter whose name begins with `prefix`: `*cursor` starts at 0; false ends it. */
bool params_next_prefixed(struct params *params, const char *prefix, unsigned *cursor,
			  struct str *out_rest, struct str *out_value);
