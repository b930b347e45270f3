/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/tls_link_map.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stddef.h>

#include "bpf/process_memory.h"

#define MAX_OBJECTS      4096
#define MAX_FIELD_OFFSET 65536
#define FIELD_BITS       64

/* The address of the program's struct r_debug, which the loader left in its PT_DYNAMIC. */
static int find_debug(int memory_fd, const struct tls_image *program, uint64_t *out_address)
{
	uint64_t at = program->bias + program->tls->dynamic.vaddr;

	for (int i = 0; i < ELF_MAX_DYNAMIC; i++) {
		Elf64_Dyn entry;
		int rc = process_memory_read(memory_fd, at + (uint64_t)i * sizeof(entry), &entry,
					     sizeof(entry));

		if (rc < 0 || entry.d_tag == DT_NULL)
			return -ENOENT;
		if (entry.d_tag == DT_DEBUG) {
			*out_address = entry.d_un.d_ptr;
			return entry.d_un.d_ptr ? 0 : -ENOENT;
		}
	}
	return -ENOENT;
}

/* libc's description of a field: {bits, elements, offset}. */
static int read_field(int memory_fd, const struct tls_image *libc, uint64_t description,
		      uint64_t object, uint64_t *out_value)
{
	uint32_t field[3];
	int rc = process_memory_read(memory_fd, libc->bias + description, field, sizeof(field));

	if (rc < 0 || field[0] != FIELD_BITS || field[2] > MAX_FIELD_OFFSET)
		return -ENOENT;
	rc = process_memory_read(memory_fd, object + field[2], out_value, sizeof(*out_value));
	return rc < 0 ? -ENOENT : 0;
}

static int read_object(int memory_fd, const struct tls_image *libc, uint64_t object,
		       struct tls_link_map *out_link_map)
{
	uint64_t module = 0, offset = 0;
	int rc = read_field(memory_fd, libc, libc->tls->link_map_modid, object, &module);

	if (rc == 0)
		rc = read_field(memory_fd, libc, libc->tls->link_map_offset, object, &offset);
	if (rc < 0)
		return rc;
	out_link_map->module = module;
	/* 0: not decided yet; -1: it will never be static. */
	out_link_map->block = offset == 0 || offset == UINT64_MAX ? 0 : -(int64_t)offset;
	return 0;
}

int tls_link_map_find(int memory_fd, const struct tls_image *program, const struct tls_image *libc,
		      const struct tls_image *library, struct tls_link_map *out_link_map)
{
	uint64_t debug, object = 0;
	int rc;

	if (!program->tls || !libc->tls || !libc->tls->link_map_modid ||
	    !libc->tls->link_map_offset)
		return -ENOENT;
	rc = find_debug(memory_fd, program, &debug);
	if (rc == 0)
		rc = process_memory_read(memory_fd, debug + offsetof(struct r_debug, r_map),
					 &object, sizeof(object));
	for (int i = 0; rc == 0 && object != 0 && i < MAX_OBJECTS; i++) {
		struct link_map link;

		rc = process_memory_read(memory_fd, object, &link, sizeof(link));
		if (rc == 0 && link.l_addr == library->bias &&
		    (uint64_t)(uintptr_t)link.l_ld == library->bias + library->tls->dynamic.vaddr)
			return read_object(memory_fd, libc, object, out_link_map);
		object = (uint64_t)(uintptr_t)link.l_next;
	}
	return -ENOENT;
}
