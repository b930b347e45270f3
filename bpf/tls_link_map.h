/* SPDX-License-Identifier: Apache-2.0 */
/* Asks glibc's own list of loaded objects where a library's TLS block is: for a library without any
 * TLS relocation.
 *
 * The list is public (r_debug), the two fields are not, but libc exports their place for
 * libthread_db. Errors: -ENOENT not in the list, or no such list. */
#pragma once

#include <stdint.h>

#include "bpf/elf_tls.h"

/* An image in a process: its file, and what was added to its addresses. */
struct tls_image {
	const struct elf_tls *tls;
	uint64_t bias;
};

struct tls_link_map {
	uint64_t module;
	int64_t block; /* from TP; 0: not in the static area */
};

int tls_link_map_find(int memory_fd, const struct tls_image *program, const struct tls_image *libc,
		      const struct tls_image *library, struct tls_link_map *out_link_map);
