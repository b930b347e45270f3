/* SPDX-License-Identifier: Apache-2.0 */
/* A flame graph as text, JSON, pprof, speedscope and SVG. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/compress.h"
#include "collector/base/json.h"
#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/flame_sum.h"
#include "collector/flame_svg.h"
#include "collector/render.h"
#include "otlp/pprof_write.h"

struct writing {
	const struct flame *flame;
	const struct flame_line *lines;
	size_t count;
	const char *title;
	struct stacks *stacks;
	struct buf *out;
};

/* ---- collapsed: "root;...;leaf NS" */

static void put_collapsed_text(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		buf_append_byte(out, (uint8_t)(c == ';' ? ':' : (unsigned char)c < ' ' ? ' ' : c));
	}
}

static int write_collapsed(const struct writing *writing)
{
	struct str texts[FLAME_STACK_MOST];

	for (size_t i = 0; i < writing->count; i++) {
		const struct flame_line *line = &writing->lines[i];
		uint32_t count = flame_texts(&line->key, writing->stacks, texts);

		for (uint32_t at = 0; at < count; at++) {
			if (at)
				buf_append_byte(writing->out, ';');
			put_collapsed_text(writing->out, texts[at]);
		}
		buf_printf(writing->out, " %" PRIu64 "\n", line->sum.ns);
	}
	return buf_error(writing->out);
}

/* ---- our own JSON: the sums, innermost frame first as everywhere in the API */

