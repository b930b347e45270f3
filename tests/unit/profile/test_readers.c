/* SPDX-License-Identifier: Apache-2.0 */
/* The same profile in every format gives the same tree; and what each reader does with its odd
 * inputs. */
#include <errno.h>
#include <stdio.h>

#include "otlp/pprof_write.h"
#include "tests/unit/profile/profile_builder.h"

static int parse(struct str text, const char *format, size_t limit, struct profile *profile)
{
	const struct profile_file_options options = { .format = format };
	struct buf message;
	int rc;

	buf_init(&message, 0);
	rc = profile_file_parse(text, &options, limit, profile, NULL, &message);
	assert_true((rc == 0) == (message.len == 0));
	buf_fini(&message);
	return rc;
}

/* "main;work 7" and "main 3". */
static void check_tree(const struct profile *profile)
{
	struct profile_tally tally;

	assert_int_equal(profile->value_count, 2);
	assert_int_equal(profile_tally_init(&tally, profile, 0), 0);
	assert_true(tally.total == 10);
	for (uint32_t i = 0; i < profile->frame_count; i++) {
		bool is_main = str_eq(profile_frame_name(profile, i), STR("main"));

		assert_true(tally.inclusive[i] == (is_main ? 10 : 7));
		assert_true(tally.self[i] == (is_main ? 3 : 7));
	}
	profile_tally_fini(&tally);
}

static struct buf as_pprof(void)
{
	const struct pprof_head head = { 0 };
	const struct pprof_frame both[] = { { .name = STR("work") }, { .name = STR("main") } };
	struct pprof_writer *writer = pprof_writer_new(&head);
	struct buf out;

	buf_init(&out, 0);
	pprof_writer_type(writer, STR("samples"), STR("count"));
	pprof_writer_sample(writer, both, 2, (int64_t[]){ 7 }, NULL, 0);
	pprof_writer_sample(writer, both + 1, 1, (int64_t[]){ 3 }, NULL, 0);
	assert_int_equal(pprof_writer_finish(writer, &out), 0);
	pprof_writer_free(writer);
	return out;
}

static void every_format_gives_the_same_tree(void **state)
{
	static const char *const texts[] = {
		"main;work 7\nmain 3\n",
		"{\"profiles\":[{\"type\":\"sampled\",\"unit\":\"none\",\"samples\":[[0,1],[0]],"
		"\"weights\":[7,3]}],"
		"\"shared\":{\"frames\":[{\"name\":\"main\"},{\"name\":\"work\"}]}}",
		"{\"shared\":{\"frames\":[{\"name\":\"main\"},{\"name\":\"work\"}]},\"profiles\":[{"
		"\"type\":\"evented\","
		"\"unit\":\"none\",\"events\":[{\"type\":\"O\",\"frame\":0,\"at\":0},{\"type\":"
		"\"O\",\"frame\":1,\"at\":3},"
		"{\"type\":\"C\",\"frame\":1,\"at\":10},{\"type\":\"C\",\"frame\":0,\"at\":10}]}]}",
	};
	struct profile profile;
	struct buf pprof = as_pprof();

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(parse(str_of(texts[i]), NULL, 0, &profile), 0);
		check_tree(&profile);
		profile_fini(&profile);
	}
	assert_int_equal(parse(buf_str(&pprof), NULL, 0, &profile), 0);
	check_tree(&profile);
	profile_fini(&profile);
	buf_fini(&pprof);
}

static void perf_script_names_libraries_and_leaves_other_events_out(void **state)
{
	static const char text[] = "x  1/2 [000]  1.5:  1 cycles:u: \n\t  1f inner (inlined)\n\t  "
				   "1f read+0x2 (/usr/lib/libc.so.6)\n"
				   "\t  2f main+0x9 (/usr/bin/x)\n\nx  1/2 [000]  1.6:  1 "
				   "page-faults: \n\t  2f main+0x9 (/usr/bin/x)\n\n";
	struct profile profile;

	(void)state;
	assert_int_equal(parse(str_of(text), NULL, 0, &profile), 0);
	assert_int_equal(profile.notes.stacks, 1);
	assert_int_equal(profile.notes.other_events, 1);
	assert_int_equal(profile.notes.inlined_frames, 1);
	assert_int_equal(profile.node_count, 5); /* root, comm, main, read, inner */
	assert_true(str_eq(profile_frame_name(&profile, profile.nodes[3].frame),
			   STR("read [libc.so.6]")));
	assert_true(str_eq(profile_frame_name(&profile, profile.nodes[4].frame),
			   STR("inner [libc.so.6]")));
	profile_fini(&profile);
}

