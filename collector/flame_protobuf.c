/* SPDX-License-Identifier: Apache-2.0 */
/* A flame graph in the formats of otlp/: pprof, and OTLP profiles. */
#include <errno.h>
#include <stdlib.h>

#include "collector/base/compress.h"
#include "collector/base/macros.h"
#include "collector/flame_sum.h"
#include "collector/render.h"
#include "otlp/otlp_profiles_write.h"
#include "otlp/pprof_write.h"

/* ---- frames */

static struct pprof_frame frame_of(const struct frame *frame, struct str text)
{
	static const char *const types[] = {
		[FRAME_NATIVE] = "native",
		[FRAME_KERNEL] = "kernel",
		[FRAME_PYTHON] = "cpython",
	};
	struct pprof_frame out = { .name = text, .module = frame->module };

	if (frame->kind < ARRAY_LEN(types) && types[frame->kind])
		out.type = str_of(types[frame->kind]);
	if (frame->kind == FRAME_PYTHON) {
		out.module = (struct str){ 0 };
		out.file = frame->module;
		out.line = (uint32_t)frame->address;
	} else {
		out.address = frame->address;
	}
	return out;
}

/* Leaf first, with what stands for a stack that is not there; returns their number. */
static size_t frames_of(const struct flame_writing *writing, const struct flame_key *key,
			struct pprof_frame frames[static FLAME_STACK_MOST])
{
	const struct stack_names *names = stacks_find(writing->stacks, key->stack);
	struct str leaf = flame_leaf(key);
	size_t count = 0;

	if (leaf.len)
		frames[count++] = (struct pprof_frame){ .name = leaf };
	for (uint32_t i = 0; names && i < names->count && count < FLAME_STACK_MOST; i++)
		frames[count++] = frame_of(&names->frames[i]->frame, names->frames[i]->text);
	if ((!names || names->count == 0) &&
	    (key->state == STATE_RUNNING || key->state == STATE_BLOCKED))
		frames[count++] = (struct pprof_frame){
			.name = str_of(stacks_none_text(writing->stacks, key->stack)),
		};
	return count;
}

/* ---- pprof */

static void put_pprof_line(const struct flame_writing *writing, struct pprof_writer *writer,
			   const struct flame_line *line)
{
	struct pprof_frame frames[FLAME_STACK_MOST];
	const int64_t values[] = { (int64_t)line->sum.count, (int64_t)line->sum.ns };
	const struct pprof_label label = {
		.key = STR("state"),
		.text = str_of(render_state_name(line->key.state)),
	};
	size_t count = frames_of(writing, &line->key, frames);

	pprof_writer_sample(writer, frames, count, values, &label, 1);
}

/* The file that the program begins in: of the first stack that reaches so far. */
static struct str binary_of(const struct flame_writing *writing)
{
	for (size_t i = 0; i < writing->count; i++) {
		const struct stack_names *names =
			stacks_find(writing->stacks, writing->lines[i].key.stack);
		const struct frame *last =
			names && names->count ? &names->frames[names->count - 1]->frame : NULL;

		if (last && last->kind == FRAME_NATIVE && str_eq(last->name, STR("_start")))
			return last->module;
	}
	return (struct str){ 0 };
}

int flame_write_pprof(struct flame_writing *writing)
{
	const struct flame *flame = writing->flame;
	struct pprof_head head = {
		.time_unix_ns = flame->spans ? flame->first_unix_ns : 0,
		.duration_ns = flame->spans ? flame->last_unix_ns - flame->first_unix_ns : 0,
		.period_type = str_of(flame_state_name(flame->state)),
		.period_unit = STR("nanoseconds"),
		.period = 1,
		.comment = str_of(writing->title),
		.binary = binary_of(writing),
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

/* ---- OTLP profiles: a service is a resource, a state a profile, a span a link */

static const struct state_type {
	const char *type;
} state_types[] = {
	[STATE_RUNNING] = { "cpu" },          [STATE_RUNNABLE] = { "runqueue" },
	[STATE_BLOCKED] = { "off_cpu" },      [STATE_ELSEWHERE] = { "elsewhere" },
	[STATE_UNKNOWN] = { "not_observed" },
};

static const char *service_of(const struct flame_writing *writing, const struct flame_line *line)
{
	const struct flame *flame = writing->flame;

	return line->key.link ? flame->services.data + flame->links[line->key.link - 1].service
			      : "unknown_service";
}

/* Equal services are one text of the flame's: their addresses will do. */
static int by_service_and_state(const void *a, const void *b, void *arg)
{
	const struct flame_line *x = a, *y = b;
	const char *left = service_of(arg, x), *right = service_of(arg, y);

	if (left != right)
		return left < right ? -1 : 1;
	if (x->key.state != y->key.state)
		return x->key.state < y->key.state ? -1 : 1;
	return 0;
}

static void put_otlp_line(const struct flame_writing *writing, struct otlp_profiles_writer *writer,
			  const struct flame_line *line)
{
	const struct flame_link *link =
		line->key.link ? &writing->flame->links[line->key.link - 1] : NULL;
	struct pprof_frame frames[FLAME_STACK_MOST];
	struct otlp_profiles_sample sample = {
		.frames = frames,
		.frame_count = frames_of(writing, &line->key, frames),
		.value = (int64_t)line->sum.ns,
		.trace_id = link ? link->trace_id : NULL,
		.span_id = link ? link->span_id : NULL,
	};

	if (line->key.state == STATE_BLOCKED) {
		sample.key = STR("spanwise.wait.reason");
		sample.text = str_of(ledger_reason_name(line->key.detail));
	}
	otlp_profiles_writer_sample(writer, &sample);
}

static void put_otlp_profile(const struct flame_writing *writing,
			     struct otlp_profiles_writer *writer, uint32_t state)
{
	const struct flame *flame = writing->flame;

	otlp_profiles_writer_profile(
		writer, &(struct otlp_profiles_type){
				.type = str_of(state_types[state].type),
				.unit = STR("nanoseconds"),
				.time_unix_ns = flame->first_unix_ns,
				.duration_ns = flame->last_unix_ns - flame->first_unix_ns,
			});
}

int flame_write_otlp(struct flame_writing *writing)
{
	struct otlp_profiles_writer *writer =
		otlp_profiles_writer_new(STR("spanwise"), STR(SPANWISE_VERSION));
	const struct flame_line *lines = writing->lines;
	const char *service = NULL;
	int rc;

	if (!writer)
		return -ENOMEM;
	if (writing->count)
		qsort_r(writing->lines, writing->count, sizeof(*lines), by_service_and_state,
			writing);
	for (size_t i = 0; i < writing->count; i++) {
		bool is_new = service != service_of(writing, &lines[i]);

		service = service_of(writing, &lines[i]);
		if (is_new)
			otlp_profiles_writer_service(writer, str_of(service));
		if (is_new || lines[i].key.state != lines[i - 1].key.state)
			put_otlp_profile(writing, writer, lines[i].key.state);
		put_otlp_line(writing, writer, &lines[i]);
	}
	rc = otlp_profiles_writer_finish(writer, writing->out);
	otlp_profiles_writer_free(writer);
	return rc;
}
