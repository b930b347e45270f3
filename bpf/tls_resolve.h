/* SPDX-License-Identifier: Apache-2.0 */
/* Where one image of a running process keeps its variable: file and memory put together.
 *
 * Errors: -EAGAIN nothing is relocated (yet), ask again later; -ENOTSUP there is no way to tell;
 * -EBADMSG the file is damaged. */
#pragma once

#include "bpf/elf_tls.h"
#include "bpf/tag.h"
#include "bpf/tls_link_map.h"

#define TLS_FORM_BYTES 64

struct tls_process {
	int memory_fd;            /* borrowed */
	struct tls_image program; /* tls NULL: not known */
	struct tls_image libc;    /* tls NULL: a static program */
};

/* `out_form` gets "TLSDESC, static, TP-152" and the like. */
int tls_resolve(const struct tls_process *process, const struct tls_image *image,
		struct tag_variable *out_variable, char out_form[static TLS_FORM_BYTES]);
