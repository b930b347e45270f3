/* SPDX-License-Identifier: Apache-2.0 */
/* What a Go program tells about itself: which Go made it, whether it makes spans, and whether it
 * can put labels on goroutines. Survives stripping, but not the loss of section headers.
 *
 * Errors: -ENOMEM, -EIO. A file that is no Go program, or whose sections are damaged, is no error.
 */
#pragma once

#include "bpf/elf_file.h"
#include "bpf/tag.h"

struct elf_go {
	char version[16]; /* "go1.26.8"; empty: no Go program */
	bool makes_spans; /* is built with a module that does */
	bool can_label;   /* runtime/pprof's setter of labels is linked in */
};

int elf_go_read(struct elf_file *file, struct elf_go *out_go);

/* Where that Go keeps things. -ENOTSUP: a version that is not known. */
int elf_go_layout(const char *version, struct tag_go *out_layout);
