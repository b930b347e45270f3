/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/nth_alloc.h"

#include <stddef.h>

/* The linker sends malloc to __wrap_malloc, and __real_malloc to malloc. */
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);

static unsigned countdown; /* 0: not armed, or over */
static bool has_failed;

void nth_alloc_arm(unsigned n)
{
	countdown = n;
	has_failed = false;
}

bool nth_alloc_disarm(void)
{
	countdown = 0;
	return has_failed;
}

static bool must_fail(void)
{
	if (countdown == 0 || --countdown > 0)
		return false;
	has_failed = true;
	return true;
}

void *__wrap_malloc(size_t bytes)
{
	return must_fail() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return must_fail() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
	return must_fail() ? NULL : __real_realloc(memory, bytes);
}
