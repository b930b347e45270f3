/* SPDX-License-Identifier: Apache-2.0 */
/* Where thread-local variables lie: the arithmetic of loaders and C libraries on x86-64, where the
 * static blocks end at the thread pointer TP. No I/O.
 *
 * Errors: -EAGAIN the words do not look relocated (yet); -EBADMSG the file cannot be right. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bpf/elf_tls.h"
#include "bpf/tag.h"

#define TLS_LAYOUT_MAX_STATIC ((int64_t)16 << 20)
#define TLS_LAYOUT_MAX_MODULE 4096u

/* What stands in a slot of a running process. */
struct tls_words {
	uint64_t slot[2];
	bool has_pointed; /* slot[1] points to readable memory: */
	uint64_t pointed[3];
};

/* A variable of the program itself ("local exec"): known from the file alone. */
int tls_layout_program(const struct elf_tls *tls, struct tag_variable *out_variable);

/* Go's g. -ENOTSUP: other thread-local storage lies beside it, and no symbol tells. */
int tls_layout_go(const struct elf_tls *tls, struct tag_variable *out_variable);

/* A variable of a library, by one relocated slot. `libc` names the DTV's form. */
int tls_layout_slot(const struct elf_tls *tls, const struct elf_slot *slot, enum elf_libc libc,
		    const struct tls_words *words, struct tag_variable *out_variable);

/* A variable of the library that is TLS module `module`. -ENOTSUP: no known libc. */
int tls_layout_module(const struct elf_tls *tls, uint64_t module, uint64_t generation,
		      enum elf_libc libc, struct tag_variable *out_variable);

/* A variable of a library whose block lies at TP + `block`. */
int tls_layout_static(const struct elf_tls *tls, int64_t block, struct tag_variable *out_variable);
