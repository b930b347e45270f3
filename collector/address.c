/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define HOST_BYTES 64

static bool parse_port(const char *text, uint16_t *out_port)
{
	unsigned port = 0;
	size_t len = strlen(text);

	if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
		return false;
	for (size_t i = 0; i < len; i++)
		port = port * 10 + (unsigned)(text[i] - '0');
	*out_port = (uint16_t)port;
	return port <= UINT16_MAX;
}

/* "127.0.0.1:1" and "[::1]:1" fall into host and port. */
static bool split(const char *text, char host[HOST_BYTES], uint16_t *out_port)
{
	const char *colon = strrchr(text, ':');
	const char *from = text, *to = colon;

	if (!colon || !parse_port(colon + 1, out_port))
		return false;
	if (*text == '[') {
		if (colon == text || colon[-1] != ']')
			return false;
		from = text + 1;
		to = colon - 1;
	}
	if (to < from || (size_t)(to - from) >= HOST_BYTES)
		return false;
	memcpy(host, from, (size_t)(to - from));
	host[to - from] = '\0';
	return true;
}

const char *address_unix_path(const char *text)
{
	static const char prefix[] = "unix:";
	const char *path = text + sizeof(prefix) - 1;

	if (strncmp(text, prefix, sizeof(prefix) - 1) != 0 || *path != '/' ||
	    strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return NULL;
	return path;
}

int address_parse(const char *text, struct sockaddr_storage *out_address)
{
	char host[HOST_BYTES];
	uint16_t port;
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_un local = { .sun_family = AF_UNIX };

	if (address_unix_path(text)) {
		strcpy(local.sun_path, address_unix_path(text));
		memset(out_address, 0, sizeof(*out_address));
		memcpy(out_address, &local, sizeof(local));
		return 0;
	}
	if (!split(text, host, &port))
		return -EINVAL;
	if (*text != '[' && strcmp(host, "localhost") == 0)
		strcpy(host, "127.0.0.1");
	memset(out_address, 0, sizeof(*out_address));
	if (*text == '[' && inet_pton(AF_INET6, host, &in6.sin6_addr) == 1) {
		in6.sin6_port = htons(port);
		memcpy(out_address, &in6, sizeof(in6));
		return 0;
	}
	if (*text != '[' && inet_pton(AF_INET, host, &in4.sin_addr) == 1) {
		in4.sin_port = htons(port);
		memcpy(out_address, &in4, sizeof(in4));
		return 0;
	}
	return -EINVAL;
}

enum address_scope address_check(const char *text)
{
	struct sockaddr_storage address;
	bool is_loopback;

	if (address_unix_path(text))
		return ADDRESS_UNIX;
	if (address_parse(text, &address) < 0)
		return ADDRESS_INVALID;
	if (address.ss_family == AF_INET) {
		struct sockaddr_in in4;

		memcpy(&in4, &address, sizeof(in4));
		is_loopback = ntohl(in4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	} else {
		struct sockaddr_in6 in6;

		memcpy(&in6, &address, sizeof(in6));
		is_loopback = IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
	}
	return is_loopback ? ADDRESS_LOOPBACK : ADDRESS_ELSEWHERE;
}

socklen_t address_bytes(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_UNIX ? sizeof(struct sockaddr_un) : sizeof(*address);
}

void address_format(const struct sockaddr_storage *address, char *out_text, size_t size)
{
	char host[INET6_ADDRSTRLEN];

	*out_text = '\0';
	if (address->ss_family == AF_INET) {
		struct sockaddr_in in4;

		memcpy(&in4, address, sizeof(in4));
		inet_ntop(AF_INET, &in4.sin_addr, host, sizeof(host));
		snprintf(out_text, size, "%s:%u", host, ntohs(in4.sin_port));
	} else if (address->ss_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, address, sizeof(in6));
		inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof(host));
		snprintf(out_text, size, "[%s]:%u", host, ntohs(in6.sin6_port));
	}
}
