/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/net/origins.h"

#include <string.h>

bool origins_allow(const char *list, struct str origin)
{
	const char *at = list;

	while (at && *at && origin.len) {
		size_t len = strcspn(at, ", ");
		struct str one = { at, len };

		if (str_eq(one, origin) || str_eq(one, STR("*")))
			return true;
		at += len;
		at += strspn(at, ", ");
	}
	return false;
}

bool origins_is_preflight(const char *list, struct str method, struct str origin, struct str wanted)
{
	return str_eq(method, STR("OPTIONS")) && wanted.len && origins_allow(list, origin);
}

void origins_put(const char *list, struct str origin, struct buf *out)
{
	if (!list || !*list)
		return;
	buf_append_text(out, "Vary: Origin\r\n");
	if (origins_allow(list, origin))
		buf_printf(out, "Access-Control-Allow-Origin: %.*s\r\n", (int)origin.len,
			   origin.data);
}

void origins_put_preflight(const char *methods, const char *headers, struct buf *out)
{
	buf_printf(out,
		   "Access-Control-Allow-Methods: %s\r\nAccess-Control-Max-Age: %d\r\n"
		   "Access-Control-Allow-Headers: %s\r\n",
		   methods, ORIGINS_MAX_AGE_S, headers);
}
