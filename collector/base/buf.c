/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/buf.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

void buf_init(struct buf *buf, size_t limit_bytes)
{
	*buf = (struct buf){ .limit_bytes = limit_bytes };
}

void buf_fini(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){ .limit_bytes = buf->limit_bytes };
}

void buf_clear(struct buf *buf)
{
	buf->len = 0;
	buf->error = 0;
}

char *buf_reserve(struct buf *buf, size_t len)
{
	size_t need;

	if (buf->error)
		return NULL;
	if (__builtin_add_overflow(buf->len, len, &need) ||
	    (buf->limit_bytes && need > buf->limit_bytes)) {
		buf->error = -EMSGSIZE;
		return NULL;
	}
	if (need > buf->cap || !buf->data) {
		size_t cap = MAX(MAX(need, buf->cap + buf->cap / 2), (size_t)256);
		char *data = realloc(buf->data, cap);

		if (!data) {
			buf->error = -ENOMEM;
			return NULL;
		}
		buf->data = data;
		buf->cap = cap;
	}
	return buf->data + buf->len;
}

void buf_append_str(struct buf *buf, struct str text)
{
	buf_append(buf, text.data, text.len);
}

void buf_append_text(struct buf *buf, const char *text)
{
	buf_append(buf, text, strlen(text));
}

/* In the room that is there: mostly it is enough. */
static bool print_into_room(struct buf *buf, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

static bool print_into_room(struct buf *buf, const char *format, va_list args)
{
	size_t room = buf->error || buf->limit_bytes ? 0 : buf->cap - buf->len;
	int len = room ? vsnprintf(buf->data + buf->len, room, format, args) : -1;

	if (len < 0 || (size_t)len >= room)
		return false;
	buf->len += (size_t)len;
	return true;
}

void buf_vprintf(struct buf *buf, const char *format, va_list args)
{
	const size_t nul = buf->limit_bytes ? 1 : 0; /* written, but it does not stay */
	va_list again;
	bool is_done;
	char *room;
	int len;

	va_copy(again, args);
	is_done = print_into_room(buf, format, again);
	va_end(again);
	if (is_done)
		return;
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (len < 0)
		return;
	buf->limit_bytes += nul;
	room = buf_reserve(buf, (size_t)len + 1);
	buf->limit_bytes -= nul;
	if (!room)
		return;
	vsnprintf(room, (size_t)len + 1, format, args);
	buf->len += (size_t)len;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_vprintf(buf, format, args);
	va_end(args);
}

void buf_consume(struct buf *buf, size_t len)
{
	len = MIN(len, buf->len);
	if (buf->len > len)
		memmove(buf->data, buf->data + len, buf->len - len);
	buf->len -= len;
}
