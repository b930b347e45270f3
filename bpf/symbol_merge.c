/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/symbol_merge.h"

#include <string.h>

#include "collector/base/macros.h"

void symbol_merge_init(struct symbol_merge *merge)
{
	buf_init(&merge->encoded, 0);
	symbol_merge_clear(merge);
}

void symbol_merge_fini(struct symbol_merge *merge)
{
	buf_fini(&merge->encoded);
}

void symbol_merge_clear(struct symbol_merge *merge)
{
	buf_clear(&merge->encoded);
	merge->native_count = 0;
	merge->python_count = 0;
}

static bool begins_with_one(struct str text, const char *const *prefixes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t bytes = strlen(prefixes[i]);

		if (text.len >= bytes && memcmp(text.data, prefixes[i], bytes) == 0)
			return true;
	}
	return false;
}

/* 3.14 may run each instruction as a function of its own, all in one C frame. */
static bool is_call(struct str name)
{
	static const char *const prefixes[] = { "_PyEval_EvalFrameDefault", "_TAIL_CALL_" };

	return begins_with_one(name, prefixes, ARRAY_LEN(prefixes));
}

/* How one Python function comes to call another; of a stripped interpreter such have no name. */
static bool is_plumbing(const struct frame *frame)
{
	static const char *const prefixes[] = {
		"_Py",          "Py",         "call_function", "cfunction_",    "context_run",
		"do_call_core", "function_",  "gen_",          "method_",       "object_",
		"pymain_",      "pyrun_",     "pythread_",     "run_eval_code", "run_mod",
		"slot_",        "thread_run", "t_bootstrap",   "type_call",     "vectorcall_",
		"wrap_",        "coro_",      "builtin_eval",  "builtin_exec",  "import_",
	};

	return frame->name.len == 0 || begins_with_one(frame->name, prefixes, ARRAY_LEN(prefixes));
}

/* With -X perf each function has a native frame that only says again what ours does. */
static bool is_trampoline(const struct frame *frame)
{
	static const char *const prefixes[] = { "py::" };

	return frame->kind == FRAME_JIT && begins_with_one(frame->name, prefixes, 1);
}

void symbol_merge_native(struct symbol_merge *merge, size_t offset, const struct frame *frame,
			 const char *interpreter)
{
	struct merge_piece *piece = &merge->native[merge->native_count];

	if (merge->native_count == ARRAY_LEN(merge->native))
		return;
	*piece = (struct merge_piece){
		.offset = (uint32_t)offset,
		.bytes = (uint32_t)(merge->encoded.len - offset),
	};
	if (interpreter && frame->kind == FRAME_NATIVE &&
	    str_eq(frame->module, str_of(interpreter))) {
		piece->is_call = is_call(frame->name);
		piece->is_plumbing = is_plumbing(frame);
	} else if (interpreter) {
		piece->is_plumbing = is_trampoline(frame);
	}
	merge->native_count++;
}

void symbol_merge_python(struct symbol_merge *merge, size_t offset, bool is_entry)
{
	if (merge->python_count < ARRAY_LEN(merge->python))
		merge->python[merge->python_count++] = (struct merge_piece){
			.offset = (uint32_t)offset,
			.bytes = (uint32_t)(merge->encoded.len - offset),
			.is_call = is_entry,
		};
}

static void put_piece(const struct symbol_merge *merge, const struct merge_piece *piece,
		      struct buf *out)
{
	buf_append(out, merge->encoded.data + piece->offset, piece->bytes);
}

/* The Python frames of one call, or all that are left; returns where the next begin. */
static uint32_t put_python(const struct symbol_merge *merge, uint32_t at, bool all, struct buf *out)
{
	while (at < merge->python_count) {
		const struct merge_piece *piece = &merge->python[at++];

		put_piece(merge, piece, out);
		if (piece->is_call && !all)
			break;
	}
	return at;
}

/* Where no call is to be seen (a walk that ended early, or a stripped interpreter): the place of
 * its innermost frame. */
static uint32_t last_call(const struct symbol_merge *merge)
{
	uint32_t last = merge->native_count;

	for (uint32_t i = 0; i < merge->native_count; i++)
		if (merge->native[i].is_call)
			last = i;
	for (uint32_t i = 0; i < merge->native_count && last == merge->native_count; i++)
		if (merge->native[i].is_plumbing)
			last = i;
	return last;
}

void symbol_merge_put(const struct symbol_merge *merge, struct buf *out)
{
	uint32_t last = last_call(merge), python = 0;
	bool is_inside = false; /* a call of the interpreter was met */

	for (uint32_t i = 0; i < merge->native_count; i++) {
		const struct merge_piece *piece = &merge->native[i];

		if (python < merge->python_count && (piece->is_call || i == last)) {
			python = put_python(merge, python, i == last, out);
			is_inside = true;
			continue;
		}
		/* in 3.14 several pieces of one call may follow each other */
		if (is_inside && (piece->is_plumbing || piece->is_call))
			continue;
		put_piece(merge, piece, out);
	}
	put_python(merge, python, true, out);
}
