/* SPDX-License-Identifier: Apache-2.0 */
/* A byte buffer that grows: what encoders write into.
 *
 * The first failure (out of memory, or the limit) sticks: later appends do nothing and buf_error
 * tells at the end. So write ten things and check once. Not thread safe. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/base/str.h"

struct buf {
	char *data; /* owned */
	size_t len;
	size_t cap;
	size_t limit_bytes; /* 0: none */
	int error;          /* 0, -ENOMEM or -EMSGSIZE */
};

void buf_init(struct buf *buf, size_t limit_bytes);
void buf_fini(struct buf *buf);
void buf_clear(struct buf *buf);

void buf_append_str(struct buf *buf, struct str text);
void buf_append_text(struct buf *buf, const char *text);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *buf, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/* Room for `len` more bytes, to be filled by the caller, who then adds to buf->len. NULL: failed.
 */
char *buf_reserve(struct buf *buf, size_t len);

static inline void buf_append(struct buf *buf, const void *data, size_t len)
{
	char *room;

	if (len == 0)
		return;
	/* mostly there is room enough, and no limit is closer than that */
	room = !buf->error && buf->len + len <= buf->cap && !buf->limit_bytes
		       ? buf->data + buf->len
		       : buf_reserve(buf, len);
	if (!room)
		return;
	memcpy(room, data, len);
	buf->len += len;
}

static inline void buf_append_byte(struct buf *buf, uint8_t byte)
{
	buf_append(buf, &byte, 1);
}

/* Removes the first `len` bytes. */
void buf_consume(struct buf *buf, size_t len);

static inline int buf_error(const struct buf *buf)
{
	return buf->error;
}

static inline struct str buf_str(const struct buf *buf)
{
	return (struct str){ buf->data, buf->len };
}
