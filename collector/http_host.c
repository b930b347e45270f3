/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/http_host.h"

#include <strings.h>

#include "collector/base/macros.h"

#define MAX_PORT_DIGITS 5

static bool is_port_or_nothing(struct str text)
{
	if (text.len == 0)
		return true;
	if (text.len < 2 || text.len > 1 + MAX_PORT_DIGITS || text.data[0] != ':')
		return false;
	for (size_t i = 1; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
	}
	return true;
}

bool http_host_is_local(struct str host)
{
	static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		size_t len = strlen(names[i]);

		if (host.len >= len && strncasecmp(host.data, names[i], len) == 0)
			return is_port_or_nothing((struct str){ host.data + len, host.len - len });
	}
	return false;
}
