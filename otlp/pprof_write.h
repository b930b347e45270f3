/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a pprof profile (perftools.profiles.Profile), uncompressed; compress_gzip makes of it what
 * `go tool pprof` and everybody else expects.
 *
 * Samples are written as they come: give each distinct (stack, labels) once, already summed.
 * Functions are told apart by name and file. Memory: the distinct strings and functions, and the
 * output.
 *
 *   pprof_writer_new -> pprof_writer_type ... -> pprof_writer_sample ... -> pprof_writer_finish ->
 * free
 *
 * The first failure sticks and pprof_writer_finish returns it. Not thread safe. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

#define PPROF_WRITE_MAX_TYPES  16
#define PPROF_WRITE_MAX_FRAMES 4096 /* of one stack; the root's side is cut beyond it */

struct pprof_writer;

struct pprof_head {
	uint64_t time_unix_ns; /* of the start; 0: not known */
	uint64_t duration_ns;
	struct str period_type;  /* "cpu" */
	struct str period_unit;  /* "nanoseconds" */
	int64_t period;          /* 0: not sampled by a period */
	struct str default_type; /* the type shown first; empty: the last */
	struct str comment;
	struct str binary; /* the program's own file, whose mapping comes first; empty: any */
};

struct pprof_frame {
	struct str name;
	struct str file;   /* may be empty */
	uint32_t line;     /* 0: not known */
	struct str module; /* the mapping's file; empty: none. Kernel: "[kernel.kallsyms]" */
	uint64_t address;  /* 0: not known */
	struct str
		type; /* "native", "kernel": OTLP's profile.frame.type; pprof has no place for it */
};

/* `text` or, when it is empty, `number` with `unit`. */
struct pprof_label {
	struct str key;
	struct str text;
	int64_t number;
	struct str unit;
};

/* `head` is borrowed for this call. NULL: out of memory. */
struct pprof_writer *pprof_writer_new(const struct pprof_head *head);
void pprof_writer_free(struct pprof_writer *writer);

/* What the next value of each sample is: "cpu", "nanoseconds". Before the first sample. */
void pprof_writer_type(struct pprof_writer *writer, struct str type, struct str unit);

/* `frames` leaf first; as many `values` as types. */
void pprof_writer_sample(struct pprof_writer *writer, const struct pprof_frame *frames,
			 size_t frame_count, const int64_t *values,
			 const struct pprof_label *labels, size_t label_count);

/* Appends the profile. -ENOMEM; -EINVAL: a value count without types, or too many types. */
int pprof_writer_finish(struct pprof_writer *writer, struct buf *out);
