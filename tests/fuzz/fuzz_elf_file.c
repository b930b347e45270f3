/* SPDX-License-Identifier: Apache-2.0 */
/* ELF files: whatever they say, an answer in bounded time. */
#include <sys/mman.h>
#include <unistd.h>

#include "bpf/elf_tls.h"
#include "bpf/tls_layout.h"
#include "tests/fuzz/fuzz.h"

static void resolve(const struct elf_tls *tls, const uint8_t *data, size_t bytes)
{
	struct tls_words words = { .has_pointed = true };
	struct tag_variable variable;

	tls_layout_program(tls, &variable);
	for (size_t i = 0; i < bytes && i < sizeof(words.slot); i++)
		((uint8_t *)words.slot)[i] = data[bytes - 1 - i];
	words.pointed[0] = 1;
	for (uint32_t i = 0; i < tls->slot_count; i++) {
		words.pointed[1] = tls->slots[i].block_offset;
		tls_layout_slot(tls, &tls->slots[i], ELF_LIBC_GLIBC, &words, &variable);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static int fd = -1;
	struct elf_file file;
	struct elf_tls tls;

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (ftruncate(fd, 0) < 0 || pwrite(fd, data, bytes, 0) != (ssize_t)bytes)
		return 0;
	if (elf_file_open(&file, fd) == 0 && elf_tls_read(&file, &tls) == 0)
		resolve(&tls, data, bytes);
	if (elf_file_open_image(&file, fd, 0) == 0)
		elf_tls_read(&file, &tls);
	return 0;
}
