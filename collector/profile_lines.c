/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/macros.h"
#include "collector/profile_parser.h"

void profile_lines_init(struct profile_lines *lines)
{
	*lines = (struct profile_lines){ 0 };
	buf_init(&lines->partial, 0);
}

void profile_lines_fini(struct profile_lines *lines)
{
	buf_fini(&lines->partial);
}

static int hand_over(struct profile_lines *lines, struct str line,
		     int (*on_line)(void *arg, struct str line), void *arg)
{
	lines->number++;
	if (line.len && line.data[line.len - 1] == '\r')
		line.len--;
	if (line.len > PROFILE_MAX_LINE_BYTES) {
		lines->too_long++;
		return 0;
	}
	return on_line(arg, line);
}

/* Keeps the beginning of a line that goes on; of one that is too long, only that. */
static int keep(struct profile_lines *lines, struct str rest)
{
	size_t room =
		PROFILE_MAX_LINE_BYTES + 1 - MIN(lines->partial.len, PROFILE_MAX_LINE_BYTES + 1);

	buf_append(&lines->partial, rest.data, MIN(rest.len, room));
	return buf_error(&lines->partial);
}

int profile_lines_feed(struct profile_lines *lines, struct str bytes,
		       int (*on_line)(void *arg, struct str line), void *arg)
{
	int rc = 0;

	while (rc == 0 && bytes.len) {
		const char *end = memchr(bytes.data, '\n', bytes.len);
		size_t len = end ? (size_t)(end - bytes.data) : bytes.len;
		struct str line = { bytes.data, len };

		if (!end)
			return keep(lines, line);
		bytes.data += len + 1;
		bytes.len -= len + 1;
		if (lines->partial.len) {
			rc = keep(lines, line);
			if (rc == 0)
				rc = hand_over(lines, buf_str(&lines->partial), on_line, arg);
			buf_clear(&lines->partial);
		} else {
			rc = hand_over(lines, line, on_line, arg);
		}
	}
	return rc;
}

int profile_lines_end(struct profile_lines *lines, int (*on_line)(void *arg, struct str line),
		      void *arg)
{
	int rc = lines->partial.len ? hand_over(lines, buf_str(&lines->partial), on_line, arg) : 0;

	buf_clear(&lines->partial);
	return rc;
}
