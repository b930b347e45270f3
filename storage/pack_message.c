/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/pack_message.h"

#include <string.h>

/* opentelemetry/proto/trace/v1/trace.proto */
enum { TRACE_ID = 1, SPAN_ID = 2, PARENT_ID = 4, NAME = 5, START = 7, END = 8 };

/* The tags of fields up to 15 are one byte. */
#define TAG(number, type) ((number) << 3 | (type))

/* What of the row stands behind this tag; length 0: nothing. Length-delimited fields have their
 * length in front. */
static struct str known_value(const struct block_span *row, uint8_t tag)
{
	switch (tag) {
	case TAG(TRACE_ID, WIRE_BYTES):
		return (struct str){ (const char *)row->trace_id, TRACE_ID_BYTES };
	case TAG(SPAN_ID, WIRE_BYTES):
		return (struct str){ (const char *)row->span_id, SPAN_ID_BYTES };
	case TAG(PARENT_ID, WIRE_BYTES):
		return (struct str){ (const char *)row->parent_span_id, SPAN_ID_BYTES };
	case TAG(START, WIRE_FIXED64):
		return (struct str){ (const char *)&row->start_unix_ns, sizeof(uint64_t) };
	case TAG(END, WIRE_FIXED64):
		return (struct str){ (const char *)&row->end_unix_ns, sizeof(uint64_t) };
	default:
		return (struct str){ 0 };
	}
}

/* How many bytes stand in front of the value: the tag, and a length that fits; 0: another length.
 */
static size_t head_bytes(const char *at, const char *end, struct str value)
{
	if ((*at & 7) == WIRE_FIXED64)
		return 1;
	return end - at >= 2 && (uint8_t)at[1] == value.len ? 2 : 0;
}

/* Moves on by one field. */
static bool strip_field(const struct block_span *row, struct wire_reader *reader, struct buf *out)
{
	const char *at = reader->at;
	struct str value = known_value(row, (uint8_t)*at);
	size_t head = value.len ? head_bytes(at, reader->end, value) : 0;
	struct wire_field field;

	if (wire_next(reader, &field) <= 0)
		return false;
	if (head == 0) {
		buf_append_str(out, field.raw);
		return true;
	}
	if (field.raw.len != head + value.len || memcmp(at + head, value.data, value.len) != 0)
		return false;
	buf_append(out, at, head);
	return true;
}

/* false: it does not say what the row says. */
static bool strip(const struct block_span *row, struct str message, struct buf *out)
{
	struct wire_reader reader = wire_read(message);

	while (reader.at < reader.end) {
		if (!strip_field(row, &reader, out))
			return false;
	}
	return true;
}

static struct str name_in(struct str message)
{
	struct wire_reader reader = wire_read(message);
	struct str name = { NULL, 0 };
	struct wire_field field;

	while (wire_next(&reader, &field) > 0) {
		if (field.number == NAME && field.type == WIRE_BYTES)
			name = field.bytes;
	}
	return name;
}

struct pack_message pack_message_keep(struct coder *coder, const struct block_span *row,
				      struct str bytes, struct str name)
{
	struct buf *text = &coder->columns[COLUMN_TEXT].bytes;
	struct pack_message message = { .len = (uint32_t)bytes.len };
	size_t before = text->len;

	if (strip(row, bytes, text)) {
		message.form |= PACK_MESSAGE_STRIPPED;
	} else {
		text->len = before;
		buf_append_str(text, bytes);
	}
	if (str_eq(name_in(bytes), name))
		message.form |= PACK_MESSAGE_HAS_NAME;
	message.kept_len = (uint32_t)(text->len - before);
	return message;
}

/* What was cut out is mostly the same number of bytes. */
void pack_message_code(struct pack_message *message, struct coder *coder)
{
	uint32_t cut = message->len - message->kept_len;

	coder_byte(coder, COLUMN_TEXT_FORM, &message->form,
		   PACK_MESSAGE_STRIPPED | PACK_MESSAGE_HAS_NAME);
	coder_number32(coder, COLUMN_TEXT_LEN, &message->len);
	if (message->form & PACK_MESSAGE_STRIPPED)
		coder_number32(coder, COLUMN_TEXT_LEN, &cut);
	else
		cut = 0;
	if (cut > message->len)
		coder_fail(coder);
	message->kept_len = message->len - cut;
	if (!(message->form & PACK_MESSAGE_HAS_NAME))
		coder_number32(coder, COLUMN_WORD, &message->name);
	coder_number32(coder, COLUMN_WORD, &message->peer);
}

struct message {
	char *start, *at, *end;
};

static bool put(struct message *message, const char *data, size_t len)
{
	if (len > (size_t)(message->end - message->at))
		return false;
	memcpy(message->at, data, len);
	message->at += len;
	return true;
}

static bool restore_field(struct message *message, const struct block_span *row,
			  struct wire_reader *reader, struct block_slice *name)
{
	struct str value = known_value(row, (uint8_t)*reader->at);
	size_t head = value.len ? head_bytes(reader->at, reader->end, value) : 0;
	struct wire_field field;

	if (head) {
		const char *at = reader->at;

		reader->at += head;
		return put(message, at, head) && put(message, value.data, value.len);
	}
	if (wire_next(reader, &field) <= 0 || !put(message, field.raw.data, field.raw.len))
		return false;
	if (field.number == NAME && field.type == WIRE_BYTES)
		*name = (struct block_slice){
			(uint32_t)((size_t)(message->at - message->start) - field.bytes.len),
			(uint32_t)field.bytes.len,
		};
	return true;
}

bool pack_message_restore(const struct pack_message *message, const struct block_span *row,
			  const char *kept, char *out_bytes, struct block_slice *out_name)
{
	struct message out = { out_bytes, out_bytes, out_bytes + message->len };
	struct wire_reader reader = wire_read((struct str){ kept, message->kept_len });
	struct str name;

	*out_name = (struct block_slice){ 0 };
	if (!(message->form & PACK_MESSAGE_STRIPPED)) {
		memcpy(out_bytes, kept, message->kept_len);
		name = name_in((struct str){ out_bytes, message->len });
		if (name.len)
			*out_name = (struct block_slice){ (uint32_t)(name.data - out_bytes),
							  (uint32_t)name.len };
		return true;
	}
	while (reader.at < reader.end) {
		if (!restore_field(&out, row, &reader, out_name))
			return false;
	}
	return out.at == out.end;
}
