/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/maps and the other small files, whose texts a process has a hand in. The first byte
 * says in which pieces they come. */
#include <stdlib.h>
#include <string.h>

#include "bpf/process_identity.h"
#include "bpf/process_maps.h"
#include "tests/fuzz/fuzz.h"

static void parse_small_files(const uint8_t *data, size_t bytes)
{
	struct event_process process = { 0 };
	struct process_state state;
	char *text = calloc(1, bytes + 1);

	if (!text)
		return;
	memcpy(text, data, bytes);
	process_identity_parse_stat(text, &process, &state);
	process_identity_parse_status(text, &process);
	process_identity_parse_cgroup(text, &process);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct process_maps maps;
	size_t piece = bytes ? data[0] + 1u : 1;
	uint64_t bias;

	process_maps_init(&maps);
	process_maps_start(&maps);
	for (size_t at = 0; at < bytes; at += piece)
		process_maps_feed(&maps, (const char *)data + at,
				  bytes - at < piece ? bytes - at : piece);
	process_maps_finish(&maps);
	for (size_t i = 0; i < maps.module_count; i++)
		process_maps_bias(&maps, &maps.modules[i], 0, 0, 0x100, 0x100, &bias);
	process_maps_fini(&maps);
	parse_small_files(data, bytes);
	return 0;
}
