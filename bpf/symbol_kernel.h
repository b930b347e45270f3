/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's own functions, from /proc/kallsyms. Some 3 MB once read; so only when first asked
 * for. Needs CAP_SYSLOG, or all addresses read as 0: then -EPERM.
 *
 * Modules and BPF programs come and go behind the kernel's own text: all is read again when a page
 * there is asked for that was not before, and now and then. */
#pragma once

#include <stdbool.h>

#include "bpf/symbol_table.h"
#include "collector/base/buf.h"

#define KERNEL_PAGES 1024 /* that were asked for; of more, some are taken for new ones */

struct symbol_kernel {
	struct symbol_table table;
	uint64_t text_end; /* where modules may begin; 0: not known */
	uint64_t read_ns;  /* 0: never, or dropped */
	uint64_t pages[KERNEL_PAGES];
	/* each time that it was read, sorted; `table` is borrowed */
	void (*on_read)(const struct symbol_table *table, void *arg);
	void *arg;
	uint64_t frames, unnamed; /* that were put */
};

void symbol_kernel_fini(struct symbol_kernel *kernel);

/* Reads them now. */
int symbol_kernel_read(struct symbol_kernel *kernel, uint64_t now_ns);
/* Until they are asked for again. */
void symbol_kernel_drop(struct symbol_kernel *kernel);

/* NULL: nobody's. Borrowed until the next call. */
const char *symbol_kernel_find(struct symbol_kernel *kernel, uint64_t address, uint64_t now_ns);

/* Appends the frames of return addresses, innermost first (collector/base/frame.h), without what
 * stands between the wait and us: the scheduler, and programs that listen to it. */
void symbol_kernel_put(struct symbol_kernel *kernel, const uint64_t *addresses, uint32_t count,
		       uint64_t now_ns, struct buf *out);

/* Adds what one text of /proc/kallsyms says; for tests. */
int symbol_kernel_parse(struct symbol_table *table, const char *text, size_t bytes);
