/* SPDX-License-Identifier: Apache-2.0 */
/* The one thread that writes to the store.
 *
 * What arrived while one commit ran is the next group: no timer, no tuning. Ledgers, which nobody
 * waits for, do not begin one at once: each group costs a sync. A group that fails is
 * not acknowledged; its ledgers are kept and tried again each second, so that the writer resumes by
 * itself when the disk has room again. Any thread may call, unless a function says otherwise. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "correlate/ledger.h"

struct metrics;
struct stack_book;
struct store;
struct ticket;
struct writer;

struct writer_options {
	struct store *store;       /* borrowed */
	struct metrics *metrics;   /* borrowed */
	struct stack_book *stacks; /* borrowed */
	size_t max_ledger_bytes;   /* ledgers that wait; beyond it has_room says no */
	/* Writer thread: a ticket is stored or has failed (ticket->result); it is given back. */
	void (*on_written)(struct ticket *ticket, void *arg);
	/* Writer thread: a group is done; whoever collects tickets may be woken now. */
	void (*on_group)(void *arg);
	void *arg;
};

int writer_start(const struct writer_options *options, struct writer **out_writer);

/* Writes everything that is queued, ends the thread and frees. Ledgers that cannot be written are
 * lost, and logged: their spans get new ones, graded partial, at the next start. Accepts NULL. */
void writer_stop(struct writer *writer);

/* Takes the ticket until on_written gives it back. */
void writer_batch(struct writer *writer, struct ticket *ticket);

/* Copies; written with the next batch, or some ms later. Refused (false) when twice the limit is
 * waiting, or memory is out. */
bool writer_ledgers(struct writer *writer, const struct ledger *ledgers, size_t count);
/* While they are held, ledgers wait for each other, and come into one commit; unless there is no
 * room for more. */
void writer_hold(struct writer *writer, bool is_held);
bool writer_has_room(struct writer *writer);

struct writer_snapshot {
	size_t queued_batches;
	size_t queued_ledgers;
	size_t ledger_bytes;
	uint64_t ledgers_written;
	int error; /* of the last commit; 0: it went well */
};

void writer_snapshot(struct writer *writer, struct writer_snapshot *out_snapshot);
