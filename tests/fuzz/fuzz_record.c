/* SPDX-License-Identifier: Apache-2.0 */
/* A recording from anybody: first the file as it comes, then its bytes as the entries of a chunk
 * whose checksum is right, so that what lies behind it is reached. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "collector/record_file.h"
#include "collector/replay.h"
#include "tests/fuzz/fuzz.h"

static void replay(const char *path)
{
	struct replay_options quiet = { 0 };
	struct replay_result result;

	replay_run(path, &quiet, &result);
	replay_fini(&result);
}

/* Each entry: a byte of kind, a byte of length in words, and so many bytes. */
static void write_entries(const char *path, const uint8_t *data, size_t size)
{
	struct record_options options = { 1 << 20, 1000, 1000, 10 };
	struct record_writer *writer;

	unlink(path);
	if (record_writer_open(path, &writer) < 0)
		abort();
	record_put(writer, RECORD_OPTIONS, &options, sizeof(options));
	while (size >= 2) {
		enum record_kind kind = (enum record_kind)(1 + data[0] % (RECORD_KINDS - 1));
		size_t bytes = (size_t)data[1] * 8;

		data += 2;
		size -= 2;
		bytes = bytes < size ? bytes : size;
		record_put(writer, kind, data, bytes);
		data += bytes;
		size -= bytes;
	}
	record_writer_close(writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/tmp/spanwise-fuzz-%d", getpid());
	file = fopen(path, "w");
	if (!file)
		return 0;
	if (size)
		fwrite(data, 1, size, file);
	fclose(file);
	replay(path);
	write_entries(path, data, size);
	replay(path);
	unlink(path);
	return 0;
}
