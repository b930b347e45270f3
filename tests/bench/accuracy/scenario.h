/* SPDX-License-Identifier: Apache-2.0 */
/* The programs of the bench, by name. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/accuracy/truth.h"

#define US 1000U
#define MS 1000000U

struct partner;

struct scenario {
	const char *name;   /* NULL ends a table */
	void (*turn)(void); /* makes at least one root span, and returns when all have ended */
	void (*resumed)(
		struct truth_span *span); /* what it does once it has become a program anew */
	void (*connect)(struct partner *partner); /* NULL: it asks nobody */
	_Atomic uint32_t *word;                   /* not NULL: the partner answers by this futex */
	int ends_at_once;
};

/* styles.c: threads in every style. */
extern const struct scenario scenario_styles[];

/* rough.c: where the scheduler, or the program's make, is rough with spans. */
extern const struct scenario scenario_rough[];

/* odd.c: threads that help each other, and what comes between. */
extern const struct scenario scenario_odd[];

/* wild.c: what nobody should do. */
extern const struct scenario scenario_wild[];

/* chance.c: all of it, drawn. */
extern const struct scenario scenario_chance[];

/* medley.c: what runtimes do, drawn. */
extern const struct scenario scenario_medley[];

/* relays.c: spans that go through stages. */
extern const struct scenario scenario_relays[];

/* fibers.c: spans that go on on any thread. */
extern const struct scenario scenario_fibers[];

/* pools.c: threads that are at hand when a span begins. */
extern const struct scenario scenario_pools[];

/* raw.c: threads and processes that no library makes, and that become others. */
extern const struct scenario scenario_raw[];

/* slips.c: what is forgotten, and what is told late. */
extern const struct scenario scenario_slips[];

/* crossed.c: what comes across them. */
extern const struct scenario scenario_crossed[];

/* alike.c: spans that two processes show. */
extern const struct scenario scenario_alike[];

/* replicas.c: processes that say the same of themselves. */
extern const struct scenario scenario_replicas[];

/* outside.c: what others do. */
extern const struct scenario scenario_outside[];

/* strangers.c: what nobody had thought of. */
extern const struct scenario scenario_strangers[];

/* The program's own, NULL at the end. */
extern char **scenario_arguments;

/* Ends the program unless it went well. */
void scenario_check(int good, const char *what);
void scenario_sleep_ns(uint64_t ns);
/* CPU time, and a wait of the spans that the thread carries: as truth_length_ns draws it. */
void scenario_spin(uint64_t least, uint64_t most);
void scenario_nap(uint64_t least, uint64_t most);
void scenario_nap_now_and_then(void);
/* Between spans: sleeps, or burns some. */
void scenario_pause(void);

/* New processes are not what is measured: a byte on stdin says when to begin. */
void scenario_wait_until_found(void);

/* So many threads open roots one after the other, play them, and nap now and then in between;
 * returns when all are over. */
void scenario_drive(unsigned threads, void (*play)(struct truth_span *root), void (*nap)(void));
