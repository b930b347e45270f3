/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void every_length_of_varint_comes_back(void **state)
{
	(void)state;
	for (int bit = 0; bit <= 64; bit++) {
		uint64_t value = bit == 64 ? UINT64_MAX : (1ull << bit) - (bit % 3 == 0), found;
		struct wire_reader reader;
		struct buf buf = { 0 };

		wire_put_varint(&buf, value);
		assert_int_equal(buf.len, wire_varint_bytes(value));
		reader = wire_read(buf_str(&buf));
		assert_true(wire_get_varint(&reader, &found));
		assert_true(found == value);
		assert_ptr_equal(reader.at, reader.end);
		reader = wire_read((struct str){ buf.data, buf.len - 1 });
		assert_false(wire_get_varint(&reader, &found));
		buf_fini(&buf);
	}
}

static int read_one(struct str bytes, struct wire_field *out_field)
{
	struct wire_reader reader = wire_read(bytes);

	return wire_next(&reader, out_field);
}

static void numbers_of_more_than_64_bits_are_refused(void **state)
{
	struct wire_field field;

	(void)state;
	assert_int_equal(read_one(STR("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), &field), 1);
	assert_true(field.value == UINT64_MAX);
	assert_int_equal(read_one(STR("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), &field),
			 -EBADMSG);
	assert_int_equal(read_one(STR("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), &field),
			 -EBADMSG);
}

static void fields_come_back_with_their_raw_bytes(void **state)
{
	struct wire_reader reader;
	struct wire_field field;
	struct buf buf = { 0 };

	(void)state;
	wire_put_uint(&buf, 1, 300);
	wire_put_bytes(&buf, 536870911, STR("text"));
	wire_put_fixed64(&buf, 3, 0x0102030405060708ull);
	buf_append_str(&buf, STR("\x25\x01\x02\x03\x04"));
	reader = wire_read(buf_str(&buf));
	assert_int_equal(wire_next(&reader, &field), 1);
	assert_int_equal(field.number, 1);
	assert_int_equal(field.value, 300);
	assert_true(str_eq(field.raw, STR("\x08\xac\x02")));
	assert_int_equal(wire_next(&reader, &field), 1);
	assert_int_equal(field.number, 536870911);
	assert_true(str_eq(field.bytes, STR("text")));
	assert_int_equal(field.raw.len, 10);
	assert_int_equal(wire_next(&reader, &field), 1);
	assert_int_equal(field.type, WIRE_FIXED64);
	assert_true(field.value == 0x0102030405060708ull);
	assert_int_equal(wire_next(&reader, &field), 1);
	assert_int_equal(field.type, WIRE_FIXED32);
	assert_int_equal(field.value, 0x04030201);
	assert_int_equal(wire_next(&reader, &field), 0);
	buf_fini(&buf);
}

static void groups_are_skipped_whole_and_must_match(void **state)
{
	struct wire_field field;
	char deep[80];

	(void)state;
	assert_int_equal(read_one(STR("\x0b\x10\x07\x1b\x1c\x22\x01x\x0c"), &field), 1);
	assert_int_equal(field.type, WIRE_GROUP_START);
	assert_int_equal(field.raw.len, 9);
	assert_int_equal(read_one(STR("\x0b\x10\x07"), &field), -EBADMSG);
	assert_int_equal(read_one(STR("\x0b\x14"), &field), -EBADMSG);
	assert_int_equal(read_one(STR("\x0c"), &field), -EBADMSG);
	memset(deep, 0x0b, 40);
	memset(deep + 40, 0x0c, 40);
	assert_int_equal(read_one((struct str){ deep, 80 }, &field), -EBADMSG);
	assert_int_equal(read_one((struct str){ deep + 10, 60 }, &field), 1);
}

static void what_is_not_protobuf_is_refused(void **state)
{
	static const struct str bad[] = {
		STR("\x00"),         /* field 0 */
		STR("\x0e"),         /* wire types 6 and 7 */
		STR("\x0f"),         /* */
		STR("\x08"),         /* cut off in every type */
		STR("\x0a\x05text"), /* */
		STR("\x09"
		    "1234567"), /* */
		STR("\x0d"
		    "123"),                                          /* */
		STR("\x80"),                                         /* a tag that does not end */
		STR("\x88\x80\x80\x80\x10\x01"),                     /* a field number of 30 bits */
		STR("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* a length of 2^64-1 */
	};
	struct wire_field field;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(read_one(bad[i], &field), -EBADMSG);
	assert_int_equal(read_one((struct str){ NULL, 0 }, &field), 0);
}

static void zigzag_keeps_small_numbers_small(void **state)
{
	static const int64_t values[] = { 0, -1, 1, -64, 63, INT64_MIN, INT64_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		assert_true(wire_unzigzag(wire_zigzag(values[i])) == values[i]);
	assert_int_equal(wire_zigzag(-1), 1);
	assert_int_equal(wire_zigzag(1), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_of_varint_comes_back),
		cmocka_unit_test(numbers_of_more_than_64_bits_are_refused),
		cmocka_unit_test(fields_come_back_with_their_raw_bytes),
		cmocka_unit_test(groups_are_skipped_whole_and_must_match),
		cmocka_unit_test(what_is_not_protobuf_is_refused),
		cmocka_unit_test(zigzag_keeps_small_numbers_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
