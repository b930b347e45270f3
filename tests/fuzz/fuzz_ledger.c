/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a ledger, as they lie on disk. What can be read can be judged and printed, and
 * written again: to bytes that read back the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "collector/base/arena.h"
#include "correlate/ledger.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct str name(uint64_t stack, void *arg)
{
	(void)arg;
	return stack % 2 ? STR("odd") : (struct str){ 0 };
}

static void speak(const struct ledger *ledger)
{
	struct buf text;

	buf_init(&text, 0);
	ledger_judge(ledger, &(struct ledger_code){ name, NULL, NULL, NULL }, &text);
	for (unsigned i = 0; i < ledger->wait_count; i++) {
		ledger_target_text(&ledger->waits[i].target, &text);
		ledger_decided_by(&ledger->waits[i], &text);
	}
	ledger_adds_up(ledger);
	ledger_ratio(ledger);
	buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct ledger ledger, again;
	struct buf first, second;
	struct arena arena;

	arena_init(&arena, 0);
	buf_init(&first, 0);
	buf_init(&second, 0);
	if (ledger_decode((struct str){ (const char *)data, bytes }, &arena, &ledger) == 0) {
		speak(&ledger);
		ledger_encode(&ledger, &first);
		if (ledger_decode(buf_str(&first), &arena, &again) != 0)
			abort();
		ledger_encode(&again, &second);
		if (!str_eq(buf_str(&first), buf_str(&second)))
			abort();
	}
	buf_fini(&first);
	buf_fini(&second);
	arena_fini(&arena);
	return 0;
}
