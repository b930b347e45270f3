/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/symbol_end.h"

#include <stddef.h>

#include "bpf/event.h"
#include "collector/base/frame.h"

static bool is_mapped(const struct symbol_maps *maps, uint64_t word)
{
	return symbol_maps_find(maps, word & ~STACK_SIGNAL) != NULL;
}

uint32_t symbol_end_trim(const struct symbol_maps *maps, const uint64_t *addresses, uint32_t count,
			 uint32_t *end)
{
	uint32_t kept = 1; /* the innermost is where the thread was, whatever is mapped there now */

	if (*end == STACK_COMPLETE || maps->count == 0 || count == 0)
		return count;
	while (kept < count && is_mapped(maps, addresses[kept]))
		kept++;
	if (kept < count && *end != STACK_WITHOUT_TABLES && *end != STACK_WITHOUT_ROOM)
		*end = STACK_BROKEN;
	else if (*end == STACK_NO_FILE && is_mapped(maps, addresses[count - 1]))
		*end = STACK_WITHOUT_TABLES; /* it has been mapped since */
	return kept;
}

void symbol_end_put(uint32_t end, struct buf *out)
{
	static const char *const texts[STACK_ENDS] = {
		[STACK_TOO_DEEP] = "[truncated: too deep]",
		[STACK_NO_RULE] = "[truncated: code without unwind rules]",
		[STACK_NO_FILE] = "[truncated: code in no file]",
		[STACK_UNREADABLE] = "[truncated: memory not readable]",
		[STACK_BROKEN] = "[truncated: broken frame]",
		[STACK_WITHOUT_TABLES] = "[truncated: unwind tables not read yet]",
		[STACK_WITHOUT_ROOM] = "[truncated: no room for unwind tables]",
	};
	struct frame frame = { .kind = FRAME_UNKNOWN };

	if (end >= STACK_ENDS || !texts[end])
		return;
	frame.name = str_of(texts[end]);
	frame_put(out, &frame);
}
