/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/query/answer.h"

#include <stdarg.h>

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
