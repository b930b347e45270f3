/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/process_memory.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int process_memory_read(int memory_fd, uint64_t address, void *out, size_t bytes)
{
	ssize_t n;

	if (address > INT64_MAX - bytes)
		return -EFAULT;
	do
		n = pread(memory_fd, out, bytes, (off_t)address);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)bytes ? 0 : -EFAULT;
}

/* Bytes of the UTF-8 character at `at`; 0: it is none, or a control character. */
static size_t character_bytes(const unsigned char *at, size_t left)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t bytes = at[0] < 0x80 ? 1 : at[0] >> 5 == 6 ? 2 : at[0] >> 4 == 14 ? 3 : 4;
	uint32_t code;

	if (bytes == 1)
		return at[0] >= 0x20 && at[0] != 0x7f;
	if (at[0] < 0xc2 || at[0] > 0xf4 || bytes > left)
		return 0;
	code = at[0] & (0x7fu >> bytes);
	for (size_t i = 1; i < bytes; i++) {
		if (at[i] >> 6 != 2)
			return 0;
		code = code << 6 | (at[i] & 0x3f);
	}
	if (code < least[bytes] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ||
	    (code >= 0x80 && code < 0xa0))
		return 0;
	return bytes;
}

void process_memory_text(char *out, size_t cap, struct str text)
{
	size_t used = 0;

	for (size_t at = 0; at < text.len;) {
		size_t bytes =
			character_bytes((const unsigned char *)text.data + at, text.len - at);

		if (used + (bytes ? bytes : 1) >= cap)
			break;
		if (bytes)
			memcpy(out + used, text.data + at, bytes);
		else
			out[used] = '?';
		used += bytes ? bytes : 1;
		at += bytes ? bytes : 1;
	}
	out[used] = '\0';
}
