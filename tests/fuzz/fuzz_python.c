/* SPDX-License-Identifier: Apache-2.0 */
/* A process's memory, read for its interpreter's layout and for a code object of it; and its bytes
 * as tables of lines. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bpf/python_code.h"
#include "tests/fuzz/fuzz.h"

static void read_as_memory(int fd, const uint8_t *data, size_t bytes)
{
	const struct python_place place = { .runtime = 8, .version = 0, .module = "/python3.11" };
	struct python_codes codes;
	struct python_layout layout;
	struct buf out;
	uint64_t word = 0;

	memcpy(&word, data, bytes < sizeof(word) ? bytes : sizeof(word));
	buf_init(&out, 0);
	python_codes_init(&codes);
	if (python_layout_read(fd, &place, &layout) == 0) {
		MUST(layout.kernel.frame_bytes < PYTHON_FRAME_BYTES);
		python_codes_put(&codes, 1, fd, &layout, word & 0xffffffffff, &out);
		python_codes_put(&codes, 1, fd, &layout, 8ull << PYTHON_CODE_SHIFT, &out);
	}
	python_codes_fini(&codes);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes)
		read_as_memory(fd, data, bytes);
	close(fd);
	for (int form = PYTHON_LINES_LNOTAB; form <= PYTHON_LINES_LOCATIONS; form++)
		for (uint32_t place = 0; place < 64; place += 7)
			python_line((enum python_lines)form, data, bytes, 1, place);
	return 0;
}
