/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/gunzip.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#include "collector/base/macros.h"

struct gunzip {
	z_stream z;
	bool is_done;
};

struct gunzip *gunzip_new(void)
{
	struct gunzip *gunzip = calloc(1, sizeof(*gunzip));

	if (gunzip && inflateInit2(&gunzip->z, 16 + MAX_WBITS) != Z_OK) {
		free(gunzip);
		return NULL;
	}
	return gunzip;
}

void gunzip_free(struct gunzip *gunzip)
{
	if (!gunzip)
		return;
	inflateEnd(&gunzip->z);
	free(gunzip);
}

bool gunzip_is_done(const struct gunzip *gunzip)
{
	return gunzip->is_done;
}

long gunzip_read(struct gunzip *gunzip, struct str *in, char *room, size_t room_bytes)
{
	z_stream *z = &gunzip->z;
	size_t given = MIN(in->len, (size_t)UINT_MAX), asked = MIN(room_bytes, (size_t)INT_MAX);
	int rc;

	if (given == 0)
		return 0;
	if (gunzip->is_done && inflateReset(z) != Z_OK)
		return -EBADMSG;
	gunzip->is_done = false;
	z->next_in = (unsigned char *)in->data;
	z->avail_in = (uInt)given;
	z->next_out = (unsigned char *)room;
	z->avail_out = (uInt)asked;
	rc = inflate(z, Z_NO_FLUSH);
	in->data += given - z->avail_in;
	in->len -= given - z->avail_in;
	if (rc == Z_MEM_ERROR)
		return -ENOMEM;
	gunzip->is_done = rc == Z_STREAM_END;
	if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
		return -EBADMSG;
	return (long)(asked - z->avail_out);
}
