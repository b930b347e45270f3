/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/alert/alert_target.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/alert/alert_sign.h"
#include "collector/base/json_read.h"
#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/http_client.h"
#include "collector/log.h"

#define TIMEOUT_MS       10000
#define RETRY_FIRST_NS   NS_PER_SEC
#define RETRY_LAST_NS    (300 * NS_PER_SEC)
#define SECRET_MAX_BYTES 4096
#define HEADER_BYTES     128
#define SAID_BYTES       200 /* of an answer, in the log */

static int read_secret(struct alert_target *target, const char *path)
{
	char line[SECRET_MAX_BYTES];
	FILE *file = fopen(path, "re");
	int rc = file ? 0 : -errno;

	if (file && !fgets(line, sizeof(line), file))
		rc = ferror(file) ? -EIO : -ENODATA;
	if (file)
		fclose(file);
	if (rc == 0)
		buf_append(&target->secret, line, strcspn(line, "\r\n"));
	if (rc == 0 && target->secret.len == 0)
		rc = -ENODATA;
	if (rc < 0)
		log_line(LOG_ERROR, "webhook_secret_file: %s cannot be read: %s", path,
			 rc == -ENODATA ? "its first line is empty" : strerror(-rc));
	return rc;
}

int alert_target_init(struct alert_target *target, struct str base, bool is_alertmanager,
		      const char *secret_file)
{
	static const char path[] = "/api/v2/alerts";

	*target = (struct alert_target){ .is_alertmanager = is_alertmanager };
	buf_init(&target->secret, 0);
	while (is_alertmanager && base.len && base.data[base.len - 1] == '/')
		base.len--;
	if (base.len + sizeof(path) <= sizeof(target->url))
		snprintf(target->url, sizeof(target->url), "%.*s%s", (int)base.len, base.data,
			 is_alertmanager ? path : "");
	if (!http_client_is_url(target->url)) {
		log_line(LOG_ERROR, "%s: \"%.*s\" is no URL: must begin with http:// or https://",
			 is_alertmanager ? "alertmanager" : "webhook", (int)base.len, base.data);
		return -EINVAL;
	}
	return *secret_file ? read_secret(target, secret_file) : 0;
}

void alert_target_fini(struct alert_target *target)
{
	buf_fini(&target->secret);
}

/* 1 s, 2 s, 4 s ... 5 minutes. */
static enum alert_target_result put_off(struct alert_target *target)
{
	uint64_t delay_ns = RETRY_FIRST_NS << MIN(target->failures, 16u);

	target->failures++;
	target->retry_ns = clock_mono_ns() + MIN(delay_ns, RETRY_LAST_NS);
	return TARGET_LATER;
}

static enum alert_target_result take_answer(struct alert_target *target, int status,
					    const struct buf *said)
{
	int len = (int)MIN(said->len, (size_t)SAID_BYTES);

	if (status >= 200 && status < 300) {
		if (target->failures)
			log_line(LOG_INFO, "alerts: %s takes messages again", target->url);
		target->failures = 0;
		target->retry_ns = 0;
		return TARGET_TOOK;
	}
	if (status >= 400 && status < 500 && status != 408 && status != 429) {
		LOG_LIMITED(LOG_ERROR, "alerts: %s refuses a message with status %d: %.*s",
			    target->url, status, len, len ? said->data : "");
		return TARGET_REFUSED;
	}
	if (status == -ECANCELED) /* we stop */
		return TARGET_LATER;
	if (target->failures == 0)
		log_line(LOG_WARNING, "alerts: %s took no message: %s %d: %.*s; tried again",
			 target->url, status < 0 ? "error" : "status", abs(status), len,
			 len ? said->data : "");
	return put_off(target);
}

struct headers {
	char id[HEADER_BYTES], timestamp[HEADER_BYTES], signature[HEADER_BYTES];
};

static int sign(const struct alert_target *target, struct str body, struct str event,
		struct headers *headers, struct http_client_request *request)
{
	uint64_t now_s = clock_unix_ns() / NS_PER_SEC;
	struct json_value *root = NULL;
	char hex[ALERT_SIGN_HEX + 1];
	int rc = json_read(event, &root, NULL);

	if (rc < 0)
		return rc;
	snprintf(headers->id, HEADER_BYTES, "Idempotency-Key: %.64s", json_read_text(root, "id"));
	json_read_free(root);
	snprintf(headers->timestamp, HEADER_BYTES, "X-Spanwise-Timestamp: %" PRIu64, now_s);
	request->headers[0] = headers->id;
	request->headers[1] = headers->timestamp;
	if (target->secret.len == 0)
		return 0;
	rc = alert_sign(buf_str(&target->secret), now_s, body, hex);
	if (rc < 0)
		return rc;
	snprintf(headers->signature, HEADER_BYTES, "X-Spanwise-Signature: sha256=%s", hex);
	request->headers[2] = headers->signature;
	return 0;
}

enum alert_target_result alert_target_send(struct alert_target *target, struct http_client *client,
					   struct str body, struct str event)
{
	struct http_client_request request = {
		.url = target->url,
		.content_type = "application/json",
		.body = body,
		.timeout_ms = TIMEOUT_MS,
	};
	enum alert_target_result result;
	struct headers headers;
	struct buf answer;
	int status = 0;

	if (!target->is_alertmanager && sign(target, body, event, &headers, &request) < 0)
		return put_off(target);
	buf_init(&answer, 0);
	status = http_client_post(client, &request, &answer, &answer);
	result = take_answer(target, status, &answer);
	buf_fini(&answer);
	return result;
}
