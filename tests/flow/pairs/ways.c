/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/flow/pairs/ways.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 16

void way_must(int is_done, const char *what)
{
	if (!is_done) {
		perror(what);
		abort();
	}
}

static void receive_all(int fd, uint8_t *bytes, size_t size)
{
	for (ssize_t got; size; size -= (size_t)got, bytes += got) {
		got = read(fd, bytes, size);
		way_must(got > 0, "read");
	}
}

/* ---- over the internet protocols */

static struct sockaddr_in here(const char *port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)atoi(port)),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int open_inet(int type, char *out_address, size_t bytes)
{
	struct sockaddr_in address = here("0");
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, type, 0);

	way_must(fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0, "bind");
	way_must(getsockname(fd, (struct sockaddr *)&address, &size) == 0, "getsockname");
	snprintf(out_address, bytes, "%u", ntohs(address.sin_port));
	return fd;
}

static int connect_inet(int type, const char *port)
{
	struct sockaddr_in address = here(port);
	int fd = socket(AF_INET, type, 0);

	way_must(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0,
		 "connect");
	return fd;
}

static int listen_tcp(char *out_address, size_t bytes)
{
	int fd = open_inet(SOCK_STREAM, out_address, bytes);

	way_must(listen(fd, BACKLOG) == 0, "listen");
	return fd;
}

static void take_stream(int listener, struct request *out_request)
{
	out_request->fd = accept(listener, NULL, NULL);
	way_must(out_request->fd >= 0, "accept");
	receive_all(out_request->fd, out_request->ids, REQUEST_BYTES);
}

static void answer_stream(struct request *request)
{
	way_must(write(request->fd, "x", 1) == 1, "write");
	close(request->fd);
}

static void ask(int fd, const uint8_t *ids)
{
	uint8_t byte;

	way_must(write(fd, ids, REQUEST_BYTES) == REQUEST_BYTES, "write");
	receive_all(fd, &byte, 1);
	close(fd);
}

static void call_tcp(const char *address, const uint8_t *ids)
{
	ask(connect_inet(SOCK_STREAM, address), ids);
}

static int listen_udp(char *out_address, size_t bytes)
{
	return open_inet(SOCK_DGRAM, out_address, bytes);
}

static void take_udp(int listener, struct request *out_request)
{
	out_request->fd = listener;
	out_request->from_bytes = sizeof(out_request->from);
	way_must(recvfrom(listener, out_request->ids, REQUEST_BYTES, 0,
			  (struct sockaddr *)&out_request->from,
			  &out_request->from_bytes) == REQUEST_BYTES,
		 "recvfrom");
}

static void answer_udp(struct request *request)
{
	way_must(sendto(request->fd, "x", 1, 0, (struct sockaddr *)&request->from,
			request->from_bytes) == 1,
		 "sendto");
}

static void call_udp(const char *address, const uint8_t *ids)
{
	ask(connect_inet(SOCK_DGRAM, address), ids);
}

/* ---- within the machine */

static int listen_unix(char *out_address, size_t bytes)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "store.socket" };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	unlink(address.sun_path);
	way_must(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "bind");
	way_must(listen(fd, BACKLOG) == 0, "listen");
	snprintf(out_address, bytes, "%s", address.sun_path);
	return fd;
}

static void call_unix(const char *path, const uint8_t *ids)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	way_must(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0,
		 "connect");
	ask(fd, ids);
}

/* Two FIFOs: requests and answers. */
#define REQUESTS "store.requests"
#define ANSWERS  "store.answers"

static int listen_pipe(char *out_address, size_t bytes)
{
	unlink(REQUESTS);
	unlink(ANSWERS);
	way_must(mkfifo(REQUESTS, 0600) == 0 && mkfifo(ANSWERS, 0600) == 0, "mkfifo");
	snprintf(out_address, bytes, "%s", REQUESTS);
	return open(REQUESTS, O_RDWR);
}

static void take_pipe(int listener, struct request *out_request)
{
	receive_all(listener, out_request->ids, REQUEST_BYTES);
	out_request->fd = open(ANSWERS, O_RDWR);
	way_must(out_request->fd >= 0, "open");
}

static void call_pipe(const char *address, const uint8_t *ids)
{
	int to = open(address, O_RDWR), from = open(ANSWERS, O_RDWR);
	uint8_t byte;

	way_must(to >= 0 && from >= 0, "open");
	way_must(write(to, ids, REQUEST_BYTES) == REQUEST_BYTES, "write");
	receive_all(from, &byte, 1);
	close(to);
	close(from);
}

const struct way *way_find(const char *name)
{
	static const struct way ways[] = {
		{ "tcp", listen_tcp, take_stream, answer_stream, call_tcp },
		{ "udp", listen_udp, take_udp, answer_udp, call_udp },
		{ "unix", listen_unix, take_stream, answer_stream, call_unix },
		{ "pipe", listen_pipe, take_pipe, answer_stream, call_pipe },
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strcmp(ways[i].name, name) == 0)
			return &ways[i];
	way_must(0, name);
	return NULL;
}
