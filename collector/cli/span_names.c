/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/span_names.h"

#include <stdio.h>
#include <string.h>

static void ask(struct span_names *names, const char *trace_id, struct span_name *out)
{
	struct json_value *root;
	char path[128];

	snprintf(path, sizeof(path), "/api/v1/spans/%.32s/%.16s", trace_id, out->span_id);
	if (names->get(names->arg, path, &root) < 0)
		return;
	snprintf(out->name, sizeof(out->name), "%s", json_read_text(root, "name"));
	snprintf(out->service, sizeof(out->service), "%s", json_read_text(root, "service"));
	snprintf(out->verdict, sizeof(out->verdict), "%s",
		 json_read_text(json_read_get(root, "verdict"), "text"));
	json_read_free(root);
}

const struct span_name *span_names_find(struct span_names *names, const char *trace_id,
					const char *span_id)
{
	struct span_name *name;

	if (!names || !names->get || !*trace_id || !*span_id)
		return NULL;
	for (unsigned i = 0; i < names->count; i++) {
		if (strcmp(names->known[i].span_id, span_id) == 0)
			return &names->known[i];
	}
	if (names->count == SPAN_NAMES_MOST)
		return NULL;
	name = &names->known[names->count++];
	*name = (struct span_name){ 0 };
	snprintf(name->span_id, sizeof(name->span_id), "%s", span_id);
	ask(names, trace_id, name);
	return name;
}

void span_names_put(struct span_names *names, const struct term *term, const struct json_value *who,
		    struct buf *out)
{
	const struct span_name *name = span_names_find(names, json_read_text(who, "trace_id"),
						       json_read_text(who, "span_id"));

	if (!name || !name->name[0])
		return;
	buf_append_text(out, " (");
	term_text(term, name->name, 32, false, out);
	buf_append_text(out, " in ");
	term_text(term, name->service, 24, false, out);
	buf_append_byte(out, ')');
}
