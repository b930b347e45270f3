/* SPDX-License-Identifier: Apache-2.0 */
/* A 32-bit process that waits. */
void _start(void);

static long call(long number, long one, long two, long three)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(one), "c"(two), "d"(three)
			 : "memory");
	return result;
}

void _start(void)
{
	static char byte;

	call(27, 60, 0, 0); /* alarm */
	call(4, 1, (long)"ready\n", 6);
	while (call(3, 0, (long)&byte, 1) == 1)
		;
	call(1, 0, 0, 0);
}
