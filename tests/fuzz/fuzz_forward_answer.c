/* SPDX-License-Identifier: Apache-2.0 */
/* What another endpoint answers: a byte that says gRPC or HTTP and the status, header lines up to
 * an empty one, then the body. Whatever it is, no more is rejected than was sent. */
#include <string.h>

#include "collector/export/forward_answer.h"
#include "tests/fuzz/fuzz.h"

#define SPANS 100

/* The line up to LF, which is left out; `*rest` moves behind it. */
static struct str cut_line(struct str *rest)
{
	const char *end = rest->len ? memchr(rest->data, '\n', rest->len) : NULL;
	struct str line = { rest->data, end ? (size_t)(end - rest->data) : rest->len };
	size_t used = line.len + (end != NULL);

	rest->data += used;
	rest->len -= used;
	return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct str rest = { (const char *)data + 1, len - 1 }, line;
	struct forward_answer answer;
	uint64_t rejected;

	if (len == 0)
		return 0;
	forward_answer_init(&answer, data[0] & 1);
	answer.status = data[0] & 2 ? 200 : 400 + (data[0] >> 2);
	while ((line = cut_line(&rest)).len) {
		const char *colon = memchr(line.data, ':', line.len);
		size_t name = colon ? (size_t)(colon - line.data) : line.len;

		forward_answer_take(&answer, (struct str){ line.data, name },
				    (struct str){ line.data + name + (colon != NULL),
						  line.len - name - (colon != NULL) });
	}
	answer.body = rest;
	forward_answer_judge(&answer, SPANS, data[0] & 4, &rejected);
	MUST(rejected <= SPANS);
	forward_answer_fini(&answer);
	return 0;
}
