/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/compress.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

typedef int pack_function(struct str plain, struct buf *out);
typedef int unpack_function(struct str packed, struct buf *out);

static int pack_zstd(struct str plain, struct buf *out)
{
	return compress_zstd(plain, 1, out);
}

static const struct codec {
	pack_function *pack;
	unpack_function *unpack;
} codecs[] = { { compress_gzip, compress_gunzip }, { pack_zstd, compress_unzstd } };

/* Half of it compresses well, half of it not at all. */
static struct buf sample(size_t len)
{
	struct buf plain = { 0 };
	uint64_t random = len;

	for (size_t i = 0; i < len; i++) {
		random = random * 6364136223846793005ull + 1;
		buf_append_byte(&plain, i % 2000 < 1000 ? 'x' : (uint8_t)(random >> 56));
	}
	return plain;
}

static void round_trip(const struct codec *codec, size_t len, size_t limit_bytes, int wanted)
{
	struct buf plain = sample(len), packed = { 0 }, again;

	buf_init(&again, limit_bytes);
	assert_int_equal(codec->pack(buf_str(&plain), &packed), 0);
	assert_int_equal(codec->unpack(buf_str(&packed), &again), wanted);
	if (wanted == 0)
		assert_true(str_eq(buf_str(&again), buf_str(&plain)));
	assert_true(limit_bytes == 0 || again.len <= limit_bytes);
	buf_fini(&plain);
	buf_fini(&packed);
	buf_fini(&again);
}

static void every_size_comes_back(void **state)
{
	static const size_t sizes[] = { 0, 1, 100, 65535, 65536, 65537, 131072, 500000 };

	(void)state;
	for (size_t c = 0; c < 2; c++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			round_trip(&codecs[c], sizes[i], 0, 0);
	}
}

static void the_limit_is_exact(void **state)
{
	(void)state;
	for (size_t c = 0; c < 2; c++) {
		for (size_t len = 65530; len < 65540; len++) {
			round_trip(&codecs[c], len, len, 0);
			round_trip(&codecs[c], len, len - 1, -EMSGSIZE);
		}
		round_trip(&codecs[c], 1, 1, 0);
	}
}

static void a_cut_or_damaged_stream_is_refused(void **state)
{
	(void)state;
	for (size_t c = 0; c < 2; c++) {
		struct buf plain = sample(3000), packed = { 0 }, again = { 0 };

		assert_int_equal(codecs[c].pack(buf_str(&plain), &packed), 0);
		for (size_t cut = 0; cut < packed.len; cut += 7) {
			buf_clear(&again);
			assert_int_equal(codecs[c].unpack((struct str){ packed.data, cut }, &again),
					 -EBADMSG);
		}
		packed.data[0] ^= 1;
		assert_int_equal(codecs[c].unpack(buf_str(&packed), &again), -EBADMSG);
		buf_fini(&plain);
		buf_fini(&packed);
		buf_fini(&again);
	}
}

static void members_may_follow_each_other_but_nothing_else(void **state)
{
	(void)state;
	for (size_t c = 0; c < 2; c++) {
		struct buf packed = { 0 }, again = { 0 };

		codecs[c].pack(STR("one "), &packed);
		codecs[c].pack(STR(""), &packed);
		codecs[c].pack(STR("two"), &packed);
		assert_int_equal(codecs[c].unpack(buf_str(&packed), &again), 0);
		assert_true(str_eq(buf_str(&again), STR("one two")));
		buf_append_text(&packed, "garbage");
		buf_clear(&again);
		assert_int_equal(codecs[c].unpack(buf_str(&packed), &again), -EBADMSG);
		buf_fini(&packed);
		buf_fini(&again);
	}
}

static void output_is_appended(void **state)
{
	(void)state;
	for (size_t c = 0; c < 2; c++) {
		struct buf packed = { 0 }, again = { 0 };

		buf_append_text(&again, "before ");
		codecs[c].pack(STR("after"), &packed);
		assert_int_equal(codecs[c].unpack(buf_str(&packed), &again), 0);
		assert_true(str_eq(buf_str(&again), STR("before after")));
		buf_fini(&packed);
		buf_fini(&again);
	}
}

/* A frame of nine bytes may ask for a window of 128 MiB: the memory would be taken before a byte of
 * contents has come. */
static void zstd_windows_are_limited(void **state)
{
	struct str small = STR("\x28\xb5\x2f\xfd\x00\x68\x09\x00\x00x"); /* 8 MiB */
	struct str large = STR("\x28\xb5\x2f\xfd\x00\x70\x09\x00\x00x"); /* 16 MiB */
	struct buf out = { 0 };

	(void)state;
	assert_int_equal(compress_unzstd(small, &out), 0);
	assert_true(str_eq(buf_str(&out), STR("x")));
	assert_int_equal(compress_unzstd(large, &out), -EFBIG);
	buf_fini(&out);
}

static void kept_memory_packs_and_unpacks_again_and_again(void **state)
{
	struct compress_packer *packer = compress_packer_new(3, 0);
	char plain[1000], back[1000];

	(void)state;
	assert_non_null(packer);
	for (int i = 0; i < 10; i++) {
		size_t len = (size_t)i * 100;
		struct buf packed = { 0 };

		memset(plain, 'a' + i, sizeof(plain));
		assert_int_equal(compress_pack(packer, (struct str){ plain, len }, &packed), 0);
		assert_int_equal(compress_unpack(buf_str(&packed), back, len), 0);
		assert_memory_equal(back, plain, len);
		/* of another length, or damaged */
		assert_int_equal(compress_unpack(buf_str(&packed), back, len + 1), -EBADMSG);
		packed.data[0] ^= 1;
		assert_int_equal(compress_unpack(buf_str(&packed), back, len), -EBADMSG);
		buf_fini(&packed);
	}
	compress_packer_free(packer);
	compress_packer_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_comes_back),
		cmocka_unit_test(the_limit_is_exact),
		cmocka_unit_test(a_cut_or_damaged_stream_is_refused),
		cmocka_unit_test(members_may_follow_each_other_but_nothing_else),
		cmocka_unit_test(output_is_appended),
		cmocka_unit_test(zstd_windows_are_limited),
		cmocka_unit_test(kept_memory_packs_and_unpacks_again_and_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
