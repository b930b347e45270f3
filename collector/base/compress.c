/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/compress.h"

#include <errno.h>
#include <limits.h>
#include <zlib.h>
#include <zstd.h>

#include "collector/base/macros.h"

#define STEP_BYTES ((size_t)64 << 10)
#define GZIP_WRAP  (16 + MAX_WBITS)

/* The next piece of room, never past the limit: there, one byte more proves that it is too large.
 */
static size_t room_for_step(const struct buf *out)
{
	if (!out->limit_bytes)
		return STEP_BYTES;
	return MIN(STEP_BYTES, out->limit_bytes - MIN(out->limit_bytes, out->len));
}

static int inflate_step(z_stream *z, struct buf *out, int *out_rc)
{
	size_t room = room_for_step(out);
	unsigned char probe;
	char *at = room ? buf_reserve(out, room) : (char *)&probe;

	if (!at)
		return buf_error(out);
	z->next_out = (unsigned char *)at;
	z->avail_out = room ? (uInt)room : 1;
	*out_rc = inflate(z, Z_NO_FLUSH);
	if (!room)
		return z->avail_out == 0 ? -EMSGSIZE : 0;
	out->len += room - z->avail_out;
	return 0;
}

static int inflate_all(z_stream *z, struct buf *out)
{
	for (;;) {
		int z_rc = Z_OK, rc = inflate_step(z, out, &z_rc);

		if (rc < 0)
			return rc;
		if (z_rc == Z_MEM_ERROR)
			return -ENOMEM;
		if (z_rc == Z_STREAM_END) {
			if (z->avail_in == 0)
				return 0;
			if (inflateReset(z) != Z_OK)
				return -EBADMSG;
		} else if (z_rc != Z_OK || (z->avail_in == 0 && z->avail_out != 0)) {
			return -EBADMSG;
		}
	}
}

int compress_gunzip(struct str packed, struct buf *out)
{
	z_stream z = { 0 };
	int rc;

	if (packed.len > UINT_MAX)
		return -EMSGSIZE;
	if (inflateInit2(&z, GZIP_WRAP) != Z_OK)
		return -ENOMEM;
	z.next_in = (unsigned char *)packed.data;
	z.avail_in = (uInt)packed.len;
	rc = inflate_all(&z, out);
	inflateEnd(&z);
	return rc;
}

int compress_gzip(struct str plain, struct buf *out)
{
	z_stream z = { 0 };
	size_t bound;
	char *room;
	int rc;

	if (plain.len > UINT_MAX / 2)
		return -EMSGSIZE;
	if (deflateInit2(&z, 1, Z_DEFLATED, GZIP_WRAP, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	bound = deflateBound(&z, plain.len);
	room = buf_reserve(out, bound);
	if (!room) {
		deflateEnd(&z);
		return buf_error(out);
	}
	z.next_in = (unsigned char *)plain.data;
	z.avail_in = (uInt)plain.len;
	z.next_out = (unsigned char *)room;
	z.avail_out = (uInt)bound;
	rc = deflate(&z, Z_FINISH);
	out->len += bound - z.avail_out;
	deflateEnd(&z);
	return rc == Z_STREAM_END ? 0 : -EIO;
}

int compress_zstd(struct str plain, int level, struct buf *out)
{
	size_t bound = ZSTD_compressBound(plain.len), len;
	char *room = buf_reserve(out, bound);

	if (!room)
		return buf_error(out);
	len = ZSTD_compress(room, bound, plain.data, plain.len, level);
	if (ZSTD_isError(len))
		return -ENOMEM;
	out->len += len;
	return 0;
}

static int unzstd_all(ZSTD_DStream *stream, struct str packed, struct buf *out)
{
	ZSTD_inBuffer in = { packed.data, packed.len, 0 };
	size_t left = 1;

	while (left != 0 || in.pos < in.size) {
		size_t room = room_for_step(out), before = in.pos;
		char probe, *at = room ? buf_reserve(out, room) : &probe;
		ZSTD_outBuffer piece = { at, room ? room : 1, 0 };

		if (!at)
			return buf_error(out);
		left = ZSTD_decompressStream(stream, &piece, &in);
		if (ZSTD_isError(left))
			return -EBADMSG;
		if (!room && piece.pos)
			return -EMSGSIZE;
		out->len += room ? piece.pos : 0;
		if (left != 0 && piece.pos == 0 && in.pos == before)
			return -EBADMSG; /* cut short */
	}
	return 0;
}

int compress_unzstd(struct str packed, struct buf *out)
{
	ZSTD_DStream *stream = ZSTD_createDStream();
	int rc = stream ? unzstd_all(stream, packed, out) : -ENOMEM;

	ZSTD_freeDStream(stream);
	return rc;
}
