/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of ledgers that outlive the correlator's call. */
#pragma once

#include "collector/base/arena.h"
#include "correlate/ledger.h"

/* A deep copy in `arena`; NULL: out of memory. */
struct ledger *ledger_set_copy(const struct ledger *ledgers, size_t count, struct arena *arena);
