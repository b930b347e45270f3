/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/text_table.h"

#include <errno.h>

#include "collector/base/wire.h"

/* Two hashes of 64 bits stand for a text: no two of a profile's names will share both. */
struct text_key {
	uint64_t first, second;
};

void text_table_init(struct text_table *table, uint32_t field)
{
	*table = (struct text_table){ .field = field };
	buf_init(&table->fields, 0);
	map_init(&table->numbers, sizeof(struct text_key), sizeof(uint32_t), 3);
	wire_put_bytes(&table->fields, field, STR(""));
}

void text_table_fini(struct text_table *table)
{
	buf_fini(&table->fields);
	map_fini(&table->numbers);
}

uint32_t text_table_number(struct text_table *table, struct str text)
{
	struct text_key key = { map_hash(text.data, text.len, 1),
				map_hash(text.data, text.len, 2) };
	uint32_t *number;

	if (text.len == 0)
		return 0;
	number = map_put(&table->numbers, &key);
	if (!number) {
		table->error = -ENOMEM;
		return 0;
	}
	if (!*number) {
		*number = ++table->count;
		wire_put_bytes(&table->fields, table->field, text);
	}
	return *number;
}
