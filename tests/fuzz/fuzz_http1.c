/* SPDX-License-Identifier: Apache-2.0 */
/* Requests in any pieces: the first byte says how long the pieces are. What is accepted must be
 * framed alike when it comes in one piece, and its query must be readable. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/http1.h"
#include "collector/query/params.h"

#define MAX_BODY 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t feed_pieces(struct http1 *http, struct str bytes, size_t piece)
{
	size_t used = 0;

	while (used < bytes.len && http->state <= HTTP1_BODY)
		used += http1_feed(http,
				   (struct str){ bytes.data + used, MIN(piece, bytes.len - used) });
	return used;
}

static void read_query(const struct http1 *http)
{
	struct params params;

	params_parse(&params, http->request.query, 0);
	params_uint(&params, "limit", 0, 9, 1);
	params_double(&params, "ratio", 0, 1, 0);
	params_time(&params, "from", 0);
	params_check(&params);
	params_fini(&params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http1 whole, pieces;
	struct str bytes;
	size_t used;

	if (size < 1)
		return 0;
	bytes = (struct str){ (const char *)data + 1, size - 1 };
	http1_init(&whole, MAX_BODY);
	http1_init(&pieces, MAX_BODY);
	while (bytes.len) {
		used = http1_feed(&whole, bytes);
		if (whole.state != HTTP1_DONE)
			break;
		if (feed_pieces(&pieces, bytes, 1 + data[0] % 32) != used ||
		    pieces.state != HTTP1_DONE ||
		    !str_eq(whole.request.body, pieces.request.body) ||
		    !str_eq(whole.request.query, pieces.request.query))
			abort();
		read_query(&whole);
		http1_next(&whole);
		http1_next(&pieces);
		bytes = (struct str){ bytes.data + used, bytes.len - used };
	}
	http1_fini(&whole);
	http1_fini(&pieces);
	return 0;
}
