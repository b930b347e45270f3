/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Appends the Python frames of the current thread to its stack (python.h).
 *
 * All of it is user memory and may change while it is read, or lie: every loop has a bound, and
 * what cannot be read ends it. */
#pragma once

#include "bpf/python.h"
#include "bpf/unwind.bpf.h"

/* pid -> where its interpreter keeps things. Full: its stacks show the interpreter's own frames. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, UNWIND_PROCESSES);
	__type(key, __u32);
	__type(value, struct python_process);
} python_processes SEC(".maps");

/* The newest 128 threads are looked through; a thread found is remembered, one that was not is
 * looked for again a second later. */
#define PYTHON_SEARCH_STEPS 128
#define PYTHON_SEARCH_NS    1000000000ull

/* A walk in progress, one for each CPU as unwind_walk. */
struct python_walk {
	struct python_process at;
	__u64 thread_pointer;
	__u64 interpreter, state, frame;
	__u64 print;                         /* of python_print */
	__u64 words[PYTHON_FRAME_BYTES / 8]; /* the frame itself */
	__u32 last;                          /* place of the last one appended */
	__u32 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct python_walk);
} python_scratch SEC(".maps");

static __always_inline struct python_walk *python_walk_scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&python_scratch, &zero);
}

/* 0: none, or not readable. */
static __always_inline __u64 python_pointer(__u64 address)
{
	__u64 value = 0;

	return bpf_probe_read_user(&value, sizeof(value), (void *)address) ? 0 : value;
}

/* Is this the next thread state's thread? 1 ends the search; `state` 0: in vain. */
__noinline int python_search_step(void)
{
	struct python_walk *walk = python_walk_scratch();

	if (!walk)
		return 1;
	if (walk->state) {
		if (python_pointer(walk->state + walk->at.thread_id) == walk->thread_pointer)
			return 1;
		walk->state = python_pointer(walk->state + walk->at.thread_next);
		if (walk->state)
			return 0;
	}
	walk->interpreter = walk->interpreter
				    ? python_pointer(walk->interpreter + walk->at.interpreter_next)
				    : python_pointer(walk->at.interpreters);
	if (!walk->interpreter)
		return 1;
	walk->state = python_pointer(walk->interpreter + walk->at.interpreter_threads);
	return 0;
}

/* `hint`: the thread's state when it was last found; odd: when it was last looked for in vain. */
static __always_inline bool python_find_state(struct python_walk *walk, __u64 *hint)
{
	__u64 now_ns = bpf_ktime_get_ns();

	walk->state = *hint;
	if (*hint & 1 && *hint + PYTHON_SEARCH_NS > now_ns)
		return false;
	if (*hint && !(*hint & 1) &&
	    python_pointer(*hint + walk->at.thread_id) == walk->thread_pointer)
		return true;
	walk->interpreter = 0;
	walk->state = 0;
	for (__u32 step = 0; step < PYTHON_SEARCH_STEPS; step++)
		if (python_search_step())
			break;
	if (walk->state && python_pointer(walk->state + walk->at.thread_id) != walk->thread_pointer)
		walk->state = 0;
	*hint = walk->state ? walk->state : now_ns | 1;
	return walk->state != 0;
}

static __always_inline __u64 python_word(const struct python_walk *walk, __u16 offset)
{
	return walk->words[(offset / 8) & (PYTHON_FRAME_BYTES / 8 - 1)];
}

/* Where in its code the frame stands. */
static __always_inline __u64 python_place(const struct python_walk *walk, __u64 code)
{
	__u64 word = python_word(walk, walk->at.frame_place);
	__u64 place;

	if (walk->at.form == PYTHON_OBJECTS) /* a 32-bit number; -1: not begun */
		place = (__u32)(walk->at.frame_place & 4 ? word >> 32 : word) >>
			walk->at.place_shift;
	else
		place = (word - code - walk->at.code_start) >> 1;
	return place < PYTHON_PLACE_MASK ? place : PYTHON_PLACE_MASK;
}

