/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/stack_numbers.h"

#include <errno.h>
#include <string.h>

#include "storage/checksum.h"

#define KEY STR("stack_ids")

void stack_numbers_init(struct stack_numbers *stacks, uint64_t seed)
{
	map_init(&stacks->numbers, sizeof(uint64_t), sizeof(uint32_t), seed);
	buf_init(&stacks->ids, 0);
}

void stack_numbers_fini(struct stack_numbers *stacks)
{
	map_fini(&stacks->numbers);
	buf_fini(&stacks->ids);
}

int stack_numbers_of(struct stack_numbers *stacks, uint64_t id, uint32_t *out_number)
{
	uint32_t *number = map_get(&stacks->numbers, &id);

	if (!number && stacks->numbers.count < STACK_NUMBERS_MAX) {
		number = map_put(&stacks->numbers, &id);
		buf_append(&stacks->ids, &id, sizeof(id));
		if (!number || buf_error(&stacks->ids))
			return -ENOMEM;
		*number = (uint32_t)stacks->numbers.count;
	}
	*out_number = number ? *number : 0;
	return 0;
}

void stack_numbers_put(struct stack_numbers *stacks, struct txn *txn, MDB_dbi about)
{
	uint64_t sum = checksum_of(stacks->ids.data, stacks->ids.len, 0);

	if (stacks->ids.len == 0)
		return;
	buf_append(&stacks->ids, &sum, sizeof(sum));
	if (!txn->error)
		txn->error = buf_error(&stacks->ids);
	txn_put(txn, about, KEY, buf_str(&stacks->ids));
}

int stack_numbers_load(const struct txn *txn, MDB_dbi about, struct str *out_ids)
{
	struct str value;
	uint64_t sum;
	int rc = txn_get(txn, about, KEY, &value);

	*out_ids = (struct str){ NULL, 0 };
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	if (value.len < sizeof(sum) || value.len % sizeof(uint64_t) != 0)
		return -EBADMSG;
	value.len -= sizeof(sum);
	memcpy(&sum, value.data + value.len, sizeof(sum));
	if (sum != checksum_of(value.data, value.len, 0))
		return -EBADMSG;
	*out_ids = value;
	return 0;
}

bool stack_numbers_id(struct str ids, uint32_t number, uint64_t *out_id)
{
	if (number == 0 || number > stack_numbers_count(ids))
		return false;
	memcpy(out_id, ids.data + (number - 1) * sizeof(*out_id), sizeof(*out_id));
	return true;
}
