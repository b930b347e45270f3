/* SPDX-License-Identifier: Apache-2.0 */
/* What each file said, so that it is read once and not once per process.
 *
 * A file is known by device, inode, time of change and size. Most files say nothing: that is
 * remembered too. Bounded; the least recently asked goes first. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/elf_tls.h"

struct elf_cache;

int elf_cache_new(uint32_t max_files, struct elf_cache **out_cache);
void elf_cache_free(struct elf_cache *cache);

/* Reads the file or remembers it. 0, and `*out_tls` is NULL when the file has nothing to say; it is
 * borrowed until the next call. A file that could not be read or is damaged: its error, remembered
 * as well. */
int elf_cache_get(struct elf_cache *cache, int fd, const struct elf_tls **out_tls);

/* As elf_cache_get, of a file that was read before, of which `fd` need only tell which one it is
 * (O_PATH). false: it was not. */
bool elf_cache_knows(struct elf_cache *cache, int fd, int *out_rc, const struct elf_tls **out_tls);

/* Files found damaged or beyond a limit. */
uint32_t elf_cache_refused(const struct elf_cache *cache);
size_t elf_cache_bytes(const struct elf_cache *cache);
