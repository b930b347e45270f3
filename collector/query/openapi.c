/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/openapi.json: the file of that name beside this one, as it was at build time. */
#include "collector/query.h"

__asm__(".section .rodata\n"
	".balign 8\n"
	"openapi_begin:\n"
	".incbin \"collector/query/openapi.json\"\n"
	"openapi_end:\n"
	".previous\n");

extern const char openapi_begin[], openapi_end[];

void openapi_query(struct query *query)
{
	if (query_check(query) < 0)
		return;
	query->answer->has_etag = true;
	buf_append(&query->answer->body, openapi_begin, (size_t)(openapi_end - openapi_begin));
}
