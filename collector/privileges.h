/* SPDX-License-Identifier: Apache-2.0 */
/* Gives up every privilege for good, and checks that it is so. */
#pragma once

struct buf;

/* Drops every capability from all sets, the bounding set and the ambient set, locks the securebits
 * so that uid 0 means nothing, and sets no_new_privs. Call it before any thread exists: each has
 * its own. 0, or a negative errno and a sentence: the process still holds something. */
int privileges_drop(struct buf *message);
