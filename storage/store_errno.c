/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/store_errno.h"

#include <lmdb.h>

int store_errno(int mdb_rc)
{
	switch (mdb_rc) {
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_MAP_FULL:
	case MDB_TXN_FULL:
		return STORE_MAP_FULL;
	case MDB_PANIC:
		return STORE_PANIC;
	case MDB_READERS_FULL:
		return -EAGAIN;
	case MDB_VERSION_MISMATCH:
		return -EPROTO;
	case MDB_INVALID:
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INCOMPATIBLE:
	case MDB_BAD_VALSIZE:
		return -EBADMSG;
	case EFBIG: /* a limit on file size or a quota: to the caller, no room is no room */
	case EDQUOT:
		return -ENOSPC;
	default:
		return mdb_rc >= 0 ? -mdb_rc : -EIO;
	}
}
