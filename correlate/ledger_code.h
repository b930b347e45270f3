/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a ledger. Numbers are varints; what is mostly zero stands behind bits that say so:
 *
 *   version, trace id, span id, start, wall, pid, revision, grade, flags, cause,
 *   uncertain, cpu, cpu self, forked cpu, preempted, throttled, yielded, split of all,
 *   split of self, then waits, items, links, slices and stacks, each after its count
 *
 * Slices are coded against the one before. Version 1 had no stacks, version 2 not what was
 * yielded; what comes after version 3 may not be read by this code, so it is refused as what it
 * is. */
#pragma once

enum { LEDGER_VERSION = 3 };

enum ledger_bit { BIT_SETTLED = 1, BIT_LOCAL_ROOT = 2, BIT_TRUNCATED = 4, BITS_LEDGER = 7 };

/* Beside a target's kind, in the low four bits. */
enum target_bit { HAS_PORT = 1 << 4, HAS_AUX = 1 << 5, HAS_ID = 1 << 6, HAS_ADDRESS = 1 << 7 };

/* Beside an item's kind. */
enum item_bit { HAS_SPAN = 1 << 6, HAS_SERVER = 1 << 7, BITS_ITEM = HAS_SPAN | HAS_SERVER };

/* How a tag is written: most lie in the ledger's own trace. */
enum tag_form { TAG_ZERO = 0, TAG_OWN_TRACE = 1, TAG_FULL = 2 };
