/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/show.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PREFIX_MIN_CHARS 4
#define PREFIX_SEARCH    "/api/v1/spans?limit=1000&trace="

static int take_first_id(struct client *client, const char *path, char out_id[TRACE_ID_HEX + 1])
{
	struct json_value *root;
	const char *id;
	int rc = client_get_json(client, path, &root);

	if (rc < 0)
		return rc;
	id = json_read_text(json_read_at(json_read_get(root, "spans"), 0), "trace_id");
	if (strlen(id) == TRACE_ID_HEX) {
		memcpy(out_id, id, TRACE_ID_HEX + 1);
	} else {
		buf_append_text(&client->message, "no span is stored yet");
		rc = -ENOENT;
	}
	json_read_free(root);
	return rc;
}

/* A prefix that two traces share is none. */
static int match_prefix(struct client *client, const struct json_value *spans, const char *prefix,
			char out_id[TRACE_ID_HEX + 1])
{
	const char *found = NULL;

	for (size_t i = 0; i < json_read_count(spans); i++) {
		const char *id = json_read_text(json_read_at(spans, i), "trace_id");

		if (strncasecmp(id, prefix, strlen(prefix)) != 0)
			continue;
		if (found && strcmp(found, id) != 0) {
			buf_printf(&client->message,
				   "%s... is several traces, among them %s and %s", prefix, found,
				   id);
			return -EINVAL;
		}
		found = id;
	}
	if (!found || strlen(found) != TRACE_ID_HEX) {
		buf_printf(&client->message, "no trace begins with %s", prefix);
		return -ENOENT;
	}
	memcpy(out_id, found, TRACE_ID_HEX + 1);
	return 0;
}

static int find_prefix(struct client *client, const char *prefix, char out_id[TRACE_ID_HEX + 1])
{
	char path[sizeof(PREFIX_SEARCH) + TRACE_ID_HEX];
	struct json_value *root;
	int rc;

	snprintf(path, sizeof(path), PREFIX_SEARCH "%s", prefix);
	rc = client_get_json(client, path, &root);
	if (rc < 0)
		return rc;
	rc = match_prefix(client, json_read_get(root, "spans"), prefix, out_id);
	json_read_free(root);
	return rc;
}

int show_find_trace(struct client *client, const char *word, char out_id[TRACE_ID_HEX + 1])
{
	size_t len = strlen(word);

	if (strcmp(word, "latest") == 0)
		return take_first_id(client, "/api/v1/spans?sort=start&limit=1", out_id);
	if (strcmp(word, "slowest") == 0)
		return take_first_id(client, "/api/v1/spans?sort=wall&limit=1", out_id);
	if (len < PREFIX_MIN_CHARS || len > TRACE_ID_HEX ||
	    strspn(word, "0123456789abcdefABCDEF") != len) {
		buf_printf(&client->message,
			   "'%s' is no trace: give its id, the first digits of it, latest or "
			   "slowest",
			   word);
		return -EINVAL;
	}
	if (len < TRACE_ID_HEX)
		return find_prefix(client, word, out_id);
	memcpy(out_id, word, TRACE_ID_HEX + 1);
	return 0;
}

int show_failure(const struct client *client)
{
	fprintf(stderr, "spanwise: %.*s\n", (int)client->message.len, client->message.data);
	return 1;
}

int show_json(struct client *client, const char *path)
{
	struct buf body;
	int status;

	buf_init(&body, CLIENT_MAX_BYTES);
	status = client_get(client, path, &body);
	if (status > 0)
		printf("%.*s\n", (int)body.len, body.data);
	buf_fini(&body);
	if (status < 0)
		return show_failure(client);
	return status == 200 ? 0 : 1;
}
