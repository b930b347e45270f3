/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/txn.h"

#include "storage/store_errno.h"

static MDB_val val_of(struct str text)
{
	return (MDB_val){ .mv_size = text.len, .mv_data = (void *)text.data };
}

static struct str str_from(MDB_val val)
{
	return (struct str){ val.mv_data, val.mv_size };
}

int txn_begin_read(MDB_env *env, struct txn *txn)
{
	*txn = (struct txn){ 0 };
	txn->error = store_errno(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn->mdb));
	return txn->error;
}

int txn_begin_write(MDB_env *env, struct txn *txn)
{
	*txn = (struct txn){ 0 };
	txn->error = store_errno(mdb_txn_begin(env, NULL, 0, &txn->mdb));
	return txn->error;
}

int txn_commit(struct txn *txn)
{
	MDB_txn *mdb = txn->mdb;

	if (txn->error) {
		txn_abort(txn);
		return txn->error;
	}
	txn->mdb = NULL;
	txn->error = store_errno(mdb_txn_commit(mdb));
	return txn->error;
}

void txn_abort(struct txn *txn)
{
	if (txn->mdb)
		mdb_txn_abort(txn->mdb);
	txn->mdb = NULL;
}

static void put(struct txn *txn, MDB_dbi dbi, struct str key, MDB_val *value, unsigned flags)
{
	MDB_val mdb_key = val_of(key);

	txn->is_dirty = true;
	if (!txn->error)
		txn->error = store_errno(mdb_put(txn->mdb, dbi, &mdb_key, value, flags));
}

void txn_put(struct txn *txn, MDB_dbi dbi, struct str key, struct str value)
{
	MDB_val mdb_value = val_of(value);

	put(txn, dbi, key, &mdb_value, 0);
}

void txn_append(struct txn *txn, MDB_dbi dbi, struct str key, struct str value)
{
	MDB_val mdb_value = val_of(value);

	put(txn, dbi, key, &mdb_value, MDB_APPEND);
}

char *txn_append_room(struct txn *txn, MDB_dbi dbi, struct str key, size_t len)
{
	MDB_val mdb_value = { .mv_size = len };

	put(txn, dbi, key, &mdb_value, MDB_APPEND | MDB_RESERVE);
	return txn->error ? NULL : mdb_value.mv_data;
}

int txn_get(const struct txn *txn, MDB_dbi dbi, struct str key, struct str *out_value)
{
	MDB_val mdb_key = val_of(key), mdb_value;
	int rc =
		txn->error ? txn->error : store_errno(mdb_get(txn->mdb, dbi, &mdb_key, &mdb_value));

	if (rc == 0)
		*out_value = str_from(mdb_value);
	return rc;
}

int cursor_open(const struct txn *txn, MDB_dbi dbi, struct cursor *cursor)
{
	cursor->mdb = NULL;
	return store_errno(mdb_cursor_open(txn->mdb, dbi, &cursor->mdb));
}

void cursor_close(struct cursor *cursor)
{
	if (cursor->mdb)
		mdb_cursor_close(cursor->mdb);
	cursor->mdb = NULL;
}

static int move(struct cursor *cursor, MDB_val key, MDB_cursor_op op, struct str *out_key,
		struct str *out_value)
{
	MDB_val value;
	int rc = store_errno(mdb_cursor_get(cursor->mdb, &key, &value, op));

	if (rc < 0)
		return rc;
	*out_key = str_from(key);
	*out_value = str_from(value);
	return 0;
}

int cursor_seek(struct cursor *cursor, struct str key, struct str *out_key, struct str *out_value)
{
	return move(cursor, val_of(key), MDB_SET_RANGE, out_key, out_value);
}

int cursor_next(struct cursor *cursor, struct str *out_key, struct str *out_value)
{
	return move(cursor, (MDB_val){ 0 }, MDB_NEXT, out_key, out_value);
}

int cursor_prev(struct cursor *cursor, struct str *out_key, struct str *out_value)
{
	return move(cursor, (MDB_val){ 0 }, MDB_PREV, out_key, out_value);
}

int cursor_first(struct cursor *cursor, struct str *out_key, struct str *out_value)
{
	return move(cursor, (MDB_val){ 0 }, MDB_FIRST, out_key, out_value);
}

int cursor_last(struct cursor *cursor, struct str *out_key, struct str *out_value)
{
	return move(cursor, (MDB_val){ 0 }, MDB_LAST, out_key, out_value);
}
