/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread of the own process does, as the kernel tells it. */
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* What the kernel tells of it in that file, as text; empty: there is none. */
static inline void read_task(int tid, const char *file, char *text, size_t size)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", tid, file);
	int fd = open(path, O_RDONLY);
	ssize_t bytes = fd < 0 ? 0 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[bytes > 0 ? bytes : 0] = '\0';
}

/* 'R', 'S', 'D'...; '?': there is none. */
static inline char state_of(int tid)
{
	char text[512];
	read_task(tid, "stat", text, sizeof(text));
	char *end = strrchr(text, ')');

	return end ? end[2] : '?';
}

/* How often it left its CPU to wait. Who sleeps by its state may still be about to leave, and never
 * do so if it is woken before. -1: there is none. */
static inline long waits_of(int tid)
{
	static const char key[] = "\nvoluntary_ctxt_switches:";
	char text[4096];
	read_task(tid, "status", text, sizeof(text));
	char *count = strstr(text, key);

	return count ? strtol(count + sizeof(key) - 1, NULL, 10) : -1;
}

/* The same of the calling thread. */
static inline long own_waits(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

/* Waits once, and for a timer: one that was over before the thread had left its CPU, as on a busy
 * machine some are, was no wait. */
static inline void sleep_once(long ns)
{
	struct timespec time = { .tv_nsec = ns };
	long waits = own_waits();

	do
		clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
	while (own_waits() == waits);
}
