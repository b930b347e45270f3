/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that keeps the store in order while the writer commits: old parts are dropped, parts
 * that are over are packed, in a third of its time. */
#pragma once

struct keeper;
struct store;

/* `store`: borrowed. Negative errno. */
int keeper_start(struct store *store, struct keeper **out_keeper);

/* After the piece at work. Accepts NULL. */
void keeper_stop(struct keeper *keeper);