static void the_kernels_functions_are_marked_in_perf_script(void **state)
{
	static const char text[] =
		"x  1/2 [000]  1.5:  1 cpu-clock:\n"
		"\tffffffff815e9ed0 do_anonymous_page+0x1 ([kernel.kallsyms])\n"
		"\tffffffffc0001234 ext4_read ([ext4])\n"
		"\tffffffff81000c82 asm_exc_page_fault\n"
		"\t7ffd1234 clock_gettime ([vdso])\n\t2f main+0x9 (/usr/bin/x)\n\n";
	static const char *const names[] = { "x",
					     "main",
					     "clock_gettime",
					     "asm_exc_page_fault_[k]",
					     "ext4_read_[k]",
					     "do_anonymous_page_[k]" };
	struct profile profile;

	(void)state;
	assert_int_equal(parse(str_of(text), NULL, 0, &profile), 0);
	assert_int_equal(profile.node_count, 7);
	for (size_t i = 0; i < 6; i++)
		assert_true(str_eq(profile_frame_name(&profile, profile.nodes[i + 1].frame),
				   str_of(names[i])));
	profile_fini(&profile);
}

static void v8_samples_last_until_the_next_one(void **state)
{
	static const char text[] =
		"{\"nodes\":[{\"id\":1,\"callFrame\":{\"functionName\":\"(root)\",\"url\":\"\"},"
		"\"hitCount\":0,\"children\":[2,4]},{\"id\":2,\"callFrame\":{\"functionName\":"
		"\"pay\","
		"\"url\":\"file:///srv/shop.js\"},\"hitCount\":1,\"children\":[3]},{\"id\":3,"
		"\"callFrame\":{\"functionName\":\"\",\"url\":\"node:fs\"},\"hitCount\":2},{\"id\":"
		"4,"
		"\"callFrame\":{\"functionName\":\"(idle)\",\"url\":\"\"},\"hitCount\":1}],"
		"\"startTime\":100,\"endTime\":1100,\"samples\":[2,3,4,3],"
		"\"timeDeltas\":[5,10,20,40]}";
	struct profile profile;

	(void)state;
	assert_int_equal(parse(str_of(text), NULL, 0, &profile), 0);
	assert_true(profile_total(&profile, 0) == 3); /* (idle) is no CPU time */
	assert_true(profile_total(&profile, 1) == 10000 + 20000 + 40000);
	assert_int_equal(profile.duration_ns, 1000000);
	assert_int_equal(profile.node_count, 3);
	assert_true(
		str_eq(profile_frame_name(&profile, profile.nodes[1].frame), STR("pay (shop.js)")));
	assert_true(str_eq(profile_frame_name(&profile, profile.nodes[2].frame),
			   STR("(anonymous) (node:fs)")));
	profile_fini(&profile);
	/* a circle of children ends */
	assert_int_equal(
		parse(STR("{\"nodes\":[{\"id\":1,\"callFrame\":{\"functionName\":\"a\"},"
			  "\"hitCount\":1,"
			  "\"children\":[2]},{\"id\":2,\"callFrame\":{\"functionName\":\"b\"},"
			  "\"hitCount\":1,\"children\":[1]}]}"),
		      NULL, 0, &profile),
		0);
	assert_int_equal(profile.notes.cut_stacks, 2);
	profile_fini(&profile);
}

static void scripts_functions_have_their_file(void **state)
{
	static const char text[] = "{\"shared\":{\"frames\":[{\"name\":\"wait\",\"file\":\"/usr/"
				   "lib/python3.11/threading.py\"},"
				   "{\"name\":\"main.run\",\"file\":\"/src/"
				   "run.go\"}]},\"profiles\":[{\"type\":\"sampled\","
				   "\"unit\":\"none\",\"samples\":[[1,0]],\"weights\":[1]}]}";
	struct profile profile;

	(void)state;
	assert_int_equal(parse(str_of(text), NULL, 0, &profile), 0);
	assert_true(str_eq(profile_frame_name(&profile, profile.nodes[1].frame), STR("main.run")));
	assert_true(str_eq(profile_frame_name(&profile, profile.nodes[2].frame),
			   STR("wait (threading.py)")));
	profile_fini(&profile);
}

