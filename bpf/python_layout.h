/* SPDX-License-Identifier: Apache-2.0 */
/* Where CPython of each version keeps what a stack needs: 3.7 to 3.12 by a table of ours, later
 * ones as the interpreter itself describes it (python_described.h). 64-bit builds.
 *
 * The interpreter is known by its symbol _PyRuntime, its version by what the runtime or the symbol
 * Py_Version says, before 3.11 by the file's name. Whatever is read is hostile: an offset beyond
 * its structure is refused. Errors: -ENOENT no interpreter; -ENOTSUP one that we do not know. */
#pragma once

#include <stdint.h>

#include "bpf/python.h"
#include "bpf/symbol_sections.h"

#define PYTHON_MODULE_BYTES 256

/* In a file: its own addresses. */
struct python_symbols {
	uint64_t runtime; /* _PyRuntime; 0: this is no interpreter */
	uint64_t version; /* Py_Version; 0: it has none */
};

/* In a process. */
struct python_place {
	uint64_t runtime;                 /* 0: it has no interpreter */
	uint64_t version;                 /* 0: there is none */
	char module[PYTHON_MODULE_BYTES]; /* path of the file that it is in */
};

enum python_lines {
	PYTHON_LINES_LNOTAB = 0,    /* up to 3.9: deltas of bytes and lines */
	PYTHON_LINES_RANGES = 1,    /* 3.10: ranges */
	PYTHON_LINES_LOCATIONS = 2, /* from 3.11 on: PEP 657 */
};

struct python_layout {
	struct python_process kernel; /* its half */
	uint32_t version;             /* 0x030b for 3.11 */
	uint16_t code_filename, code_name;
	uint16_t code_qualname; /* 0: there is none */
	uint16_t code_first_line, code_lines;
	uint16_t text_length, text_state;
	uint16_t text_ascii, text_compact; /* where the characters begin */
	uint16_t bytes_length, bytes_value;
	uint8_t lines; /* enum python_lines */
	char module[PYTHON_MODULE_BYTES];
};

/* Of a file. -ENOENT: no interpreter. */
int python_symbols_find(const struct sections *sections, struct python_symbols *out_symbols);

/* `memory_fd`: /proc/PID/mem. */
int python_layout_read(int memory_fd, const struct python_place *place,
		       struct python_layout *out_layout);

/* 0x030b of ".../python3.11" or "libpython3.11.so.1.0"; 0: the name does not tell. */
uint32_t python_layout_version_of(const char *path);
