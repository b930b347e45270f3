/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/nth_alloc.h"

#define FEED(frame, literal, max)                                                                  \
	grpc_frame_feed(frame, (const uint8_t *)(literal), sizeof(literal) - 1, max)

static void pieces_of_any_size_make_one_message(void **state)
{
	const uint8_t bytes[] = "\0\0\0\0\5hello";
	size_t len;
	char *message;

	(void)state;
	for (size_t cut = 0; cut <= 10; cut++) {
		struct grpc_frame frame = { 0 };

		assert_int_equal(grpc_frame_feed(&frame, bytes, cut, 5).status, GRPC_OK);
		assert_int_equal(grpc_frame_end(&frame).status, cut == 0    ? GRPC_UNIMPLEMENTED
								: cut == 10 ? GRPC_OK
									    : GRPC_INTERNAL);
		assert_int_equal(grpc_frame_feed(&frame, bytes + cut, 10 - cut, 5).status, GRPC_OK);
		assert_int_equal(grpc_frame_end(&frame).status, GRPC_OK);
		assert_false(grpc_frame_is_compressed(&frame));
		message = grpc_frame_take(&frame, &len);
		assert_int_equal(len, 5);
		assert_memory_equal(message, "hello", 5);
		free(message);
		grpc_frame_fini(&frame);
	}
}

static void the_limit_is_checked_before_anything_is_kept(void **state)
{
	struct grpc_frame frame = { 0 };

	(void)state;
	assert_int_equal(FEED(&frame, "\0\0\0\0\6hello!", 5).status, GRPC_RESOURCE_EXHAUSTED);
	assert_null(frame.message);
	grpc_frame_fini(&frame);
}

static void an_announced_length_buys_64_kib_at_most(void **state)
{
	struct grpc_frame frame = { 0 };

	(void)state;
	assert_int_equal(FEED(&frame, "\0\x7f\xff\xff\xff", SIZE_MAX).status, GRPC_OK);
	assert_int_equal(frame.cap, 0);
	assert_int_equal(FEED(&frame, "x", SIZE_MAX).status, GRPC_OK);
	assert_int_equal(frame.cap, 65536);
	grpc_frame_fini(&frame);
}

static void a_large_message_ends_in_a_buffer_of_its_own_size(void **state)
{
	struct grpc_frame frame = { 0 };
	uint8_t piece[1000] = { 0 };

	(void)state;
	assert_int_equal(FEED(&frame, "\1\0\x03\x0d\x40", SIZE_MAX).status, GRPC_OK); /* 200,000 */
	for (int i = 0; i < 200; i++)
		assert_int_equal(grpc_frame_feed(&frame, piece, sizeof(piece), SIZE_MAX).status,
				 GRPC_OK);
	assert_int_equal(grpc_frame_end(&frame).status, GRPC_OK);
	assert_true(grpc_frame_is_compressed(&frame));
	assert_int_equal(frame.cap, 200000);
	grpc_frame_fini(&frame);
}

/* Three pieces of 64 KiB of a message of 16 MiB: how much memory is taken then? */
static size_t room_of(bool is_ample, bool is_open_ended)
{
	static const uint8_t piece[65536];
	struct grpc_frame frame = { .is_ample = is_ample };
	size_t cap;

	grpc_frame_start_bare(&frame, (size_t)16 << 20, !is_open_ended);
	for (int i = 0; i < 3; i++)
		assert_int_equal(grpc_frame_feed(&frame, piece, sizeof(piece), SIZE_MAX).status,
				 GRPC_OK);
	cap = frame.cap;
	grpc_frame_fini(&frame);
	return cap;
}

static void where_memory_is_ample_a_known_length_is_taken_at_once(void **state)
{
	(void)state;
	assert_int_equal(room_of(true, false), (size_t)16 << 20);
	assert_int_equal(room_of(false, false), (size_t)256 << 10);
	assert_int_equal(room_of(true, true), (size_t)256 << 10);
}

static void bytes_behind_the_message_are_a_second_one(void **state)
{
	struct grpc_frame frame = { 0 };

	(void)state;
	assert_int_equal(FEED(&frame, "\0\0\0\0\1ab", 5).status, GRPC_UNIMPLEMENTED);
	grpc_frame_fini(&frame);
}

static void flags_other_than_0_and_1_are_broken(void **state)
{
	struct grpc_frame frame = { 0 };

	(void)state;
	assert_int_equal(FEED(&frame, "\x80\0\0\0\0", 5).status, GRPC_INTERNAL);
}

static void no_memory_is_unavailable(void **state)
{
	struct grpc_frame frame = { 0 };

	(void)state;
	nth_alloc_arm(1);
	assert_int_equal(FEED(&frame, "\0\0\0\0\1a", 5).status, GRPC_UNAVAILABLE);
	assert_true(nth_alloc_disarm());
	grpc_frame_fini(&frame);
}

static void the_prefix_is_big_endian(void **state)
{
	uint8_t prefix[GRPC_FRAME_PREFIX_BYTES];

	(void)state;
	grpc_frame_put_prefix(prefix, 0x01020304);
	assert_memory_equal(prefix, "\0\1\2\3\4", 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_of_any_size_make_one_message),
		cmocka_unit_test(the_limit_is_checked_before_anything_is_kept),
		cmocka_unit_test(an_announced_length_buys_64_kib_at_most),
		cmocka_unit_test(a_large_message_ends_in_a_buffer_of_its_own_size),
		cmocka_unit_test(where_memory_is_ample_a_known_length_is_taken_at_once),
		cmocka_unit_test(bytes_behind_the_message_are_a_second_one),
		cmocka_unit_test(flags_other_than_0_and_1_are_broken),
		cmocka_unit_test(no_memory_is_unavailable),
		cmocka_unit_test(the_prefix_is_big_endian),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
