/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/query/answer.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "collector/base/json.h"

void answer_init(struct answer *answer)
{
	*answer = (struct answer){ .status = 200, .content_type = "application/json" };
	buf_init(&answer->body, ANSWER_MAX_BYTES);
}

void answer_fini(struct answer *answer)
{
	buf_fini(&answer->body);
}

void answer_fail(struct answer *answer, int status, const char *code, const char *format, ...)
{
	struct buf message;
	struct json json;
	va_list args;

	buf_init(&message, 0);
	va_start(args, format);
	buf_vprintf(&message, format, args);
	va_end(args);
	answer->status = status;
	answer->content_type = "application/json";
	answer->has_etag = false;
	buf_clear(&answer->body);
	json_init(&json, &answer->body);
	json_object(&json, NULL);
	json_object(&json, "error");
	json_text(&json, "code", code);
	json_str(&json, "message", buf_str(&message));
	json_end(&json);
	json_end(&json);
	buf_fini(&message);
}

void answer_storage(struct answer *answer, const char *what, int rc)
{
	if (rc == -ETIMEDOUT)
		answer_fail(answer, 503, "timeout",
			    "%s cannot be summed up in time: ask for less time, or one service",
			    what);
	else if (rc == -E2BIG || rc == -EMSGSIZE)
		answer_fail(answer, 413, "too_large", "%s exceed %zu MiB: ask for less", what,
			    ANSWER_MAX_BYTES >> 20);
	else
		answer_fail(answer, 500, "storage", "%s cannot be read: %s", what, strerror(-rc));
}
