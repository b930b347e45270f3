/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's own functions, from /proc/kallsyms. Some 10 MB once read; so only when first asked
 * for. Needs CAP_SYSLOG, or all addresses read as 0: then -EPERM. */
#pragma once

#include "bpf/symbol_table.h"

/* Adds what one text of /proc/kallsyms says; for symbol_kernel_read and for tests. */
int symbol_kernel_parse(struct symbol_table *table, const char *text, size_t bytes);
int symbol_kernel_read(struct symbol_table *table);
