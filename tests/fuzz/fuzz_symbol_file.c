/* SPDX-License-Identifier: Apache-2.0 */
/* A file that a process executes, read for its functions and its unwind table, or as a jitdump; and
 * its text read as a perf map and as kallsyms. */
#include <sys/mman.h>
#include <unistd.h>

#include "bpf/python_layout.h"
#include "bpf/symbol_file.h"
#include "bpf/symbol_jitdump.h"
#include "bpf/symbol_kernel.h"
#include "bpf/symbol_perf_map.h"
#include "bpf/unwind_table.h"
#include "tests/fuzz/fuzz.h"

static void read_as_file(const uint8_t *data, size_t bytes)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct symbol_perf_map dump = { 0 };
	struct unwind_table table = { 0 };
	struct python_symbols python;
	struct sections sections;
	struct symbol_file file;

	if (fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes) {
		if (symbol_file_read(&file, fd, -1, "/fuzz") == 0)
			symbol_file_fini(&file);
		if (sections_open(&sections, fd) == 0) {
			unwind_table_read(&table, &sections);
			python_symbols_find(&sections, &python);
			sections_close(&sections);
		}
		symbol_jitdump_read(&dump, fd);
	}
	symbol_perf_map_fini(&dump);
	unwind_table_fini(&table);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct symbol_perf_map map = { 0 };
	struct symbol_table kernel = { 0 };

	read_as_file(data, bytes);
	symbol_perf_map_parse(&map, (const char *)data, bytes);
	symbol_perf_map_find(&map, 0x1000);
	symbol_perf_map_fini(&map);
	symbol_kernel_parse(&kernel, (const char *)data, bytes);
	symbol_table_sort(&kernel);
	symbol_table_fini(&kernel);
	return 0;
}
