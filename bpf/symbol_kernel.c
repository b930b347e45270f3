/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/symbol_kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

#define LINE_BYTES 1024

/* "ffffffff81000000 T _text", and behind a tab the module: "[ext4]". */
static int take_line(struct symbol_table *table, const char *line, size_t bytes)
{
	char *end;
	uint64_t address = strtoull(line, &end, 16);
	size_t at = (size_t)(end - line), name_bytes = 0;

	if (address == 0 || at + 3 >= bytes || !strchr("tTwW", line[at + 1]))
		return 0;
	at += 3;
	while (at + name_bytes < bytes && line[at + name_bytes] != '\t')
		name_bytes++;
	return symbol_table_put(table, address, 0, 0, line + at, name_bytes);
}

int symbol_kernel_parse(struct symbol_table *table, const char *text, size_t bytes)
{
	char line[LINE_BYTES];
	int rc = 0;

	for (size_t at = 0; at < bytes && rc == 0;) {
		const char *newline = memchr(text + at, '\n', bytes - at);
		size_t length = newline ? (size_t)(newline - text) - at : bytes - at;
		size_t kept = MIN(length, sizeof(line) - 1);

		memcpy(line, text + at, kept);
		line[kept] = '\0';
		rc = take_line(table, line, kept);
		at += length + 1;
	}
	return rc;
}

int symbol_kernel_read(struct symbol_table *table)
{
	FILE *file = fopen("/proc/kallsyms", "re");
	char line[LINE_BYTES];
	int rc = 0;

	if (!file)
		return -errno;
	while (rc == 0 && fgets(line, sizeof(line), file))
		rc = take_line(table, line, strcspn(line, "\n"));
	fclose(file);
	symbol_table_sort(table);
	return rc == 0 && table->count == 0 ? -EPERM : rc;
}
