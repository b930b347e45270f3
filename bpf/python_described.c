/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/python_described.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "bpf/process_memory.h"
#include "collector/base/macros.h"

#define LARGE_BYTES (1u << 24) /* of the runtime and an interpreter's state, at most */
#define SMALL_BYTES 4096       /* of the other structures */
#define MAX_THREAD  (1u << 22) /* the kernel's PID_MAX_LIMIT */

/* In every version: 0 a cookie, 1 the version, 2 whether it has no GIL, 5 the first interpreter in
 * the runtime; then the interpreter's state. */
#define RUNTIME_INTERPRETERS 5
#define INTERPRETER          6
#define INTERPRETER_NEXT     2
#define INTERPRETER_THREADS  3

/* Within their parts, the first word of which is the structure's size. */
enum thread_word { THREAD_PREVIOUS = 1, THREAD_NEXT, THREAD_INTERPRETER, THREAD_FRAME, THREAD_ID };
enum frame_word { FRAME_PREVIOUS = 1, FRAME_CODE, FRAME_PLACE, FRAME_OWNER = 5 };
enum code_word {
	CODE_FILE = 1,
	CODE_NAME,
	CODE_QUALNAME,
	CODE_LINES,
	CODE_FIRST_LINE,
	CODE_START = 9
};
enum bytes_word { BYTES_LENGTH = 1, BYTES_VALUE, BYTES_WORDS };
enum text_word { TEXT_STATE = 1, TEXT_LENGTH, TEXT_ASCII };
#define PART_WORDS 12 /* that are looked at, at most */

struct parts {
	const uint64_t *thread, *frame, *code, *bytes, *text;
	unsigned thread_id; /* the word of `thread`; what follows it is the kernel's number */
};

static bool is_thread(const uint64_t *part)
{
	return part[0] < SMALL_BYTES && part[THREAD_PREVIOUS] == 0 && part[THREAD_NEXT] == 8 &&
	       part[THREAD_INTERPRETER] == 16 && part[THREAD_FRAME] < part[0];
}

static bool is_frame(const uint64_t *part)
{
	return part[0] <= 2 * PYTHON_FRAME_BYTES && part[FRAME_PREVIOUS] == 8 &&
	       part[FRAME_CODE] == 0 && part[FRAME_PLACE] < PYTHON_FRAME_BYTES - 8 &&
	       part[FRAME_OWNER] < PYTHON_FRAME_BYTES && part[FRAME_OWNER] < part[0];
}

static bool is_code(const uint64_t *part)
{
	return part[0] < SMALL_BYTES && part[CODE_FILE] > 0 && part[CODE_START] < part[0] &&
	       part[CODE_NAME] == part[CODE_FILE] + 8 &&
	       part[CODE_QUALNAME] == part[CODE_NAME] + 8 &&
	       part[CODE_LINES] == part[CODE_QUALNAME] + 8 && part[CODE_FIRST_LINE] < part[0] &&
	       part[CODE_LINES] < part[0];
}

/* A bytes object has its length, a hash and the bytes; a text's part follows. */
static bool is_bytes(const uint64_t *part)
{
	const uint64_t *text = part + BYTES_WORDS;

	return part[0] < SMALL_BYTES && part[BYTES_VALUE] == part[BYTES_LENGTH] + 16 &&
	       part[0] == part[BYTES_VALUE] + 8 && text[0] < SMALL_BYTES &&
	       text[TEXT_STATE] == text[TEXT_LENGTH] + 16 && text[TEXT_ASCII] > text[TEXT_STATE] &&
	       text[TEXT_ASCII] < text[0];
}

/* The next part that is one, from `*at` on; NULL: none. */
static const uint64_t *find(const uint64_t *words, unsigned *at,
			    bool (*is_one)(const uint64_t *part))
{
	for (unsigned i = *at; i + PART_WORDS <= PYTHON_DESCRIBED_WORDS; i++) {
		if (words[i] == 0 || !is_one(words + i))
			continue;
		*at = i + 1;
		return words + i;
	}
	return NULL;
}

static bool find_parts(const uint64_t *words, struct parts *parts)
{
	unsigned at = INTERPRETER + INTERPRETER_THREADS + 1;

	parts->thread = find(words, &at, is_thread);
	parts->frame = parts->thread ? find(words, &at, is_frame) : NULL;
	parts->code = parts->frame ? find(words, &at, is_code) : NULL;
	parts->bytes = parts->code ? find(words, &at, is_bytes) : NULL;
	parts->text = parts->bytes ? parts->bytes + BYTES_WORDS : NULL;
	parts->thread_id = THREAD_ID;
	return parts->bytes && words[RUNTIME_INTERPRETERS] < LARGE_BYTES &&
	       words[INTERPRETER + INTERPRETER_NEXT] < LARGE_BYTES &&
	       words[INTERPRETER + INTERPRETER_THREADS] < LARGE_BYTES;
}