static void put_json_line(const struct writing *writing, struct json *json,
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

static int write_json(const struct writing *writing)
{
	struct json json;

	json_init(&json, writing->out);
	json_object(&json, NULL);
	json_text(&json, "title", writing->title);
	json_uint(&json, "spans", writing->flame->spans);
	json_uint(&json, "total_ns", writing->flame->total_ns);
	json_array(&json, "stacks");
	for (size_t i = 0; i < writing->count; i++)
		put_json_line(writing, &json, &writing->lines[i]);
	json_end(&json);
	json_end(&json);
	return buf_error(writing->out);
}

/* ---- pprof */

static struct pprof_frame pprof_frame_of(const struct frame *frame, struct str text)
{
	struct pprof_frame out = { .name = text, .module = frame->module };

	if (frame->kind == FRAME_PYTHON) {
		out.module = (struct str){ 0 };
		out.file = frame->module;
		out.line = (uint32_t)frame->address;
	} else {
		out.address = frame->address;
	}
	return out;
}

static void put_pprof_line(const struct writing *writing, struct pprof_writer *writer,
			   const struct flame_line *line)
{
	const struct stack_names *names = stacks_find(writing->stacks, line->key.stack);
	struct str leaf = flame_leaf(&line->key);
	struct pprof_frame frames[FLAME_STACK_MOST];
	const int64_t values[] = { (int64_t)line->sum.count, (int64_t)line->sum.ns };
	const struct pprof_label label = {
		.key = STR("state"),
		.text = str_of(render_state_name(line->key.state)),
	};
	size_t count = 0;

	if (leaf.len)
		frames[count++] = (struct pprof_frame){ .name = leaf };
	for (uint32_t i = 0; names && i < names->count && count < FLAME_STACK_MOST; i++)
		frames[count++] = pprof_frame_of(&names->frames[i], names->texts[i]);
	if (!names || names->count == 0)
		frames[count++] = (struct pprof_frame){
			.name = str_of(stacks_none_text(line->key.stack)),
		};
	pprof_writer_sample(writer, frames, count, values, &label, 1);
}

static int write_pprof(const struct writing *writing)
{
	const struct flame *flame = writing->flame;
	struct pprof_head head = {
		.time_unix_ns = flame->spans ? flame->first_unix_ns : 0,
		.duration_ns = flame->spans ? flame->last_unix_ns - flame->first_unix_ns : 0,
		.period_type = str_of(flame_state_name(flame->state)),
		.period_unit = STR("nanoseconds"),
		.period = 1,
		.comment = str_of(writing->title),
	};
	struct pprof_writer *writer = pprof_writer_new(&head);
	struct buf plain;
	int rc;

	if (!writer)
		return -ENOMEM;
	pprof_writer_type(writer, STR("events"), STR("count"));
	pprof_writer_type(writer, head.period_type, STR("nanoseconds"));
	for (size_t i = 0; i < writing->count; i++)
		put_pprof_line(writing, writer, &writing->lines[i]);
	buf_init(&plain, 0);
	rc = pprof_writer_finish(writer, &plain);
	if (rc == 0)
		rc = compress_gzip(buf_str(&plain), writing->out);
	buf_fini(&plain);
	pprof_writer_free(writer);
	return rc;
}

/* ---- speedscope: every frame once, samples root first */

static void put_samples(const struct writing *writing, struct json *json, const struct map *frames)
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

static int put_frames(const struct writing *writing, struct json *json, struct map *frames)
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

static int write_speedscope(const struct writing *writing)
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

/* ---- SVG: the stacks as a tree */

struct tree {
	struct flame_frame *frames; /* owned */
	size_t count, cap;
	struct map children; /* {parent, hash of the name} -> u32, its place */
};

struct tree_key {
	uint64_t parent;
	uint64_t hash;
};

static int tree_child(struct tree *tree, uint32_t parent, struct str name, double ns,
		      uint32_t *out_child)
{
	struct tree_key key = { parent, map_hash(name.data, name.len, 0) };
	size_t before = tree->children.count;
	uint32_t *place = map_put(&tree->children, &key);

	if (!place)
		return -ENOMEM;
	if (tree->children.count != before) {
		if (tree->count == tree->cap) {
			size_t cap = MAX((size_t)256, 2 * tree->cap);
			void *grown = reallocarray(tree->frames, cap, sizeof(*tree->frames));

			if (!grown)
				return -ENOMEM;
			tree->frames = grown;
			tree->cap = cap;
		}
		*place = (uint32_t)tree->count;
		tree->frames[tree->count++] =
			(struct flame_frame){ .name = name, .parent = parent };
	}
	tree->frames[*place].total += ns;
	*out_child = *place;
	return 0;
}

static int grow_tree(const struct writing *writing, struct tree *tree)
{
	struct str texts[FLAME_STACK_MOST];
	int rc = 0;

	for (size_t i = 0; i < writing->count && rc == 0; i++) {
		const struct flame_line *line = &writing->lines[i];
		uint32_t count = flame_texts(&line->key, writing->stacks, texts);
		uint32_t parent = FLAME_NO_PARENT;

		for (uint32_t at = 0; at < count && rc == 0; at++)
			rc = tree_child(tree, parent, texts[at], (double)line->sum.ns, &parent);
	}
	return rc;
}

static int write_svg(const struct writing *writing)
{
	struct tree tree = { 0 };
	struct flame_svg picture = { .title = writing->title, .unit = PROFILE_NS };
	int rc;

	map_init(&tree.children, sizeof(struct tree_key), sizeof(uint32_t), clock_mono_ns());
	rc = grow_tree(writing, &tree);
	picture.frames = tree.frames;
	picture.count = tree.count;
	if (rc == 0)
		rc = flame_svg_write(&picture, writing->out);
	map_fini(&tree.children);
	free(tree.frames);
	return rc;
}

/* ---- all of them */

static const struct {
	const char *name;
	const char *content_type;
	int (*write)(const struct writing *writing);
} formats[FLAME_FORMATS] = {
	[FLAME_JSON] = { "json", "application/json", write_json },
	[FLAME_COLLAPSED] = { "collapsed", "text/plain; charset=utf-8", write_collapsed },
	[FLAME_PPROF] = { "pprof", "application/octet-stream", write_pprof },
	[FLAME_SPEEDSCOPE] = { "speedscope", "application/json", write_speedscope },
	[FLAME_SVG] = { "svg", "image/svg+xml", write_svg },
};

int flame_write(const struct flame *flame, enum flame_format format, const char *title,
		struct stacks *stacks, struct buf *out)
{
	struct writing writing = { .flame = flame, .title = title, .stacks = stacks, .out = out };
	struct flame_line *lines = flame_lines(flame, &writing.count);
	int rc = -ENOMEM;

	if (!lines)
		return rc;
	writing.lines = lines;
	rc = formats[format].write(&writing);
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
