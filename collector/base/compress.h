/* SPDX-License-Identifier: Apache-2.0 */
/* gzip, deflate and zstd, once for everybody. Thread safe: no state is shared. */
#pragma once

#include "collector/base/buf.h"
#include "collector/base/str.h"

/* Appends the contents of `packed` to `out`. Members may follow each other; anything else after the
 * end is an error. -EBADMSG: corrupt or cut short; -EMSGSIZE: out->limit_bytes reached; -ENOMEM. */
int compress_gunzip(struct str packed, struct buf *out);
int compress_gzip(struct str plain, struct buf *out);

/* The "deflate" of HTTP: zlib's format, or none around it, as some clients send. One stream. */
int compress_inflate(struct str packed, struct buf *out);

/* zstd frames. The same errors; a window above 8 MiB, which no level below 20 uses, is -EFBIG.
 * `level`: 1 is fast, 9 is small. */
int compress_zstd(struct str plain, int level, struct buf *out);
int compress_unzstd(struct str packed, struct buf *out);

/* zstd for many small pieces: the working memory is kept from one to the next. One thread each.
 * NULL: out of memory; free accepts NULL. Shorter matches than `least_match` (3 to 7 bytes; 0: as
 * the level has it) are left alone: what consists of records is then smaller and sooner read. */
struct compress_packer;
struct compress_packer *compress_packer_new(int level, int least_match);
void compress_packer_free(struct compress_packer *packer);
int compress_pack(struct compress_packer *packer, struct str plain, struct buf *out);

/* The frame holds exactly `len` bytes, or -EBADMSG. Each thread keeps working memory for it, which
 * goes when the thread ends. */
int compress_unpack(struct str packed, char *out, size_t len);