/* What people have at hand and is no profile is named, with the way to one. */
static void foreign_files_are_named(void **state)
{
	static const struct {
		struct str head;
		const char *words;
	} cases[] = {
		{ { "FLR\0\0\2", 6 }, "jfrconv" },
		{ { "PERFILE2hello", 13 }, "perf script -i" },
		{ { "goroutine profile: total 12\n12 @ 0x1 0x2\n", 41 }, "debug=1" },
		{ { "goroutine 1 [running]:\nmain.main()\n", 36 }, "debug=2" },
		{ { "heap profile: 1: 2 [3: 4] @ heap/1\n", 35 }, "pprof -proto" },
		{ { "<?xml version=\"1.0\"?>\n<svg width=\"1\">", 38 }, "a picture" },
		{ { "{\"traceEvents\":[]}", 18 }, "speedscope" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct profile_file_options options = { NULL, false };
		struct profile profile;
		struct buf message;

		buf_init(&message, 0);
		assert_int_equal(
			profile_file_parse(cases[i].head, &options, 0, &profile, NULL, &message),
			-EBADMSG);
		buf_append_byte(&message, 0);
		if (!strstr(message.data, cases[i].words))
			fail_msg("%s", message.data);
		buf_fini(&message);
	}
}

static void check_frames(const char *text, const char *const *names, uint32_t count)
{
	struct profile profile;

	assert_int_equal(parse(str_of(text), "collapsed", 0, &profile), 0);
	assert_int_equal(profile.frame_count, count);
	for (uint32_t i = 0; i < count; i++)
		assert_true(str_eq(profile_frame_name(&profile, i), str_of(names[i])));
	profile_fini(&profile);
}

static void lines_and_marks_of_collapsed_stacks_are_no_part_of_names(void **state)
{
	static const char *const functions[] = { "main (app.py)", "render (views.py)", "views.rb" };
	static const char *const marked[] = { "java/lang/Thread.run", "com/acme/A.b",
					      "com/acme/A.c", "vfs_read_[k]" };
	static const char *const plain[] = { "10.0.0.5:5432", "a::b:1", "std::x", "f:12" };
	struct profile profile;

	(void)state;
	check_frames(
		"main (app.py:80);render (views.py:20);views.rb:3 5\n"
		"main (app.py:80);render (views.py:21) 5\nmain (app.py:9);render (views.py:2) 1\n",
		functions, 3);
	check_frames("java/lang/Thread.run_[j];com/acme/A.b_[0];com/acme/A.c_[i];vfs_read_[k] 5\n",
		     marked, 4);
	check_frames("10.0.0.5:5432;a::b:1;std::x;f:12 5\n", plain, 4);
	assert_int_equal(parse(STR("a_[j];b_[i] 3\na_[j];b_[i];c_[i] 3\nc_[j] 1\n"), "collapsed", 0,
			       &profile),
			 0);
	assert_false(profile_frame_is_inlined(&profile, 0));
	assert_true(profile_frame_is_inlined(&profile, 1));
	assert_false(profile_frame_is_inlined(&profile, 2)); /* not everywhere */
	profile_fini(&profile);
}

static void a_profile_that_ends_in_the_middle_is_read_up_to_there(void **state)
{
	struct buf pprof = as_pprof();
	struct profile profile;

	(void)state;
	/* its names come last: without them nothing is known */
	assert_int_equal(parse((struct str){ pprof.data, pprof.len / 2 }, "pprof", 0, &profile),
			 -EBADMSG);
	buf_fini(&pprof);
}

static void memory_has_a_limit(void **state)
{
	struct profile profile;
	struct buf text;

	(void)state;
	buf_init(&text, 0);
	for (int i = 0; i < 20000; i++)
		buf_printf(&text,
			   "main;server_loop;handle_request_%d;read_rows_%d;decode_row_%d 1\n",
			   i / 300, i / 20, i % 20);
	assert_int_equal(parse(buf_str(&text), NULL, 256 << 10, &profile), -EMSGSIZE);
	assert_int_equal(parse(buf_str(&text), NULL, 64 << 20, &profile), 0);
	assert_true(profile.bytes < 2 * text.len);
	profile_fini(&profile);
	buf_fini(&text);
}

static void sums_stop_at_the_ends(void **state)
{
	struct profile profile;
	uint32_t frame, stack;

	(void)state;
	assert_int_equal(profile_init(&profile, 0), 0);
	assert_int_equal(profile_add_type(&profile, STR("samples"), STR("count")), 0);
	assert_int_equal(profile_frame(&profile, STR("a"), &frame), 0);
	assert_int_equal(profile_stack(&profile, &frame, 1, &stack), 0);
	for (int i = 0; i < 10; i++)
		profile_add(&profile, stack, &(int64_t){ INT64_MAX / 2 });
	assert_int_equal(profile_seal(&profile), 0);
	assert_true(profile_self(&profile, 1, 0) == INT64_MAX);
	profile_fini(&profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_format_gives_the_same_tree),
		cmocka_unit_test(perf_script_names_libraries_and_leaves_other_events_out),
		cmocka_unit_test(the_kernels_functions_are_marked_in_perf_script),
		cmocka_unit_test(v8_samples_last_until_the_next_one),
		cmocka_unit_test(scripts_functions_have_their_file),
		cmocka_unit_test(foreign_files_are_named),
		cmocka_unit_test(lines_and_marks_of_collapsed_stacks_are_no_part_of_names),
		cmocka_unit_test(a_profile_that_ends_in_the_middle_is_read_up_to_there),
		cmocka_unit_test(memory_has_a_limit),
		cmocka_unit_test(sums_stop_at_the_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
