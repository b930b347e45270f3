/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "collector/address.h"

#define READ_BYTES ((size_t)64 << 10)

void client_init(struct client *client, const char *api)
{
	const char *from_environment = getenv("SPANWISE_API");

	if (!api && from_environment && *from_environment)
		api = from_environment;
	*client = (struct client){ .api = api ? api : CLIENT_DEFAULT_API };
	buf_init(&client->message, 0);
}

void client_fini(struct client *client)
{
	buf_fini(&client->message);
}

void client_escape(struct buf *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool is_plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
				strchr("-._~", c);

		if (is_plain)
			buf_append_byte(out, c);
		else
			buf_printf(out, "%%%02X", c);
	}
}

static int complain(struct client *client, int rc, const char *doing)
{
	buf_clear(&client->message);
	buf_printf(&client->message, "cannot %s %s: %s", doing, client->api, strerror(-rc));
	if (rc == -ECONNREFUSED)
		buf_append_text(&client->message,
				"; start it with `spanwise serve`, or name its address with "
				"--api or SPANWISE_API");
	return rc;
}

static int open_socket(struct client *client)
{
	struct timeval timeout = { .tv_sec = CLIENT_TIMEOUT_S };
	struct sockaddr_storage address;
	int fd;

	if (address_parse(client->api, &address) < 0) {
		buf_clear(&client->message);
		buf_printf(&client->message, "'%s' is no address: write it like %s", client->api,
			   CLIENT_DEFAULT_API);
		return -EINVAL;
	}
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return complain(client, -errno, "open a socket to");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&address, address_bytes(&address)) < 0) {
		int rc = -errno;

		close(fd);
		return complain(client, rc, "reach the daemon at");
	}
	return fd;
}

static int send_all(int fd, struct str bytes)
{
	while (bytes.len) {
		ssize_t sent = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -errno;
		bytes.data += sent;
		bytes.len -= (size_t)sent;
	}
	return 0;
}

/* To the end of the stream: we ask for "Connection: close". */
static int receive_all(int fd, struct buf *out)
{
	for (;;) {
		char *room = buf_reserve(out, READ_BYTES);
		ssize_t got;

		if (!room)
			return buf_error(out);
		got = recv(fd, room, READ_BYTES, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (got == 0)
			return 0;
		out->len += (size_t)got;
	}
}

static int exchange(struct client *client, const char *path, struct buf *answer)
{
	struct buf request;
	int fd = open_socket(client), rc;

	if (fd < 0)
		return fd;
	buf_init(&request, 0);
	buf_printf(&request,
		   "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: spanwise\r\n"
		   "Accept: application/json\r\nConnection: close\r\n\r\n",
		   path, address_unix_path(client->api) ? "localhost" : client->api);
	rc = buf_error(&request) ? buf_error(&request) : send_all(fd, buf_str(&request));
	if (rc == 0)
		rc = receive_all(fd, answer);
	buf_fini(&request);
	close(fd);
	return rc < 0 ? complain(client, rc, "talk to the daemon at") : 0;
}

/* The daemon always says how long the body is; an answer cut short is none. */
static int split(struct str answer, struct buf *out_body)
{
	const char *end = memmem(answer.data, answer.len, "\r\n\r\n", 4);
	const char *length;
	size_t head_len, body_len;
	int status;

	if (!end || answer.len < 12 || memcmp(answer.data, "HTTP/1.", 7) != 0)
		return -EPROTO;
	status = atoi(answer.data + 9);
	head_len = (size_t)(end - answer.data) + 4;
	length = memmem(answer.data, head_len, "\r\nContent-Length: ", 18);
	body_len = length ? strtoull(length + 18, NULL, 10) : answer.len - head_len;
	if (status < 100 || body_len != answer.len - head_len)
		return -EPROTO;
	buf_append(out_body, end + 4, body_len);
	return buf_error(out_body) ? buf_error(out_body) : status;
}

int client_get(struct client *client, const char *path, struct buf *out_body)
{
	struct buf answer;
	int rc;

	buf_init(&answer, CLIENT_MAX_BYTES);
	rc = exchange(client, path, &answer);
	if (rc == 0) {
		rc = split(buf_str(&answer), out_body);
		if (rc < 0)
			complain(client, rc, "understand what answers at");
	}
	buf_fini(&answer);
	return rc;
}

static int read_error(struct client *client, int status, const struct json_value *root)
{
	const struct json_value *error = json_read_get(root, "error");
	const char *message = json_read_text(error, "message");

	buf_clear(&client->message);
	if (*message)
		buf_append_text(&client->message, message);
	else
		buf_printf(&client->message, "%s answers HTTP status %d: is it spanwise?",
			   client->api, status);
	return status == 404 ? -ENOENT : -EINVAL;
}

int client_get_json(struct client *client, const char *path, struct json_value **out_root)
{
	struct json_value *root = NULL;
	struct buf body;
	int rc;

	buf_init(&body, CLIENT_MAX_BYTES);
	rc = client_get(client, path, &body);
	if (rc >= 0) {
		int status = rc;

		rc = json_read(buf_str(&body), &root, NULL);
		if (status != 200)
			rc = read_error(client, status, root);
		else if (rc < 0)
			complain(client, rc, "understand what answers at");
	}
	buf_fini(&body);
	if (rc < 0) {
		json_read_free(root);
		return rc;
	}
	*out_root = root;
	return 0;
}
