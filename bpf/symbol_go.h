/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of a Go program by the table that its own runtime uses for tracebacks (pclntab), which
 * no stripping takes away: Go 1.2 to 1.26, 64-bit, also position independent. */
#pragma once

#include <stdbool.h>

#include "bpf/symbol_table.h"

/* Is it a Go program, or has Go in it? */
bool symbol_go_has_table(const struct sections *sections);

/* Errors as in symbol_sections.h; -ENOENT: no Go program; -ENOTSUP: a newer format. */
int symbol_go_add(struct symbol_table *table, const struct sections *sections);
