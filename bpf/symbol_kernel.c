/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/symbol_kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/frame.h"
#include "collector/base/macros.h"

#define LINE_BYTES 1024
#define PAGE_BITS  12
#define REREAD_NS  (10 * NS_PER_SEC) /* no more often: it takes some 50 ms */
#define OLD_NS     (600 * NS_PER_SEC)

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

static uint64_t end_of_text(const struct symbol_table *table)
{
	for (uint32_t i = 0; i < table->count; i++)
		if (strcmp(symbol_table_name(table, &table->entries[i]), "_etext") == 0)
			return table->entries[i].start;
	return 0;
}

static int read_all(struct symbol_table *table)
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

int symbol_kernel_read(struct symbol_kernel *kernel, uint64_t now_ns)
{
	struct symbol_table fresh = { 0 };
	int rc = read_all(&fresh);

	kernel->read_ns = now_ns;
	memset(kernel->pages, 0, sizeof(kernel->pages));
	if (rc < 0) {
		symbol_table_fini(&fresh);
		return rc;
	}
	if (kernel->on_read)
		kernel->on_read(&fresh, kernel->arg);
	kernel->text_end = end_of_text(&fresh);
	symbol_table_pack(&fresh);
	symbol_table_fini(&kernel->table);
	kernel->table = fresh;
	return 0;
}

void symbol_kernel_drop(struct symbol_kernel *kernel)
{
	symbol_table_fini(&kernel->table);
	kernel->read_ns = 0;
}

void symbol_kernel_fini(struct symbol_kernel *kernel)
{
	symbol_kernel_drop(kernel);
}

/* Behind the kernel's text: has nobody asked for its page before? */
static bool is_unfamiliar(struct symbol_kernel *kernel, uint64_t address)
{
	uint64_t page = address >> PAGE_BITS, *place = &kernel->pages[page % KERNEL_PAGES];

	if (*place == page)
		return false;
	*place = page;
	return true;
}

const char *symbol_kernel_find(struct symbol_kernel *kernel, uint64_t address, uint64_t now_ns)
{
	uint64_t age_ns = now_ns - kernel->read_ns;

	if (kernel->read_ns == 0 ||
	    (address >= kernel->text_end &&
	     (age_ns > OLD_NS || (age_ns > REREAD_NS && is_unfamiliar(kernel, address)))))
		symbol_kernel_read(kernel, now_ns);
	if (address >= kernel->text_end)
		is_unfamiliar(kernel, address); /* not any more */
	return symbol_table_find(&kernel->table, address);
}

static bool is_scheduler(const char *name)
{
	static const char *const prefixes[] = { "bpf_",        "__bpf_",     "__traceiter_",
						"__schedule",  "schedule",   "preempt_schedule",
						"perf_trace_", "trampoline_" };

	for (size_t i = 0; name && i < ARRAY_LEN(prefixes); i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

void symbol_kernel_put(struct symbol_kernel *kernel, const uint64_t *addresses, uint32_t count,
		       uint64_t now_ns, struct buf *out)
{
	bool is_inside = false; /* past the scheduler */

	for (uint32_t i = 0; i < count; i++) {
		struct frame frame = { .kind = FRAME_KERNEL,
				       .address = addresses[i],
				       .module = STR("[kernel]") };
		/* all but the innermost return there */
		const char *name = symbol_kernel_find(kernel, addresses[i] - (i > 0), now_ns);

		kernel->frames++;
		kernel->unnamed += !name;
		if (!is_inside && is_scheduler(name))
			continue;
		is_inside = true;
		frame.name = name ? str_of(name) : (struct str){ 0 };
		frame_put(out, &frame);
	}
}