static __always_inline void python_append(struct python_walk *walk, struct event_stack *stack,
					  bool is_entry)
{
	__u64 code = python_word(walk, walk->at.frame_code) & ~7ull; /* 3.14 tags pointers */
	__u32 count = stack->count;

	if (!code || code >> 47 || count >= EVENT_MAX_FRAMES)
		return;
	stack->addresses[count] = PYTHON_WORD | code >> 3 << PYTHON_CODE_SHIFT |
				  (is_entry ? PYTHON_ENTRY : 0) | python_place(walk, code);
	walk->last = count;
	walk->count++;
	stack->count = count + 1;
}

/* One frame; 1 ends the walk. */
__noinline int python_step(void)
{
	struct unwind_walk *native = unwind_scratch();
	struct python_walk *walk = python_walk_scratch();
	__u32 bytes = walk ? walk->at.frame_bytes & (PYTHON_FRAME_BYTES - 1) : 0;

	if (!walk || !native || !walk->frame ||
	    bpf_probe_read_user(walk->words, bytes, (void *)walk->frame))
		return 1;
	__u16 mark_at = walk->at.frame_mark;
	__u8 mark = (__u8)(python_word(walk, mark_at) >> (mark_at & 7) * 8);
	bool is_shim = walk->at.form == PYTHON_SHIMS && mark >= PYTHON_OWNER_SHIM;
	__u32 last = walk->last;

	if (!is_shim)
		python_append(walk, &native->stack,
			      walk->at.form == PYTHON_OBJECTS ||
				      (walk->at.form == PYTHON_ENTRIES && mark));
	else if (walk->count && last < EVENT_MAX_FRAMES)
		native->stack.addresses[last] |= PYTHON_ENTRY;
	walk->frame = python_word(walk, walk->at.frame_previous);
	return 0;
}

/* `hint`: the thread's own, 0 at first. */
static __always_inline void python_stack(struct task_struct *task, __u32 pid, __u64 *hint)
{
	struct python_process *process = bpf_map_lookup_elem(&python_processes, &pid);
	struct python_walk *walk = process ? python_walk_scratch() : 0;

	if (!walk)
		return;
	walk->at = *process;
	walk->thread_pointer = task_thread_pointer(task);
	walk->count = 0;
	if (!python_find_state(walk, hint))
		return;
	walk->frame = python_pointer(walk->state + walk->at.thread_frame);
	if (walk->frame && walk->at.indirect_frame != PYTHON_DIRECT)
		walk->frame = python_pointer(walk->frame + walk->at.indirect_frame);
	for (__u32 step = 0; step < PYTHON_MAX_FRAMES; step++)
		if (python_step())
			break;
}

/* Of a thread's innermost frame and its caller, which move without a change of the native stack:
 * what tells them from others. `hint`: as above; 0: it runs no Python, or none that was found yet.
 */
__noinline int python_print(__u32 pid, __u64 hint)
{
	struct python_process *process =
		hint && !(hint & 1) ? bpf_map_lookup_elem(&python_processes, &pid) : 0;
	struct python_walk *walk = process ? python_walk_scratch() : 0;
	__u64 frame, above;

	if (!walk)
		return 0;
	frame = python_pointer(hint + process->thread_frame);
	if (process->indirect_frame != PYTHON_DIRECT)
		frame = python_pointer(frame + process->indirect_frame);
	above = python_pointer(frame + process->frame_previous);
	walk->print = frame ^ python_pointer(frame + process->frame_code) << 1 ^
		      python_pointer(frame + process->frame_place) << 3 ^
		      python_pointer(above + process->frame_code) << 5 ^
		      python_pointer(above + process->frame_place) << 7;
	return 1;
}

static __always_inline void python_inherit(__u32 parent_pid, __u32 child_pid)
{
	struct python_process *process = bpf_map_lookup_elem(&python_processes, &parent_pid);

	if (process)
		bpf_map_update_elem(&python_processes, &child_pid, process, BPF_ANY);
}
