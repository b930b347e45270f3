/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/compress.h"

#include <errno.h>
#include <libdeflate.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "collector/base/breath.h"
#include "collector/base/macros.h"

#define STEP_BYTES        ((size_t)64 << 10)
#define GZIP_LEVEL        1
#define ZSTD_WINDOW_LOG   23    /* 8 MiB, as RFC 9659 has it: a frame that wants more is refused */
#define DEFLATE_MAX_RATIO 1032u /* a match of 258 bytes may cost two bits */

/* The next piece of room, never past the limit: there, one byte more proves that it is too large.
 */
static size_t room_for_step(const struct buf *out)
{
	if (!out->limit_bytes)
		return STEP_BYTES;
	return MIN(STEP_BYTES, out->limit_bytes - MIN(out->limit_bytes, out->len));
}

enum format { GZIP, ZLIB, RAW_DEFLATE };

static enum libdeflate_result inflate_once(struct libdeflate_decompressor *decompressor,
					   enum format format, struct str packed, char *room,
					   size_t room_len, size_t *out_used, size_t *out_len)
{
	switch (format) {
	case GZIP:
		return libdeflate_gzip_decompress_ex(decompressor, packed.data, packed.len, room,
						     room_len, out_used, out_len);
	case ZLIB:
		return libdeflate_zlib_decompress_ex(decompressor, packed.data, packed.len, room,
						     room_len, out_used, out_len);
	default:
		return libdeflate_deflate_decompress_ex(decompressor, packed.data, packed.len, room,
							room_len, out_used, out_len);
	}
}

/* gzip says at its end how long the contents are: a hint, for it may lie. */
static size_t likely_bytes(enum format format, struct str packed)
{
	uint32_t said = 0;

	if (format == GZIP && packed.len >= sizeof(said))
		memcpy(&said, packed.data + packed.len - sizeof(said), sizeof(said));
	if (said == 0 || said / DEFLATE_MAX_RATIO > packed.len)
		return MAX(4 * packed.len, STEP_BYTES);
	return said;
}

/* One stream. There is no going on from where it stopped: when the room was too small, it starts
 * again in twice the room. */
static int inflate_stream(struct libdeflate_decompressor *decompressor, enum format format,
			  struct str packed, struct buf *out, size_t *out_used)
{
	size_t most = out->limit_bytes ? out->limit_bytes - MIN(out->limit_bytes, out->len)
				       : SIZE_MAX / 4;

	for (size_t room = likely_bytes(format, packed);; room *= 2) {
		char none, *at = MIN(room, most) ? buf_reserve(out, MIN(room, most)) : &none;
		enum libdeflate_result result;
		size_t len = 0;

		if (!at)
			return buf_error(out);
		result = inflate_once(decompressor, format, packed, at, MIN(room, most), out_used,
				      &len);
		if (result == LIBDEFLATE_SUCCESS) {
			out->len += len;
			return 0;
		}
		if (result != LIBDEFLATE_INSUFFICIENT_SPACE)
			return -EBADMSG;
		if (room >= most)
			return -EMSGSIZE;
	}
}

int compress_gunzip(struct str packed, struct buf *out)
{
	struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
	int rc = decompressor ? 0 : -ENOMEM;

	if (rc == 0 && packed.len == 0)
		rc = -EBADMSG;
	while (rc == 0 && packed.len > 0) {
		size_t used = 0;

		rc = inflate_stream(decompressor, GZIP, packed, out, &used);
		packed.data += used;
		packed.len -= used;
	}
	libdeflate_free_decompressor(decompressor);
	return rc;
}

static bool has_zlib_header(struct str packed)
{
	const unsigned char *at = (const unsigned char *)packed.data;

	return packed.len >= 2 && (at[0] & 0x0f) == 8 && (at[0] << 8 | at[1]) % 31 == 0;
}

int compress_inflate(struct str packed, struct buf *out)
{
	struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
	enum format format = has_zlib_header(packed) ? ZLIB : RAW_DEFLATE;
	int rc = decompressor ? 0 : -ENOMEM;
	size_t used = 0;

	if (rc == 0)
		rc = inflate_stream(decompressor, format, packed, out, &used);
	if (rc == 0 && used != packed.len)
		rc = -EBADMSG;
	libdeflate_free_decompressor(decompressor);
	return rc;
}

int compress_gzip(struct str plain, struct buf *out)
{
	struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(GZIP_LEVEL);
	size_t bound, len = 0;
	char *room;

	if (!compressor)
		return -ENOMEM;
	bound = libdeflate_gzip_compress_bound(compressor, plain.len);
	room = buf_reserve(out, bound);
	if (room)
		len = libdeflate_gzip_compress(compressor, plain.data, plain.len, room, bound);
	libdeflate_free_compressor(compressor);
	if (!room)
		return buf_error(out);
	out->len += len;
	return len ? 0 : -EIO;
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
		if (ZSTD_getErrorCode(left) == ZSTD_error_frameParameter_windowTooLarge)
			return -EFBIG;
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
	int rc = -ENOMEM;

	if (stream) {
		ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
		rc = unzstd_all(stream, packed, out);
	}
	ZSTD_freeDStream(stream);
	return rc;
}

/* The library's contexts under our names. */
struct compress_packer {
	ZSTD_CCtx *context;
};

struct compress_packer *compress_packer_new(int level, int least_match)
{
	struct compress_packer *packer = malloc(sizeof(*packer));

	if (!packer)
		return NULL;
	packer->context = ZSTD_createCCtx();
	if (!packer->context) {
		free(packer);
		return NULL;
	}
	ZSTD_CCtx_setParameter(packer->context, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(packer->context, ZSTD_c_minMatch, least_match);
	return packer;
}

void compress_packer_free(struct compress_packer *packer)
{
	if (packer)
		ZSTD_freeCCtx(packer->context);
	free(packer);
}

int compress_pack(struct compress_packer *packer, struct str plain, struct buf *out)
{
	size_t bound = ZSTD_compressBound(plain.len), len;
	char *room = buf_reserve(out, bound);

	breath_take();
	if (!room)
		return buf_error(out);
	len = ZSTD_compress2(packer->context, room, bound, plain.data, plain.len);
	if (ZSTD_isError(len))
		return -ENOMEM;
	out->len += len;
	return 0;
}

static pthread_once_t unpacker_once = PTHREAD_ONCE_INIT;
static pthread_key_t unpacker_key;
static int unpacker_error;

static void free_unpacker(void *context)
{
	ZSTD_freeDCtx(context);
}

static void make_unpacker_key(void)
{
	unpacker_error = -pthread_key_create(&unpacker_key, free_unpacker);
}

/* This thread's; NULL: out of memory. */
static ZSTD_DCtx *unpacker(void)
{
	ZSTD_DCtx *context;

	pthread_once(&unpacker_once, make_unpacker_key);
	if (unpacker_error)
		return NULL;
	context = pthread_getspecific(unpacker_key);
	if (context)
		return context;
	context = ZSTD_createDCtx();
	if (!context || pthread_setspecific(unpacker_key, context) != 0) {
		ZSTD_freeDCtx(context);
		return NULL;
	}
	return context;
}

int compress_unpack(struct str packed, char *out, size_t len)
{
	ZSTD_DCtx *context = unpacker();

	breath_take();
	if (!context)
		return -ENOMEM;
	return ZSTD_decompressDCtx(context, out, len, packed.data, packed.len) == len ? 0
										      : -EBADMSG;
}
