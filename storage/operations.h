/* SPDX-License-Identifier: Apache-2.0 */
/* The distinct (service, operation, kind) of one part, numbered from 1 in order of appearance.
 *
 * The names are in the database; here are only their hashes (128 bits, seeded) and how many spans
 * each has. What does not fit the limits is number 0: such spans are found by their own strings.
 * One writer; counts may be read by others. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/map.h"
#include "collector/base/str.h"
#include "storage/txn.h"

#define OPERATIONS_MAX        65535
#define OPERATIONS_NAME_BYTES 1024  /* longer ones (service and operation together) get number 0 */
#define OPERATIONS_NUMBERED   16384 /* of one service: others need numbers, too */
#define OPERATIONS_OF_SERVICE 2000  /* have rollups of their own; the rest are "(other)" */
#define OPERATIONS_OTHER      "(other)"
#define OPERATIONS_OTHER_KIND 255

struct summary;

struct operations {
	struct map ids;         /* hash of the names -> id */
	struct buf known_names; /* by id - 1: so that an aborted commit can be taken back */
	struct map services;    /* hash of the service -> its operations so far */
	struct buf deltas;      /* of the commit under way: pairs of id and count */
	uint32_t known;         /* ids that are durable */
	uint64_t seed;
	pthread_mutex_t lock; /* of counts */
	uint64_t *counts;     /* owned: by id; [0] those without a number */
	size_t count_cap;
};

struct operations_hash {
	uint64_t half[2];
};

int operations_init(struct operations *operations, uint64_t seed);
void operations_fini(struct operations *operations);

/* Learns the numbers of a part opened again; counts come by operations_count. */
int operations_load(struct operations *operations, const struct txn *txn, MDB_dbi dbi);

/* Hashes the service once for many spans; operations_id takes it. */
struct operations_hash operations_service(const struct operations *operations, struct str service);

struct operations_record {
	struct str service;
	struct str operation;
	uint8_t kind;
	uint64_t spans; /* of a closed part; else ask operations_spans */
};

/* Numbers, and the database and transaction in which new ones are noted. */
struct operations_book {
	struct operations *operations;
	struct txn *txn;
	MDB_dbi dbi;
};

/* The number, made if need be; 0: over the limits. -ENOMEM. */
int operations_id(const struct operations_book *book, const struct operations_hash *service_hash,
		  const struct operations_record *record, uint32_t *out_id);

/* Whether the operation is one beyond OPERATIONS_OF_SERVICE. */
bool operations_are_over(const struct operations *operations, uint32_t id);
/* The number under which its rollups stand: its own, or that of the service's "(other)". */
int operations_rolled(const struct operations_book *book, uint32_t id, uint32_t *out_id);

/* Adds the spans of a block's summaries; they count when operations_commit is called. */
void operations_count(struct operations *operations, const struct summary *summaries, size_t count);
void operations_commit(struct operations *operations);
/* The numbers made so far are durable, whatever becomes of the commit. */
void operations_keep(struct operations *operations);
/* Takes back the numbers that are not, and what was added. */
void operations_abort(struct operations *operations);

struct operations_hash operations_hash(const struct operations *operations,
				       const struct operations_record *record);
uint64_t operations_spans(struct operations *operations, uint32_t id);
/* -EBADMSG: damaged. The strings are borrowed from the value. */
int operations_parse(struct str value, struct operations_record *out_record);
/* What the database keeps. */
void operations_format(const struct operations_record *record, struct buf *out);
