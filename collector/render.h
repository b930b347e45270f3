/* SPDX-License-Identifier: Apache-2.0 */
/* Spans and ledgers as the API shows them.
 *
 * Durations are numbers in ns, Unix times are strings, ids are lower-case hex. A figure that does
 * not exist is null, never 0. The same span and ledger, the same bytes: replay compares them. */
#pragma once

#include "collector/base/json.h"
#include "storage/store.h"

enum render_part {
	RENDER_TIMELINE = 1 << 0, /* the span's own slices */
	RENDER_TRACE_ID = 1 << 1, /* where spans of several traces stand together */
};

/* Who knows the names of stacks: puts the member `key`, an array of frames, innermost first, and
 * what stands for it where there is none. NULL: nobody; every array is empty then. */
struct render_names {
	void (*put)(struct json *json, const char *key, uint64_t stack, void *arg);
	struct str (*code)(uint64_t stack, void *arg); /* as in struct ledger_code ... */
	void *arg;
	struct str (*subtree)(const struct ledger *ledger, void *arg); /* ... and this */
	void *subtree_arg;
};

/* One object of "spans". `parts`: of enum render_part. */
void render_span(struct json *json, const struct store_span *stored, unsigned parts,
		 const struct render_names *names);

/* The members ledger, waits, links and verdict, inside an object that is open. With `ledger` NULL
 * they are there and empty: nothing is known of the span yet. */
void render_ledger(struct json *json, const struct ledger *ledger,
		   const struct render_names *names);

/* One object of "waits"; `key` as in json.h. */
void render_wait(struct json *json, const char *key, const struct ledger_wait *wait,
		 const struct render_names *names);

/* The member verdict. */
void render_verdict(struct json *json, const struct ledger *ledger,
		    const struct render_names *names);

/* The members timeline and timeline_truncated. */
void render_timeline(struct json *json, const struct ledger *ledger);

/* Names as in the API's parameters; NULL: no such number. */
const char *render_kind_name(unsigned kind);
const char *render_status_name(unsigned status);
const char *render_state_name(unsigned state);
