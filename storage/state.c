/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/state.h"

#include <errno.h>
#include <lmdb.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "collector/base/macros.h"
#include "storage/checksum.h"
#include "storage/file_check.h"
#include "storage/folder.h"
#include "storage/part.h"
#include "storage/store_errno.h"

#define STATE_FILE  "state.mdb"
#define STATE_MAGIC "spanwise data"
#define MAP_BYTES   ((size_t)64 << 20) /* alert state and cursors will live here too */
#define IDENTITY    STR("identity")

/* The first two fields stay where they are in every version. */
struct identity {
	char magic[16];
	uint32_t version;
	uint32_t zero;
	uint64_t seed;
	uint64_t checksum; /* of all before */
};

static int open_env(const char *path, unsigned flags, MDB_env **out_env)
{
	char *file = part_file_path(path, STATE_FILE);
	int rc = file ? 0 : ENOMEM;

	if (rc == 0)
		rc = mdb_env_create(out_env);
	if (rc == 0 && !(flags & MDB_RDONLY))
		rc = mdb_env_set_mapsize(*out_env, MAP_BYTES);
	if (rc == 0)
		rc = mdb_env_open(*out_env, file, flags | MDB_NOSUBDIR | MDB_NOTLS | MDB_NOLOCK,
				  0600);
	free(file);
	return store_errno(rc);
}

int state_create(const char *path)
{
	struct identity identity = { .magic = STATE_MAGIC, .version = FOLDER_VERSION };
	struct txn txn = { 0 };
	MDB_env *env = NULL;
	MDB_dbi dbi;
	int rc;

	if (getrandom(&identity.seed, sizeof(identity.seed), 0) != sizeof(identity.seed))
		return -EIO;
	identity.checksum = checksum_of(&identity, offsetof(struct identity, checksum), 0);
	rc = open_env(path, 0, &env);
	if (rc == 0)
		rc = txn_begin_write(env, &txn);
	if (rc == 0) {
		txn.error = store_errno(mdb_dbi_open(txn.mdb, NULL, 0, &dbi));
		txn_put(&txn, dbi, IDENTITY, (struct str){ (char *)&identity, sizeof(identity) });
		rc = txn_commit(&txn);
	}
	if (env)
		mdb_env_close(env);
	return rc;
}

static int check_identity(struct str value, uint64_t *out_seed)
{
	struct identity identity = { 0 };

	memcpy(&identity, value.data, MIN(value.len, sizeof(identity)));
	if (value.len < offsetof(struct identity, zero) ||
	    memcmp(identity.magic, STATE_MAGIC, sizeof(STATE_MAGIC)) != 0)
		return -EBADMSG;
	if (identity.version > FOLDER_VERSION)
		return -EPROTO;
	if (identity.version < FOLDER_VERSION)
		return -EPROTOTYPE;
	if (value.len != sizeof(identity) ||
	    identity.checksum != checksum_of(&identity, offsetof(struct identity, checksum), 0))
		return -EBADMSG;
	*out_seed = identity.seed;
	return 0;
}

int state_read(const char *path, uint64_t *out_seed)
{
	char *file = part_file_path(path, STATE_FILE);
	struct txn txn = { 0 };
	MDB_env *env = NULL;
	struct str value;
	MDB_dbi dbi;
	int rc = file ? file_check(file) : -ENOMEM;

	free(file);
	if (rc == 0)
		rc = open_env(path, MDB_RDONLY, &env);
	if (rc == 0)
		rc = txn_begin_read(env, &txn);
	if (rc == 0)
		rc = store_errno(mdb_dbi_open(txn.mdb, NULL, 0, &dbi));
	if (rc == 0)
		rc = txn_get(&txn, dbi, IDENTITY, &value);
	if (rc == 0)
		rc = check_identity(value, out_seed);
	txn_abort(&txn);
	if (env)
		mdb_env_close(env);
	return rc == -ENOENT ? -EBADMSG : rc;
}
