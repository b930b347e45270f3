/* SPDX-License-Identifier: Apache-2.0 */
/* What a fuzz target exports, to libFuzzer or to replay.c. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Returns 0. A finding is a crash: MUST, assert, ASan, UBSan. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* An assert that release builds keep. */
#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)
