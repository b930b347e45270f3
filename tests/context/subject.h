/* SPDX-License-Identifier: Apache-2.0 */
/* Starts a test program (subject.c) and reads what it says about itself. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define SUBJECT_MAX_THREADS   8
#define SUBJECT_MAX_ADDRESSES 4

struct subject_thread {
	pid_t tid;
	uint32_t count; /* 0: an idle thread */
	uint64_t addresses[SUBJECT_MAX_ADDRESSES];
};

struct subject {
	pid_t pid;
	pid_t child; /* with --fork */
	FILE *input; /* its standard input */
	FILE *output;
	uint32_t thread_count;
	struct subject_thread threads[SUBJECT_MAX_THREADS];
};

/* `arguments`: the program first, NULL at the end. Fails the test if it cannot be started. */
void subject_start(struct subject *subject, const char *const *arguments);

/* Notes threads until the line `word` comes. false: the program ended before. */
bool subject_read_until(struct subject *subject, const char *word);

/* Lets a waiting subject go on. */
void subject_go(struct subject *subject);

void subject_stop(struct subject *subject);
