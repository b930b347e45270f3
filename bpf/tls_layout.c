/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/tls_layout.h"

#include <errno.h>

int tls_layout_static(const struct elf_tls *tls, int64_t block, struct tag_variable *out_variable)
{
	int64_t offset;

	if (block >= 0 || block < -TLS_LAYOUT_MAX_STATIC ||
	    tls->variable_offset >= (uint64_t)TLS_LAYOUT_MAX_STATIC)
		return -EAGAIN;
	offset = block + (int64_t)tls->variable_offset;
	if (offset >= 0)
		return -EAGAIN;
	*out_variable = (struct tag_variable){ .access = TAG_STATIC, .offset = offset };
	return 0;
}

/* The block ends at TP, rounded so that its start keeps the alignment that the linker saw. */
static int program_block(const struct elf_tls *tls, int64_t *out_block)
{
	uint64_t align = tls->tls.align, bytes = tls->tls.memory_bytes;

	if (align == 0 || (align & (align - 1)) || align > (uint64_t)TLS_LAYOUT_MAX_STATIC ||
	    bytes > (uint64_t)TLS_LAYOUT_MAX_STATIC)
		return -EBADMSG;
	bytes += (-tls->tls.vaddr - bytes) & (align - 1);
	*out_block = -(int64_t)bytes;
	return 0;
}

int tls_layout_program(const struct elf_tls *tls, struct tag_variable *out_variable)
{
	int64_t block;
	int rc = program_block(tls, &block);

	if (rc < 0)
		return rc;
	return tls_layout_static(tls, block, out_variable) < 0 ? -EBADMSG : 0;
}

/* Where nothing else is linked in, Go has one word, right below TP. */
int tls_layout_go(const struct elf_tls *tls, struct tag_variable *out_variable)
{
	int64_t block = 0, offset = -8;

	if (tls->tls.memory_bytes > 8 && !tls->has_go_tls)
		return -ENOTSUP;
	if (tls->has_go_tls) {
		if (program_block(tls, &block) < 0)
			return -EBADMSG;
		offset = block + (int64_t)tls->go_tls_offset;
	}
	if (offset >= 0)
		return -EBADMSG;
	*out_variable = (struct tag_variable){ .access = TAG_STATIC, .offset = offset };
	return 0;
}

int tls_layout_module(const struct elf_tls *tls, uint64_t module, uint64_t generation,
		      enum elf_libc libc, struct tag_variable *out_variable)
{
	if (module == 0 || module > TLS_LAYOUT_MAX_MODULE)
		return -EAGAIN;
	if (libc == ELF_LIBC_NONE)
		return -ENOTSUP;
	*out_variable = (struct tag_variable){
		.access = libc == ELF_LIBC_MUSL ? TAG_DTV_MUSL : TAG_DTV_GLIBC,
		.module = (uint32_t)module,
		.offset = (int64_t)tls->variable_offset,
		.generation = generation,
	};
	return 0;
}

/* {function, argument}. The functions have no names, so the argument's shape must tell: an offset
 * below TP, or a pointer to {module, offset, generation}. An undefined weak symbol and a slot that
 * is bound on first use fit neither. */
static int descriptor(const struct elf_tls *tls, const struct elf_slot *slot, enum elf_libc libc,
		      const struct tls_words *words, struct tag_variable *out_variable)
{
	int64_t argument = (int64_t)words->slot[1];

	if (words->slot[0] == 0)
		return -EAGAIN;
	if (argument < 0 && argument >= -TLS_LAYOUT_MAX_STATIC)
		return tls_layout_static(tls, argument - (int64_t)slot->block_offset, out_variable);
	if (!words->has_pointed || words->pointed[1] != slot->block_offset)
		return -EAGAIN;
	return tls_layout_module(tls, words->pointed[0],
				 libc == ELF_LIBC_GLIBC ? words->pointed[2] : 0, libc,
				 out_variable);
}

int tls_layout_slot(const struct elf_tls *tls, const struct elf_slot *slot, enum elf_libc libc,
		    const struct tls_words *words, struct tag_variable *out_variable)
{
	int64_t offset = (int64_t)words->slot[0];

	switch (slot->kind) {
	case ELF_SLOT_OFFSET:
		if (offset >= 0 || offset < -TLS_LAYOUT_MAX_STATIC)
			return -EAGAIN;
		return tls_layout_static(tls, offset - (int64_t)slot->block_offset, out_variable);
	case ELF_SLOT_MODULE:
		if (slot->has_offset && words->slot[1] != slot->block_offset)
			return -EAGAIN;
		return tls_layout_module(tls, words->slot[0], 0, libc, out_variable);
	case ELF_SLOT_DESCRIPTOR:
		return descriptor(tls, slot, libc, words, out_variable);
	}
	return -EAGAIN;
}
