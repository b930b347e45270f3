/* SPDX-License-Identifier: Apache-2.0 */
/* Pauses of some microseconds in work that lasts: then whoever waits for this CPU has it.
 *
 * A kernel that finds a thread at work when another wakes up lets it go on if the other has had its
 * share lately, and looks again at its next tick: up to 4 ms later. Who answers a query or packs a
 * part would so hold up an acknowledgement for as long, on this side or the client's. */
#pragma once

/* The calling thread pauses from now on, until breath_end. */
void breath_begin(void);
void breath_end(void);
/* Called between two pieces of work, of some 10 us each. Nothing on threads that have not begun. */
void breath_take(void);
