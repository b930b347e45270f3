/* SPDX-License-Identifier: Apache-2.0 */
/* A library with the variable of OTEP 4947, and LIBRARY_PADDING bytes of thread-local storage
 * beside it. With LIBRARY_PLAIN it does not touch the variable itself. */
#ifndef LIBRARY_VISIBILITY
#define LIBRARY_VISIBILITY "default"
#endif
#ifdef LIBRARY_WEAK
__attribute__((weak))
#endif
__thread void *otel_thread_ctx_v1 __attribute__((visibility(LIBRARY_VISIBILITY)));

#ifdef LIBRARY_PADDING
static __thread char padding[LIBRARY_PADDING];
#endif

#ifndef LIBRARY_PLAIN
void **context_address(void);

__attribute__((visibility("default"))) void **context_address(void)
{
#ifdef LIBRARY_PADDING
	padding[0]++;
#endif
	return &otel_thread_ctx_v1;
}
#endif
