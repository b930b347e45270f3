/* SPDX-License-Identifier: Apache-2.0 */
/* An .eh_frame as any file may hold one: rows in order, whatever the bytes. */
#include <stdlib.h>

#include "bpf/unwind_table.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct unwind_table table = { 0 };
	int rc = unwind_table_parse(&table, data, bytes, 0x1000);

	for (uint32_t i = 1; rc == 0 && i < table.count; i++) {
		if (table.places[i - 1].address >= table.places[i].address)
			abort();
	}
	unwind_table_fini(&table);
	return 0;
}
