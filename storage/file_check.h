/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the trees of an LMDB file before LMDB maps it.
 *
 * LMDB believes its own pages: a flipped bit in one makes it read outside the map, and a file cut
 * short ends in SIGBUS. So each page of a tree is checked here (its number, kind, offsets, order of
 * keys, and that no two parents claim it). The values have checksums of their own and are not read:
 * the cost is a few hundred pages for a file of gigabytes. The file must not be written meanwhile.
 */
#pragma once

/* -EBADMSG: cut short or damaged, or not LMDB's; -EPROTO: another version of its format. */
int file_check(const char *path);
