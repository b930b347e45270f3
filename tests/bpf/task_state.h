/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread of the own process does, as the kernel tells it. */
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* 'R', 'S', 'D'...; '?': there is none. */
static inline char state_of(int tid)
{
	char path[64], text[512] = "";
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	int fd = open(path, O_RDONLY);
	ssize_t bytes = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	char *end = bytes > 0 ? strrchr(text, ')') : NULL;

	return end ? end[2] : '?';
}
