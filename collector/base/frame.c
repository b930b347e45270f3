/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/frame.h"

#include <errno.h>
#include <inttypes.h>

#include "collector/base/macros.h"

static void put_text(struct buf *out, struct str text)
{
	size_t len = MIN(text.len, (size_t)FRAME_NAME_BYTES);

	wire_put_varint(out, len);
	buf_append(out, text.data, len);
}

void frame_put(struct buf *out, const struct frame *frame)
{
	buf_append_byte(out, (uint8_t)frame->kind);
	wire_put_varint(out, frame->address);
	put_text(out, frame->name);
	put_text(out, frame->module);
}

static bool get_text(struct wire_reader *reader, struct str *out_text)
{
	uint64_t len;

	if (!wire_get_varint(reader, &len) || len > FRAME_NAME_BYTES ||
	    len > (uint64_t)(reader->end - reader->at))
		return false;
	*out_text = (struct str){ reader->at, (size_t)len };
	reader->at += len;
	return true;
}

int frame_next(struct wire_reader *reader, struct frame *out_frame)
{
	struct frame frame;
	uint8_t kind;

	if (reader->at == reader->end)
		return 0;
	kind = (uint8_t)*reader->at++;
	if (kind > FRAME_UNKNOWN || !wire_get_varint(reader, &frame.address) ||
	    !get_text(reader, &frame.name) || !get_text(reader, &frame.module))
		return -EBADMSG;
	frame.kind = (enum frame_kind)kind;
	*out_frame = frame;
	return 1;
}

struct str frame_base_name(struct str path)
{
	for (size_t i = path.len; i > 0; i--) {
		if (path.data[i - 1] == '/')
			return (struct str){ path.data + i, path.len - i };
	}
	return path;
}

void frame_text(const struct frame *frame, struct buf *out)
{
	struct str module = frame_base_name(frame->module);

	if (frame->kind == FRAME_PYTHON && module.len)
		buf_printf(out, "%.*s: ", (int)module.len, module.data);
	if (frame->name.len)
		buf_append_str(out, frame->name);
	else if (module.len)
		buf_printf(out, "%.*s+0x%" PRIx64, (int)module.len, module.data, frame->address);
	else
		buf_append_text(out, "[unknown]");
}
