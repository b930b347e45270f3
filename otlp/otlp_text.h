/* SPDX-License-Identifier: Apache-2.0 */
/* Strings of OTLP that are not UTF-8: protobuf forbids them, clients send them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "collector/base/str.h"
#include "otlp/otlp_schema.h"

/* Nearly everything is ASCII, and that is quickly seen: eight bytes at a time, the last eight
 * overlapping. */
static inline bool otlp_text_is_ascii(struct str text)
{
	const uint64_t high_bits = 0x8080808080808080ull;
	uint64_t word, seen = 0;
	uint32_t half;

	if (text.len < sizeof(word) && text.len >= sizeof(half)) {
		memcpy(&half, text.data, sizeof(half));
		seen = half;
		memcpy(&half, text.data + text.len - sizeof(half), sizeof(half));
		return !((seen | half) & high_bits);
	}
	if (text.len < sizeof(word)) {
		for (size_t i = 0; i < text.len; i++)
			seen |= (uint8_t)text.data[i];
		return !(seen & 0x80);
	}
	for (size_t i = 0; i + sizeof(word) <= text.len; i += sizeof(word)) {
		memcpy(&word, text.data + i, sizeof(word));
		seen |= word;
	}
	memcpy(&word, text.data + text.len - sizeof(word), sizeof(word));
	return !((seen | word) & high_bits);
}

/* Puts '?' in the place of every byte that is no part of a character; the length stays. The text
 * must lie in memory that may be written. true: something was replaced. */
bool otlp_text_mend(struct str text);

/* Mends all strings of a message, which must be valid protobuf of bounded depth. Returns how many
 * were replaced. */
uint32_t otlp_text_mend_message(struct str message, const struct otlp_member *members);
