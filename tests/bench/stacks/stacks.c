/* SPDX-License-Identifier: Apache-2.0 */
/* What a file costs the probe before its stacks can be walked and named: the unwind table, the
 * functions. The best of five; the file is in the page cache.
 *
 *   bench_stacks FILE... */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bpf/symbol_file.h"
#include "bpf/unwind_table.h"
#include "collector/base/macros.h"

#define TURNS 5

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

static uint64_t build_table(int fd, struct unwind_table *out_table, uint64_t *out_bytes)
{
	uint64_t begin_ns = now_ns();
	struct sections sections;

	if (sections_open(&sections, fd) < 0)
		return 0;
	*out_bytes = 0;
	for (uint32_t i = 0; i < sections.load_count; i++)
		*out_bytes += sections.loads[i].flags & PF_X ? sections.loads[i].file_bytes : 0;
	if (unwind_table_read(out_table, &sections) < 0)
		out_table->count = 0;
	sections_close(&sections);
	return now_ns() - begin_ns;
}

static uint64_t read_functions(int fd, const char *path, uint32_t *out_count, size_t *out_bytes)
{
	uint64_t begin_ns = now_ns();
	struct symbol_file file;

	if (symbol_file_read(&file, fd, -1, path) < 0)
		return 0;
	*out_count = file.functions.count;
	*out_bytes = symbol_table_bytes(&file.functions);
	symbol_file_fini(&file);
	return now_ns() - begin_ns;
}

static void measure(const char *path)
{
	uint64_t table_ns = UINT64_MAX, names_ns = UINT64_MAX, code_bytes = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint32_t rows = 0, functions = 0;
	size_t names_bytes = 0;

	if (fd < 0) {
		fprintf(stderr, "%s cannot be read\n", path);
		return;
	}
	for (int turn = 0; turn < TURNS; turn++) {
		struct unwind_table table = { 0 };
		uint64_t ns = build_table(fd, &table, &code_bytes);

		table_ns = MIN(table_ns, ns);
		rows = table.count;
		unwind_table_fini(&table);
		ns = read_functions(fd, path, &functions, &names_bytes);
		names_ns = MIN(names_ns, ns);
	}
	close(fd);
	printf("%-40s %9.1f %9u %9.2f %9.1f %9u %9.2f %9.1f\n", path, (double)code_bytes / 1e6,
	       rows, (double)table_ns / 1e6, (double)rows * 8 / 1e3, functions,
	       (double)names_ns / 1e6, (double)names_bytes / 1e3);
}

int main(int argc, char **argv)
{
	printf("%-40s %9s %9s %9s %9s %9s %9s %9s\n", "", "code MB", "rows", "ms", "KB",
	       "functions", "ms", "KB");
	for (int i = 1; i < argc; i++)
		measure(argv[i]);
	return argc > 1 ? 0 : 2;
}
