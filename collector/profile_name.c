/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/profile_name.h"

#include <stdio.h>

#include "collector/base/macros.h"

#define MAX_NAME 512
#define MAX_FILE 400

static bool ends_in(struct str text, struct str end)
{
	return text.len >= end.len &&
	       memcmp(text.data + text.len - end.len, end.data, end.len) == 0;
}

static bool is_of_node(struct str file)
{
	return file.len > 5 && memcmp(file.data, "node:", 5) == 0;
}

static bool is_script(struct str file)
{
	static const char *const ends[] = { ".py",  ".pyx", ".rb", ".js",
					    ".mjs", ".cjs", ".ts", ".php" };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		if (ends_in(file, str_of(ends[i])))
			return true;
	}
	return is_of_node(file);
}

static struct str from(struct str file, const char *at)
{
	return (struct str){ at, (size_t)(file.data + file.len - at) };
}

/* A library's file from its package on, as py-spy has it; one's own by its last part. */
static struct str shorten(struct str file)
{
	static const char *const packages[] = { "site-packages/", "node_modules/", "/gems/",
						"/lib/ruby/" };
	const char *at, *slash = memrchr(file.data, '/', file.len);

	if (is_of_node(file))
		return file;
	for (size_t i = 0; i < ARRAY_LEN(packages); i++) {
		at = memmem(file.data, file.len, packages[i], strlen(packages[i]));
		if (at)
			return from(file, at);
	}
	at = memmem(file.data, file.len, "/lib/python", 11);
	at = at ? memchr(at + 11, '/', (size_t)(file.data + file.len - at - 11)) : NULL;
	if (at)
		return from(file, at + 1);
	return slash ? from(file, slash + 1) : file;
}

struct str profile_name_of(struct str name, struct str file, char *room, size_t room_bytes)
{
	int len;

	if (!name.len || !file.len || memmem(name.data, name.len, " (", 2) || !is_script(file))
		return name;
	file = shorten(file);
	len = snprintf(room, room_bytes, "%.*s (%.*s)", (int)MIN(name.len, (size_t)MAX_NAME),
		       name.data, (int)MIN(file.len, (size_t)MAX_FILE), file.data);
	return (struct str){ room, MIN((size_t)len, room_bytes - 1) };
}
