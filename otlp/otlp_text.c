/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_text.h"

#include "collector/base/wire.h"

/* How many bytes the character at `at` has; 0: none begins here (Unicode 15, table 3-7). */
static size_t character_bytes(const uint8_t *at, size_t left)
{
	size_t len = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;

	if (len <= 1)
		return len;
	if (at[0] > 0xf4 || left < len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
	    (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
		return 0; /* longer than need be, a surrogate, or beyond Unicode */
	return len;
}

bool otlp_text_mend(struct str text)
{
	uint8_t *bytes = (uint8_t *)(uintptr_t)text.data;
	bool is_mended = false;

	for (size_t i = 0; i < text.len;) {
		size_t len = character_bytes(bytes + i, text.len - i);

		if (len == 0) {
			bytes[i++] = '?';
			is_mended = true;
		}
		i += len;
	}
	return is_mended;
}

static const struct otlp_member *find(const struct otlp_member *members, uint32_t number)
{
	while (members->name && members->number != number)
		members++;
	return members->name ? members : NULL;
}

static uint32_t mend_field(const struct wire_field *field, const struct otlp_member *member)
{
	switch (member->shape) {
	case OTLP_TEXT:
	case OTLP_TEXTS:
		return otlp_text_mend(field->bytes);
	case OTLP_MESSAGE:
	case OTLP_LIST:
		return otlp_text_is_ascii(field->bytes)
			       ? 0
			       : otlp_text_mend_message(field->bytes, member->members);
	default:
		return 0;
	}
}

uint32_t otlp_text_mend_message(struct str message, const struct otlp_member *members)
{
	struct wire_reader reader = wire_read(message);
	struct wire_field field;
	uint32_t mended = 0;

	while (wire_next(&reader, &field) > 0) {
		const struct otlp_member *member =
			field.type == WIRE_BYTES ? find(members, field.number) : NULL;

		if (member)
			mended += mend_field(&field, member);
	}
	return mended;
}
