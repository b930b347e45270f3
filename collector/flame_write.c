/* SPDX-License-Identifier: Apache-2.0 */
/* A flame graph as text, JSON, speedscope and SVG. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/json.h"
#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/flame_sum.h"
#include "collector/flame_tree.h"
#include "collector/render.h"

/* ---- collapsed: "root;...;leaf NS" */

static void put_collapsed_text(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		buf_append_byte(out, (uint8_t)(c == ';' ? ':' : (unsigned char)c < ' ' ? ' ' : c));
	}
}

void flame_put_collapsed(const struct flame_key *key, struct stacks *stacks, struct buf *out)
{
	struct str texts[FLAME_STACK_MOST];
	uint32_t count = flame_texts(key, stacks, texts);

	for (uint32_t at = 0; at < count; at++) {
		if (at)
			buf_append_byte(out, ';');
		put_collapsed_text(out, texts[at]);
	}
}

static int write_collapsed(struct flame_writing *writing)
{
	for (size_t i = 0; i < writing->count; i++) {
		const struct flame_line *line = &writing->lines[i];

		flame_put_collapsed(&line->key, writing->stacks, writing->out);
		buf_printf(writing->out, " %" PRIu64 "\n", line->sum.ns);
	}
	return buf_error(writing->out);
}

/* ---- our own JSON: the sums, innermost frame first as everywhere in the API */

static void put_json_line(const struct flame_writing *writing, struct json *json,
			  const struct flame_line *line)
{
	json_object(json, NULL);
	json_text(json, "state", render_state_name(line->key.state));
	if (line->key.state == STATE_BLOCKED)
		json_text(json, "reason", ledger_reason_name(line->key.detail));
	json_uint(json, "ns", line->sum.ns);
	json_uint(json, "count", line->sum.count);
	stacks_put_json(json, "stack", line->key.stack, writing->stacks);
	json_end(json);
}

void flame_put_spans(struct json *json, const struct flame *flame)
{
	json_uint(json, "spans", flame->spans);
	if (!flame->of)
		return;
	json_object(json, "covered");
	json_uint(json, "spans", flame->read);
	json_uint(json, "of", flame->of);
	json_bool(json, "exact", flame->is_share_exact);
	json_end(json);
}

static int write_json(struct flame_writing *writing)
{
	struct json json;

	json_init(&json, writing->out);
	json_object(&json, NULL);
	json_text(&json, "title", writing->title);
	flame_put_spans(&json, writing->flame);
	json_uint(&json, "total_ns", writing->flame->total_ns);
	json_array(&json, "stacks");
	for (size_t i = 0; i < writing->count; i++)
		put_json_line(writing, &json, &writing->lines[i]);
	json_end(&json);
	json_end(&json);
	return buf_error(writing->out);
}

/* ---- speedscope: every frame once, samples root first */

static void put_samples(const struct flame_writing *writing, struct json *json,
			const struct map *frames)
{
	struct str texts[FLAME_STACK_MOST];

	json_array(json, "samples");
	for (size_t i = 0; i < writing->count; i++) {
		uint32_t count = flame_texts(&writing->lines[i].key, writing->stacks, texts);

		json_array(json, NULL);
		for (uint32_t at = 0; at < count; at++) {
			uint64_t hash = map_hash(texts[at].data, texts[at].len, 0);
			const uint32_t *index = map_get(frames, &hash);

			json_uint(json, NULL, index ? *index : 0);
		}
		json_end(json);
	}
	json_end(json);
	json_array(json, "weights");
	for (size_t i = 0; i < writing->count; i++)
		json_uint(json, NULL, writing->lines[i].sum.ns);
	json_end(json);
}

