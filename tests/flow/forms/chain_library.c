/* SPDX-License-Identifier: Apache-2.0 */
/* What chain.c calls in libraries: one that it is linked to, and one that it opens, which is so
 * small that it has hardly more than one function. */
void library_rows(void (*visit)(void));
unsigned library_step(unsigned value);

void library_rows(void (*visit)(void))
{
	visit();
	__asm__ volatile("" ::: "memory");
}

#ifndef CHAIN_SMALL
unsigned library_step(unsigned value)
{
	return value + 1;
}
#endif
