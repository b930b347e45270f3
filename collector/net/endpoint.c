/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/net/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "collector/address.h"

static void on_handle_closed(uv_handle_t *handle)
{
	struct endpoint *endpoint = (struct endpoint *)(void *)handle;

	endpoint->on_closed(endpoint->arg);
}

/* libuv makes the socket by itself when it is bound; the option must be set before. */
static int share_port(uv_tcp_t *tcp)
{
	int on = 1;
	uv_os_fd_t fd;

	if (uv_fileno((uv_handle_t *)tcp, &fd) < 0)
		return -EBADF;
	return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ? -errno : 0;
}

static int bind_tcp(struct endpoint *endpoint, const struct endpoint_options *options,
		    char *out_address, size_t size)
{
	struct sockaddr_storage address;
	int len = sizeof(address);
	int rc = address_parse(options->address, &address);

	if (rc < 0)
		address.ss_family = AF_INET;
	uv_tcp_init_ex(options->loop, &endpoint->uv.tcp, address.ss_family);
	if (rc == 0 && options->is_shared)
		rc = share_port(&endpoint->uv.tcp);
	if (rc == 0)
		rc = uv_tcp_bind(&endpoint->uv.tcp, (struct sockaddr *)&address, 0);
	if (rc == 0)
		/* bind(2) reports a port in use only now: libuv keeps it for listen. */
		rc = uv_tcp_getsockname(&endpoint->uv.tcp, (struct sockaddr *)&address, &len);
	if (rc == 0)
		address_format(&address, out_address, size);
	return rc;
}

/* A socket file that a process left behind when it was killed: connecting is refused. */
static bool is_stale(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat status;
	int fd;
	bool refused;

	if (lstat(path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	memcpy(address.sun_path, path, strlen(path));
	refused = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 &&
		  errno == ECONNREFUSED;
	close(fd);
	return refused;
}

static int bind_unix(struct endpoint *endpoint, const struct endpoint_options *options,
		     char *out_address, size_t size)
{
	const char *path = address_unix_path(options->address);
	int rc;

	uv_pipe_init(options->loop, &endpoint->uv.pipe, 0);
	if (is_stale(path))
		unlink(path);
	rc = uv_pipe_bind(&endpoint->uv.pipe, path);
	if (rc < 0)
		return rc;
	snprintf(endpoint->path, sizeof(endpoint->path), "%s", path);
	snprintf(out_address, size, "%s", options->address);
	return chmod(path, options->unix_mode) < 0 ? -errno : 0;
}

int endpoint_bind(struct endpoint *endpoint, const struct endpoint_options *options,
		  void (*on_closed)(void *arg), void *arg, char *out_address, size_t size)
{
	int rc;

	*endpoint = (struct endpoint){ .on_closed = on_closed, .arg = arg };
	rc = address_unix_path(options->address) ? bind_unix(endpoint, options, out_address, size)
						 : bind_tcp(endpoint, options, out_address, size);
	if (rc < 0)
		endpoint_close(endpoint);
	return rc;
}

int endpoint_listen(struct endpoint *endpoint, int backlog, uv_connection_cb on_connection)
{
	return uv_listen(&endpoint->uv.stream, backlog, on_connection);
}

void endpoint_close(struct endpoint *endpoint)
{
	if (uv_is_closing(&endpoint->uv.handle))
		return;
	if (*endpoint->path)
		unlink(endpoint->path);
	uv_close(&endpoint->uv.handle, on_handle_closed);
}
