/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions and cursors of LMDB.
 *
 * A write transaction keeps its first error: later puts do nothing and the commit returns it. So
 * write ten things and check once. Everything read is borrowed from the map: gone when the
 * transaction ends, and in a write transaction already at the next put. */
#pragma once

#include <lmdb.h>
#include <stdbool.h>
#include <stddef.h>

#include "collector/base/str.h"

struct txn {
	MDB_txn *mdb; /* owned; NULL: none under way */
	int error;
	bool is_dirty; /* something was put */
};

int txn_begin_read(MDB_env *env, struct txn *txn);
int txn_begin_write(MDB_env *env, struct txn *txn);
/* Ends the transaction either way. Durable when it returns 0. */
int txn_commit(struct txn *txn);
/* Also for one that was never begun or has ended. */
void txn_abort(struct txn *txn);

void txn_put(struct txn *txn, MDB_dbi dbi, struct str key, struct str value);
/* `key` is greater than all others. */
void txn_append(struct txn *txn, MDB_dbi dbi, struct str key, struct str value);
/* The same, with `len` bytes to be filled before the next put. NULL: the transaction has failed. */
char *txn_append_room(struct txn *txn, MDB_dbi dbi, struct str key, size_t len);
/* -ENOENT: no such key. */
int txn_get(const struct txn *txn, MDB_dbi dbi, struct str key, struct str *out_value);

/* A cursor belongs to its transaction and must be closed before that ends. */
struct cursor {
	MDB_cursor *mdb; /* owned */
};

int cursor_open(const struct txn *txn, MDB_dbi dbi, struct cursor *cursor);
void cursor_close(struct cursor *cursor);
/* The first key that is not less; the next, previous, first and last one. -ENOENT: none. */
int cursor_seek(struct cursor *cursor, struct str key, struct str *out_key, struct str *out_value);
int cursor_next(struct cursor *cursor, struct str *out_key, struct str *out_value);
int cursor_prev(struct cursor *cursor, struct str *out_key, struct str *out_value);
int cursor_first(struct cursor *cursor, struct str *out_key, struct str *out_value);
int cursor_last(struct cursor *cursor, struct str *out_key, struct str *out_value);
