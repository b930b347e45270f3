/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/tls_resolve.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "bpf/process_memory.h"
#include "bpf/tls_layout.h"

static enum elf_libc libc_of(const struct tls_process *process)
{
	return process->libc.tls ? process->libc.tls->libc : ELF_LIBC_NONE;
}

static int by_slot(const struct tls_process *process, const struct tls_image *image,
		   const struct elf_slot *slot, struct tag_variable *out_variable)
{
	size_t bytes = slot->kind == ELF_SLOT_OFFSET ? 8 : 16;
	struct tls_words words = { 0 };

	if (process_memory_read(process->memory_fd, image->bias + slot->vaddr, words.slot, bytes))
		return -EAGAIN;
	if (slot->kind == ELF_SLOT_DESCRIPTOR && words.slot[1] >= TLS_LAYOUT_MAX_MODULE)
		words.has_pointed = process_memory_read(process->memory_fd, words.slot[1],
							words.pointed, sizeof(words.pointed)) == 0;
	return tls_layout_slot(image->tls, slot, libc_of(process), &words, out_variable);
}

static int by_link_map(const struct tls_process *process, const struct tls_image *image,
		       struct tag_variable *out_variable)
{
	struct tls_link_map found;
	int rc = tls_link_map_find(process->memory_fd, &process->program, &process->libc, image,
				   &found);

	if (rc < 0)
		return -ENOTSUP;
	if (found.block)
		return tls_layout_static(image->tls, found.block, out_variable);
	return tls_layout_module(image->tls, found.module, 0, libc_of(process), out_variable);
}

static const char *const slot_names[] = {
	[ELF_SLOT_OFFSET] = "initial exec",
	[ELF_SLOT_MODULE] = "general dynamic",
	[ELF_SLOT_DESCRIPTOR] = "TLSDESC",
};

static void describe(const char *how, const struct tag_variable *variable,
		     char out_form[static TLS_FORM_BYTES])
{
	if (variable->access == TAG_STATIC)
		snprintf(out_form, TLS_FORM_BYTES, "%s, static, TP%" PRId64, how,
			 (int64_t)variable->offset);
	else
		snprintf(out_form, TLS_FORM_BYTES, "%s, dynamic, module %u + 0x%" PRIx64, how,
			 variable->module, (uint64_t)variable->offset);
}

int tls_resolve(const struct tls_process *process, const struct tls_image *image,
		struct tag_variable *out_variable, char out_form[static TLS_FORM_BYTES])
{
	const char *how = "local exec";
	int rc = -EAGAIN;

	if (image->tls->is_program) {
		rc = tls_layout_program(image->tls, out_variable);
	} else if (image->tls->slot_count == 0) {
		how = "link map";
		rc = by_link_map(process, image, out_variable);
	}
	for (uint32_t i = 0; rc == -EAGAIN && i < image->tls->slot_count; i++) {
		how = slot_names[image->tls->slots[i].kind];
		rc = by_slot(process, image, &image->tls->slots[i], out_variable);
	}
	if (rc == 0)
		describe(how, out_variable, out_form);
	return rc;
}
