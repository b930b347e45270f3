/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/worker_log.h"

#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>

/* libbpf offers its printer no argument, hence a static. */
static char first_complaint[200];

/* A verifier's log comes as one text of many lines: its reason is the last one before the summary.
 */
static void keep_verifier_reason(char *log)
{
	char *end = strstr(log, "\nprocessed ");

	if (!end)
		return;
	*end = '\0';
	char *reason = strrchr(log, '\n');

	if (reason)
		snprintf(first_complaint, sizeof(first_complaint), "verifier: %.150s", reason + 1);
}

/* libbpf complains from the cause outwards: the first line knows most, unless a verifier's log
 * follows. */
__attribute__((format(printf, 2, 0))) static int capture(enum libbpf_print_level level,
							 const char *format, va_list arguments)
{
	static char text[256 * 1024];

	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(text, sizeof(text), format, arguments);
	if (strstr(text, "BEGIN PROG LOAD LOG"))
		keep_verifier_reason(text);
	if (first_complaint[0])
		return 0;
	char *line = strncmp(text, "libbpf: ", 8) == 0 ? text + 8 : text;

	line[strcspn(line, "\n")] = '\0';
	snprintf(first_complaint, sizeof(first_complaint), "%.190s", line);
	return 0;
}

void worker_log_capture(void)
{
	first_complaint[0] = '\0';
	libbpf_set_print(capture);
}

const char *worker_log_last(void)
{
	return first_complaint[0] ? first_complaint : "no further detail";
}
