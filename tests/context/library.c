/* SPDX-License-Identifier: Apache-2.0 */
/* A library with the variable of OTEP 4947, and LIBRARY_PADDING bytes of thread-local storage
 * beside it. With LIBRARY_PLAIN it does not touch the variable itself. */
__thread void *otel_thread_ctx_v1 __attribute__((visibility("default")));

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
