/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/context/subject.h"

void subject_start(struct subject *subject, const char *const *arguments)
{
	int in[2], out[2];

	*subject = (struct subject){ 0 };
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	subject->pid = fork();
	assert_true(subject->pid >= 0);
	if (subject->pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		for (int fd = 3; fd < 64; fd++)
			close(fd);
		execv(arguments[0], (char *const *)(uintptr_t)arguments);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	subject->input = fdopen(in[1], "w");
	subject->output = fdopen(out[0], "r");
	assert_non_null(subject->input);
	assert_non_null(subject->output);
}

static void note_thread(struct subject *subject, char *words)
{
	struct subject_thread *thread = &subject->threads[subject->thread_count];
	char *rest = NULL, *word = strtok_r(words, " ", &rest);

	assert_true(subject->thread_count < SUBJECT_MAX_THREADS);
	assert_non_null(word);
	thread->tid = atoi(word);
	thread->count = 0;
	while ((word = strtok_r(NULL, " ", &rest)) && thread->count < SUBJECT_MAX_ADDRESSES)
		thread->addresses[thread->count++] = strtoull(word, NULL, 16);
	subject->thread_count++;
}

bool subject_read_until(struct subject *subject, const char *word)
{
	char line[512];

	while (fgets(line, sizeof(line), subject->output)) {
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, word) == 0)
			return true;
		if (strncmp(line, "thread ", 7) == 0)
			note_thread(subject, line + 7);
		else if (strncmp(line, "idle ", 5) == 0)
			note_thread(subject, line + 5);
		else if (strncmp(line, "child ", 6) == 0)
			subject->child = atoi(line + 6);
	}
	return false;
}

void subject_go(struct subject *subject)
{
	fputc('\n', subject->input);
	fflush(subject->input);
}

void subject_stop(struct subject *subject)
{
	if (subject->child > 0)
		kill(subject->child, SIGKILL);
	kill(subject->pid, SIGKILL);
	waitpid(subject->pid, NULL, 0);
	fclose(subject->input);
	fclose(subject->output);
}
