/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_protos.h"

__asm__(".section .rodata\n"
	".balign 8\n"
	"grpc_protos_begin:\n"
	".incbin \"otlp/published.protoset\"\n"
	"grpc_protos_end:\n"
	".previous\n");

extern const char grpc_protos_begin[], grpc_protos_end[];

struct str grpc_protos(void)
{
	return (struct str){ grpc_protos_begin, (size_t)(grpc_protos_end - grpc_protos_begin) };
}
