/* SPDX-License-Identifier: Apache-2.0 */
/* OTEP 4719 payloads, which any process may write. */
#include "bpf/process_context.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct process_context context;

	process_context_decode((struct str){ (const char *)data, bytes }, &context);
	return 0;
}
