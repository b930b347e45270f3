/* SPDX-License-Identifier: Apache-2.0 */
/* Lets the nth allocation of our own code fail. Link with spanwise_nth_alloc; the libraries of
 * others are not touched.
 *
 *   for (unsigned n = 1; nth_alloc_arm(n), run(), nth_alloc_disarm(); n++)
 *           -- every allocation of run() has failed once, alone */
#pragma once

#include <stdbool.h>

/* The nth allocation from now on, counted from 1, returns NULL; later ones succeed again. */
void nth_alloc_arm(unsigned n);

/* Did it come to that? */
bool nth_alloc_disarm(void);
