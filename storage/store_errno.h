/* SPDX-License-Identifier: Apache-2.0 */
/* The only place where LMDB's codes become ours. */
#pragma once

#include <errno.h>

/* The part's map is full, its disk is not: the writer answers with a new part, nobody else sees it.
 */
#define STORE_MAP_FULL (-EXFULL)
/* LMDB gave the environment up after a failed write of its meta page; it can only be opened anew.
 */
#define STORE_PANIC (-ENOTRECOVERABLE)

int store_errno(int mdb_rc);
