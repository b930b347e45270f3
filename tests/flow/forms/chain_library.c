/* SPDX-License-Identifier: Apache-2.0 */
/* What chain.c calls in libraries: one that it is linked to, and one that it opens. */
void library_rows(void (*visit)(void));
unsigned library_step(unsigned value);

void library_rows(void (*visit)(void))
{
	visit();
	__asm__ volatile("" ::: "memory");
}

unsigned library_step(unsigned value)
{
	return value + 1;
}
