/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/state_kv.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/file_check.h"
#include "storage/folder.h"
#include "storage/part.h"
#include "storage/store_errno.h"

#define FOLDER     "state"
#define FILE_NAME  "kv.mdb"
#define FRESH_NAME "kv.new"
#define MAP_BYTES  ((size_t)64 << 20)

struct state_kv {
	MDB_env *env; /* owned */
	MDB_dbi dbi;
	pthread_mutex_t lock;
};

static int translate(int rc)
{
	if (rc == STORE_MAP_FULL)
		return -ENOSPC;
	return rc == STORE_PANIC ? -EIO : rc;
}

static char *file_path(const char *data_path, const char *name)
{
	char *folder = part_file_path(data_path, FOLDER);
	char *file = folder ? part_file_path(folder, name) : NULL;

	free(folder);
	return file;
}

/* The folder's lock keeps other processes out, and the mutex other threads: LMDB needs none. */
static int open_env(const char *file, MDB_env **out_env)
{
	int rc = mdb_env_create(out_env);

	if (rc == 0)
		rc = mdb_env_set_mapsize(*out_env, MAP_BYTES);
	if (rc == 0)
		rc = mdb_env_open(*out_env, file, MDB_NOSUBDIR | MDB_NOTLS | MDB_NOLOCK, 0600);
	return store_errno(rc);
}

static int open_database(struct state_kv *kv)
{
	struct txn txn;
	int rc = txn_begin_write(kv->env, &txn);

	if (rc < 0)
		return rc;
	txn.error = store_errno(mdb_dbi_open(txn.mdb, NULL, 0, &kv->dbi));
	return txn_commit(&txn);
}

/* Made under another name first: LMDB syncs a new file only with its first commit, which may be
 * months away, and after a power cut an empty one or half a one would be there. */
static int make_file(const char *data_path, const char *file)
{
	char *folder = part_file_path(data_path, FOLDER);
	char *fresh = file_path(data_path, FRESH_NAME);
	MDB_env *env = NULL;
	int rc = folder && fresh ? 0 : -ENOMEM;

	if (rc == 0) {
		unlink(fresh);
		rc = open_env(fresh, &env);
	}
	if (rc == 0)
		rc = store_errno(mdb_env_sync(env, 1));
	if (env)
		mdb_env_close(env);
	if (rc == 0 && rename(fresh, file) < 0)
		rc = -errno;
	if (rc == 0)
		rc = folder_sync(folder);
	free(fresh);
	free(folder);
	return rc;
}

/* An empty file is one of which nothing was ever committed. */
static int provide_file(const char *data_path, const char *file)
{
	struct stat status;

	if (stat(file, &status) < 0)
		return errno == ENOENT ? make_file(data_path, file) : -errno;
	return status.st_size == 0 ? make_file(data_path, file) : file_check(file);
}

int state_kv_open(const char *data_path, struct state_kv **out_kv, struct buf *out_message)
{
	struct state_kv *kv = calloc(1, sizeof(*kv));
	char *file = file_path(data_path, FILE_NAME);
	int rc = kv && file ? 0 : -ENOMEM;

	if (rc == 0)
		rc = provide_file(data_path, file);
	if (rc == 0)
		rc = open_env(file, &kv->env);
	if (rc == 0)
		rc = open_database(kv);
	if (rc == 0)
		rc = -pthread_mutex_init(&kv->lock, NULL);
	if (rc == -EBADMSG || rc == -EPROTO)
		buf_printf(out_message,
			   "%s is damaged; restore it from a backup, or remove it: alerts then "
			   "start anew",
			   file);
	free(file);
	if (rc == 0) {
		*out_kv = kv;
		return 0;
	}
	if (kv && kv->env)
		mdb_env_close(kv->env);
	free(kv);
	return translate(rc);
}

void state_kv_close(struct state_kv *kv)
{
	if (!kv)
		return;
	mdb_env_close(kv->env);
	pthread_mutex_destroy(&kv->lock);
	free(kv);
}

static void remove_key(struct txn *txn, MDB_dbi dbi, struct str key)
{
	MDB_val mdb_key = { .mv_size = key.len, .mv_data = (void *)key.data };
	int rc;

	if (txn->error)
		return;
	rc = mdb_del(txn->mdb, dbi, &mdb_key, NULL);
	if (rc != MDB_NOTFOUND)
		txn->error = store_errno(rc);
}

int state_kv_apply(struct state_kv *kv, const struct state_kv_change *changes, size_t count)
{
	struct txn txn;
	int rc;

	pthread_mutex_lock(&kv->lock);
	rc = txn_begin_write(kv->env, &txn);
	if (rc == 0) {
		for (size_t i = 0; i < count; i++) {
			if (changes[i].is_removed)
				remove_key(&txn, kv->dbi, changes[i].key);
			else
				txn_put(&txn, kv->dbi, changes[i].key, changes[i].value);
		}
		rc = txn_commit(&txn);
	}
	pthread_mutex_unlock(&kv->lock);
	return translate(rc);
}

static bool begins_with(struct str text, struct str prefix)
{
	return text.len >= prefix.len &&
	       (prefix.len == 0 || memcmp(text.data, prefix.data, prefix.len) == 0);
}

static int visit_from(struct cursor *cursor, struct str prefix,
		      int (*visit)(struct str key, struct str value, void *arg), void *arg)
{
	struct str key, value;
	int rc = prefix.len ? cursor_seek(cursor, prefix, &key, &value)
			    : cursor_first(cursor, &key, &value);

	while (rc == 0 && begins_with(key, prefix)) {
		rc = visit(key, value, arg);
		if (rc == 0)
			rc = cursor_next(cursor, &key, &value);
	}
	return rc == -ENOENT ? 0 : rc;
}

int state_kv_each(struct state_kv *kv, struct str prefix,
		  int (*visit)(struct str key, struct str value, void *arg), void *arg)
{
	struct cursor cursor;
	struct txn txn;
	int rc;

	pthread_mutex_lock(&kv->lock);
	rc = txn_begin_read(kv->env, &txn);
	if (rc == 0) {
		rc = cursor_open(&txn, kv->dbi, &cursor);
		if (rc == 0) {
			rc = visit_from(&cursor, prefix, visit, arg);
			cursor_close(&cursor);
		}
		txn_abort(&txn);
	}
	pthread_mutex_unlock(&kv->lock);
	return translate(rc);
}