static int put_frames(const struct flame_writing *writing, struct json *json, struct map *frames)
{
	struct str texts[FLAME_STACK_MOST];
	int rc = 0;

	json_object(json, "shared");
	json_array(json, "frames");
	for (size_t i = 0; i < writing->count && rc == 0; i++) {
		uint32_t count = flame_texts(&writing->lines[i].key, writing->stacks, texts);

		for (uint32_t at = 0; at < count && rc == 0; at++) {
			uint64_t hash = map_hash(texts[at].data, texts[at].len, 0);
			size_t before = frames->count;
			uint32_t *index = map_put(frames, &hash);

			rc = index ? 0 : -ENOMEM;
			if (!index || frames->count == before)
				continue;
			*index = (uint32_t)before;
			json_object(json, NULL);
			json_str(json, "name", texts[at]);
			json_end(json);
		}
	}
	json_end(json);
	json_end(json);
	return rc;
}

static int write_speedscope(struct flame_writing *writing)
{
	struct map frames; /* hash of a text -> u32, its place */
	struct json json;
	int rc;

	map_init(&frames, sizeof(uint64_t), sizeof(uint32_t), clock_mono_ns());
	json_init(&json, writing->out);
	json_object(&json, NULL);
	json_text(&json, "$schema", "https://www.speedscope.app/file-format-schema.json");
	json_text(&json, "name", writing->title);
	json_text(&json, "exporter", "spanwise " SPANWISE_VERSION);
	json_uint(&json, "activeProfileIndex", 0);
	rc = put_frames(writing, &json, &frames);
	json_array(&json, "profiles");
	json_object(&json, NULL);
	json_text(&json, "type", "sampled");
	json_text(&json, "name", writing->title);
	json_text(&json, "unit", "nanoseconds");
	json_uint(&json, "startValue", 0);
	json_uint(&json, "endValue", writing->flame->total_ns);
	put_samples(writing, &json, &frames);
	json_end(&json);
	json_end(&json);
	json_end(&json);
	map_fini(&frames);
	return rc < 0 ? rc : buf_error(writing->out);
}

/* ---- SVG */

static int write_svg(struct flame_writing *writing)
{
	struct flame_tree tree;
	int rc = flame_tree_init(&tree, false);

	if (rc == 0)
		rc = flame_tree_add(&tree, writing->flame, FLAME_TREE_ONLY, writing->stacks);
	if (rc == 0)
		rc = flame_tree_draw(&tree, writing->title, writing->out);
	flame_tree_fini(&tree);
	return rc;
}

/* ---- all of them */

static const struct {
	const char *name;
	const char *content_type;
	int (*write)(struct flame_writing *writing);
} formats[FLAME_FORMATS] = {
	[FLAME_JSON] = { "json", "application/json", write_json },
	[FLAME_COLLAPSED] = { "collapsed", "text/plain; charset=utf-8", write_collapsed },
	[FLAME_PPROF] = { "pprof", "application/octet-stream", flame_write_pprof },
	[FLAME_SPEEDSCOPE] = { "speedscope", "application/json", write_speedscope },
	[FLAME_SVG] = { "svg", "image/svg+xml", write_svg },
	[FLAME_OTLP] = { "otlp", "application/x-protobuf", flame_write_otlp },
	[FLAME_PERFETTO] = { "perfetto", "application/json", NULL },
};

int flame_write(const struct flame *flame, enum flame_format format, const char *title,
		struct stacks *stacks, struct buf *out)
{
	struct flame_writing writing = {
		.flame = flame, .title = title, .stacks = stacks, .out = out
	};
	struct flame_line *lines = flame_lines(flame, &writing.count);
	int rc = -ENOMEM;

	if (!lines)
		return rc;
	writing.lines = lines;
	rc = formats[format].write ? formats[format].write(&writing) : -EINVAL;
	free(lines);
	return rc < 0 ? rc : buf_error(out);
}

const char *flame_content_type(enum flame_format format)
{
	return formats[format].content_type;
}

const char *flame_format_name(unsigned format)
{
	return formats[format].name;
}

const char *flame_state_name(unsigned state)
{
	static const char *const names[] = {
		[FLAME_CPU] = "cpu",
		[FLAME_BLOCKED] = "blocked",
		[FLAME_RUNNABLE] = "runnable",
		[FLAME_ALL] = "all",
	};

	return names[state];
}
