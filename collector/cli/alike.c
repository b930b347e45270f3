/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/alike.h"

static struct alike *find(struct alike *list, size_t count, const struct json_value *item,
			  alike_is *is_alike)
{
	for (size_t i = 0; is_alike && i < count; i++) {
		if (is_alike(list[i].item, item))
			return &list[i];
	}
	return NULL;
}

struct alike *alike_add(struct alike *list, size_t *count, const struct json_value *item,
			alike_is *is_alike)
{
	struct alike *alike = find(list, *count, item, is_alike);
	uint64_t ns = json_read_uint(item, "ns");

	if (!alike) {
		alike = &list[(*count)++];
		*alike = (struct alike){ .item = item, .item_ns = ns };
	}
	alike->ns += ns;
	if (ns > alike->item_ns) {
		alike->item_ns = ns;
		alike->item = item;
	}
	return alike;
}

void alike_sort(struct alike *list, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct alike moved = list[i];
		size_t at = i;

		for (; at > 0 && list[at - 1].ns < moved.ns; at--)
			list[at] = list[at - 1];
		list[at] = moved;
	}
}
