/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_coding.h"

#include <assert.h>
#include <stdint.h>

#include "collector/base/compress.h"
#include "collector/base/macros.h"

#define RATIO_FREE_BYTES ((size_t)1 << 20) /* small requests may be as repetitive as they like */

static size_t most_bytes(size_t packed_bytes, size_t max_bytes, size_t max_ratio)
{
	size_t ratio = max_ratio ? max_ratio : OTLP_CODING_RATIO;
	size_t by_ratio = packed_bytes > SIZE_MAX / ratio ? SIZE_MAX : packed_bytes * ratio;

	return MIN(max_bytes, MAX(by_ratio, RATIO_FREE_BYTES));
}

int otlp_coding_undo(enum otlp_coding coding, struct str packed, size_t max_bytes, size_t max_ratio,
		     struct buf *out)
{
	int (*const undo[])(struct str, struct buf *) = {
		[OTLP_GZIP] = compress_gunzip,
		[OTLP_ZSTD] = compress_unzstd,
		[OTLP_DEFLATE] = compress_inflate,
	};
	int rc;

	assert(coding != OTLP_IDENTITY && coding != OTLP_CODING_UNKNOWN);
	buf_init(out, most_bytes(packed.len, max_bytes, max_ratio));
	rc = undo[coding](packed, out);
	if (rc < 0)
		buf_fini(out);
	return rc;
}
