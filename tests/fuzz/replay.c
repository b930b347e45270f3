/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over files and over all files of a folder, without libFuzzer: so that every
 * finding stays found. Each input is also run cut off at each of its first bytes. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/buf.h"
#include "collector/base/macros.h"
#include "tests/fuzz/fuzz.h"

#define MAX_CUTS 2048

/* In a block of exactly this size: the smallest overrun shows. */
static void run(const char *data, size_t len)
{
	uint8_t *copy = malloc(MAX(len, (size_t)1));

	if (!copy)
		abort();
	if (len)
		memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static int read_file(FILE *file, struct buf *out)
{
	char piece[4096];
	size_t len;

	while ((len = fread(piece, 1, sizeof(piece), file)) > 0)
		buf_append(out, piece, len);
	return ferror(file) ? -EIO : buf_error(out);
}

static int replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct buf input;
	int rc;

	if (!file)
		return -errno;
	buf_init(&input, 0);
	rc = read_file(file, &input);
	fclose(file);
	if (rc == 0) {
		run(input.data, input.len);
		for (size_t cut = 0; cut < MIN(input.len, (size_t)MAX_CUTS); cut++)
			run(input.data, cut);
	}
	buf_fini(&input);
	return rc;
}

static int replay_folder(const char *path, unsigned *count)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	char name[4096];
	int rc = 0;

	if (!folder)
		return -errno;
	while (rc == 0 && (entry = readdir(folder))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		rc = replay_file(name);
		++*count;
	}
	closedir(folder);
	return rc;
}

int main(int argc, char **argv)
{
	unsigned count = 0;

	for (int i = 1; i < argc; i++) {
		int rc = replay_folder(argv[i], &count);

		if (rc == -ENOTDIR) {
			rc = replay_file(argv[i]);
			count++;
		}
		if (rc < 0) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(-rc));
			return EXIT_FAILURE;
		}
	}
	printf("%u inputs\n", count);
	return count ? EXIT_SUCCESS : EXIT_FAILURE;
}
