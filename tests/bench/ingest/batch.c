/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/ingest/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "collector/base/compress.h"
#include "collector/base/macros.h"
#include "otlp/grpc_frame.h"

#define NOWHERE UINT32_MAX

/* Where one span of the template keeps what changes; `root`: the first span of its trace. */
struct batch_place {
	uint32_t trace_id, span_id, parent_id, start, end, root;
};

bool batch_template_read(const char *path, struct batch_template *template)
{
	FILE *file = fopen(path, "rb");
	bool is_read = false;

	*template = (struct batch_template){ 0 };
	if (!file)
		return false;
	if (fread(&template->spans, 4, 1, file) == 1 && fread(&template->len, 4, 1, file) == 1) {
		template->places = calloc(template->spans, sizeof(*template->places));
		template->body = malloc(template->len);
		is_read = template->places && template->body &&
			  fread(template->places, sizeof(*template->places), template->spans,
				file) == template->spans &&
			  fread(template->body, 1, template->len, file) == template->len;
	}
	fclose(file);
	return is_read;
}

static uint64_t unix_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

/* New ids, and times that end now: into the template itself. */
static bool renew(struct batch_template *template)
{
	static uint64_t ids[2];
	const uint64_t end = unix_ns(), start = end - 5 * NS_PER_MS;
	char *body = template->body;

	if (!ids[0] && getrandom(ids, sizeof(ids), 0) != sizeof(ids))
		return false;
	for (uint32_t i = 0; i < template->spans; i++) {
		const struct batch_place *place = &template->places[i], *root;

		root = &template->places[place->root];
		ids[0] += 0x9e3779b97f4a7c15ull;
		memcpy(body + place->span_id, &ids[0], 8);
		if (place->root == i) {
			ids[1] ^= ids[0] * 0xff51afd7ed558ccdull;
			memcpy(body + place->trace_id, &ids[1], 8);
			memcpy(body + place->trace_id + 8, &ids[0], 8);
		} else {
			memcpy(body + place->trace_id, body + root->trace_id, 16);
		}
		if (place->parent_id != NOWHERE)
			memcpy(body + place->parent_id, body + root->span_id, 8);
		memcpy(body + place->start, &start, 8);
		memcpy(body + place->end, &end, 8);
	}
	return true;
}

static void put_framed(struct buf *out, struct str message, bool is_packed)
{
	uint8_t prefix[GRPC_FRAME_PREFIX_BYTES];

	grpc_frame_put_prefix(prefix, (uint32_t)message.len);
	prefix[0] = is_packed;
	buf_clear(out);
	buf_append(out, prefix, sizeof(prefix));
	buf_append_str(out, message);
}

bool batch_make(struct batch_template *template, bool gzip, struct buf *out)
{
	struct str plain = { template->body, template->len };
	struct buf packed = { 0 };
	bool is_made = renew(template) && (!gzip || compress_gzip(plain, &packed) == 0);

	if (is_made)
		put_framed(out, gzip ? buf_str(&packed) : plain, gzip);
	buf_fini(&packed);
	return is_made && buf_error(out) == 0;
}
