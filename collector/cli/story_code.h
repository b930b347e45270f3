/* SPDX-License-Identifier: Apache-2.0 */
/* What a span's CPU time went to: the dominant subtree of its stacks, as `diagnose` finds it. */
#pragma once

#include "collector/base/json_read.h"
#include "collector/cli/term.h"

/* `code`: of a span of the API; `running_ns`: its time on a CPU. One line, or none where no code
 * holds most of it. */
void story_put_code(const struct term *term, const struct json_value *code, uint64_t running_ns,
		    struct buf *out);
