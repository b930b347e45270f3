/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/worker_log.h"

#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>

/* libbpf offers its printer no argument, hence a static. */
static char first_complaint[200];

/* libbpf complains from the cause outwards: the first line knows most. A verifier's log comes as
 * one text of many lines, the reason near its end. */
static int capture(enum libbpf_print_level level, const char *format, va_list arguments)
{
	char text[8192];

	if (level != LIBBPF_WARN || first_complaint[0])
		return 0;
	vsnprintf(text, sizeof(text), format, arguments);
	char *line = strstr(text, "libbpf: ") == text ? text + strlen("libbpf: ") : text;

	line[strcspn(line, "\n")] = '\0';
	snprintf(first_complaint, sizeof(first_complaint), "%.*s", (int)sizeof(first_complaint) - 1,
		 line);
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
