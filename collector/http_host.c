/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/http_host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Splits at the colon before the port; brackets around an IPv6 address go. */
static bool split(struct str text, struct str *out_host, struct str *out_port)
{
	const char *colon = text.len ? memrchr(text.data, ':', text.len) : NULL;
	const char *bracket = text.len ? memrchr(text.data, ']', text.len) : NULL;

	if (bracket && colon && colon < bracket)
		colon = NULL;
	*out_host = text;
	*out_port = (struct str){ NULL, 0 };
	if (colon) {
		out_host->len = (size_t)(colon - text.data);
		*out_port = (struct str){ colon + 1, text.len - out_host->len - 1 };
	}
	if (out_host->len && out_host->data[0] == '[') {
		if (out_host->len < 3 || out_host->data[out_host->len - 1] != ']')
			return false;
		out_host->data++;
		out_host->len -= 2;
	}
	return out_host->len > 0;
}

static bool parse_port(struct str text, uint16_t *out_port)
{
	unsigned port = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		port = port * 10 + (unsigned)(text.data[i] - '0');
		if (port > UINT16_MAX)
			return false;
	}
	*out_port = (uint16_t)port;
	return text.len > 0;
}

static bool eq_nocase(struct str a, const char *b)
{
	return a.len == strlen(b) && strncasecmp(a.data, b, a.len) == 0;
}

int http_host_parse(const char *address, struct sockaddr_storage *out_address)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out_address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out_address;
	struct str host, port_text;
	char text[INET6_ADDRSTRLEN];
	uint16_t port;

	if (!split(str_of(address), &host, &port_text) || !parse_port(port_text, &port) ||
	    host.len >= sizeof(text))
		return -EINVAL;
	memcpy(text, host.data, host.len);
	text[host.len] = '\0';
	if (eq_nocase(host, "localhost"))
		snprintf(text, sizeof(text), "127.0.0.1");
	memset(out_address, 0, sizeof(*out_address));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
		return -EINVAL;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	return 0;
}

bool http_host_is_loopback(const struct sockaddr *address)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

	if (address->sa_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

bool http_host_is_local(struct str text)
{
	struct str host, port_text;
	uint16_t port;

	if (!split(text, &host, &port_text) || (port_text.data && !parse_port(port_text, &port)))
		return false;
	return eq_nocase(host, "localhost") || eq_nocase(host, "127.0.0.1") ||
	       (eq_nocase(host, "::1") && text.data[0] == '[');
}

void http_host_format(const struct sockaddr *address, char *out_text, size_t size)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
	char host[INET6_ADDRSTRLEN] = "";

	if (address->sa_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		snprintf(out_text, size, "%s:%u", host, ntohs(v4->sin_port));
	} else {
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		snprintf(out_text, size, "[%s]:%u", host, ntohs(v6->sin6_port));
	}
}