/* ---- the thread's id: 3.15 put other things before it */

static uint64_t read_pointer(int memory_fd, uint64_t address)
{
	uint64_t value = 0;

	process_memory_read(memory_fd, address, &value, sizeof(value));
	return value;
}

/* A pointer, and behind it what the kernel calls the thread. */
static bool has_id_at(int memory_fd, uint64_t state, const uint64_t *thread, unsigned word)
{
	uint64_t pointer, number;

	if (thread[word] >= thread[0] || thread[word + 1] != thread[word] + 8)
		return false;
	pointer = read_pointer(memory_fd, state + thread[word]);
	number = read_pointer(memory_fd, state + thread[word + 1]);
	return pointer > UINT32_MAX && pointer >> 47 == 0 && number > 0 && number < MAX_THREAD;
}

static bool find_thread_id(const uint64_t *words, uint64_t runtime, int memory_fd,
			   struct parts *parts)
{
	uint64_t interpreter = read_pointer(memory_fd, runtime + words[RUNTIME_INTERPRETERS]);
	uint64_t state =
		interpreter ? read_pointer(memory_fd,
					   interpreter + words[INTERPRETER + INTERPRETER_THREADS])
			    : 0;

	for (unsigned word = THREAD_ID; state && word + 1 < PART_WORDS; word++) {
		if (!has_id_at(memory_fd, state, parts->thread, word))
			continue;
		parts->thread_id = word;
		return true;
	}
	return false;
}

/* ---- */

int python_described_read(const uint64_t words[static PYTHON_DESCRIBED_WORDS], uint64_t runtime,
			  int memory_fd, struct python_layout *out_layout)
{
	struct parts parts;
	uint64_t last;

	if (!find_parts(words, &parts))
		return -ENOTSUP;
	if ((uint32_t)words[1] >> 16 > 0x030e && !find_thread_id(words, runtime, memory_fd, &parts))
		return -ENOTSUP;
	if (parts.thread[parts.thread_id] >= parts.thread[0])
		return -ENOTSUP;
	last = MAX(parts.frame[FRAME_PLACE], parts.frame[FRAME_OWNER]);
	out_layout->kernel = (struct python_process){
		.interpreters = runtime + words[RUNTIME_INTERPRETERS],
		.interpreter_next = (uint32_t)words[INTERPRETER + INTERPRETER_NEXT],
		.interpreter_threads = (uint32_t)words[INTERPRETER + INTERPRETER_THREADS],
		.thread_next = (uint16_t)parts.thread[THREAD_NEXT],
		.thread_id = (uint16_t)parts.thread[parts.thread_id],
		.thread_frame = (uint16_t)parts.thread[THREAD_FRAME],
		.indirect_frame = PYTHON_DIRECT,
		.frame_previous = (uint16_t)parts.frame[FRAME_PREVIOUS],
		.frame_code = (uint16_t)parts.frame[FRAME_CODE],
		.frame_place = (uint16_t)parts.frame[FRAME_PLACE],
		.frame_mark = (uint16_t)parts.frame[FRAME_OWNER],
		.frame_bytes = (uint16_t)MIN(last + 8, (uint64_t)PYTHON_FRAME_BYTES - 1),
		.code_start = (uint16_t)parts.code[CODE_START],
		.form = PYTHON_SHIMS,
	};
	out_layout->code_filename = (uint16_t)parts.code[CODE_FILE];
	out_layout->code_name = (uint16_t)parts.code[CODE_NAME];
	out_layout->code_qualname = (uint16_t)parts.code[CODE_QUALNAME];
	out_layout->code_lines = (uint16_t)parts.code[CODE_LINES];
	out_layout->code_first_line = (uint16_t)parts.code[CODE_FIRST_LINE];
	out_layout->bytes_length = (uint16_t)parts.bytes[BYTES_LENGTH];
	out_layout->bytes_value = (uint16_t)parts.bytes[BYTES_VALUE];
	out_layout->text_state = (uint16_t)parts.text[TEXT_STATE];
	out_layout->text_length = (uint16_t)parts.text[TEXT_LENGTH];
	out_layout->text_ascii = (uint16_t)parts.text[TEXT_ASCII];
	out_layout->text_compact = (uint16_t)(parts.text[TEXT_ASCII] + 16);
	out_layout->lines = PYTHON_LINES_LOCATIONS;
	return 0;
}
