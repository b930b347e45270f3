/* SPDX-License-Identifier: Apache-2.0 */
/* Each rule by which one profile is read: a profile that it is made for, and one that it must leave
 * alone. */
#include "tests/unit/profile/profile_builder.h"

struct expectation {
	enum profile_rule_id rule;
	enum profile_kind kind;
	const char *profile;
	const char *frame; /* NULL: about none */
	const char *other; /* a profile in which the rule must be silent */
	enum profile_kind other_kind;
};

#define PLAIN "main;work;parse 600\nmain;work;store 300\nmain;idle 100\n"

static const struct expectation expectations[] = {
	{ RULE_NO_DATA, PROFILE_CPU, "main;work 0\n", NULL, PLAIN, PROFILE_CPU },
	{ RULE_TRUNCATED_FILE, PROFILE_CPU, PLAIN "main;wor", NULL, PLAIN, PROFILE_CPU },
	{ RULE_FEW_SAMPLES, PROFILE_CPU, "main;work 60\n", NULL, PLAIN, PROFILE_CPU },
	{ RULE_NO_SYMBOLS, PROFILE_CPU, "main;0x55aa 80\nmain;0x55ab 80\nmain;work 100\n", NULL,
	  PLAIN, PROFILE_CPU },
	{ RULE_UNKNOWN_UNIT, PROFILE_OFF_CPU, "main;handle;recv 900\n", NULL, PLAIN, PROFILE_CPU },
	{ RULE_UNKNOWN_UNIT, PROFILE_CPU, "main;work 5000000\n", NULL, PLAIN, PROFILE_CPU },
	{ RULE_WARM_UP, PROFILE_CPU,
	  "C2;CompileBroker::compiler_thread_loop 400\nmain;Shop.price 400\nmain;Shop.load 200\n",
	  NULL, PLAIN, PROFILE_CPU },
	{ RULE_DOMINANT_SUBTREE, PROFILE_CPU, /* the JIT compiler is left out */
	  "C2;CompileBroker::compiler_thread_loop 400\nmain;Shop.price 400\nmain;Shop.load 200\n",
	  "Shop.price", "main;a 300\nmain;b 300\nmain;c 400\n", PROFILE_CPU },
	{ RULE_DOMINANT_SUBTREE, PROFILE_CPU, /* a helper that others call decides nothing */
	  "main;serve;resize;scale;spin 500\nmain;serve;headers;spin 200\nmain;serve;spin 100\n",
	  "resize", "main;a 300\nmain;b 300\nmain;c 400\n", PROFILE_CPU },
	{ RULE_DOMINANT_SUBTREE, PROFILE_CPU, /* a part of its caller's text neither */
	  "[main tid=1];repeat;run;parse;parse.<locals>.<genexpr> 930\n[main tid=1];imports 70\n",
	  "parse", "main;a 300\nmain;b 300\nmain;c 400\n", PROFILE_CPU },
	{ RULE_DOMINANT_CALLEE, PROFILE_CPU, /* through an interpreter only */
	  "java.a;Interpreter;Interpreter;Shop.find 300\njava.b;Interpreter;Shop.fill;Shop.find "
	  "300\njava.a;Interpreter;Shop.sum 300\n",
	  "Shop.find", PLAIN, PROFILE_CPU },
	{ RULE_CUT_STACKS, PROFILE_CPU, "[unknown];work 400\nmain;work 600\n", NULL, PLAIN,
	  PROFILE_CPU },
	{ RULE_IDLE_POOL, PROFILE_WALL, "worker_loop;epoll_wait 900\nmain;handle;render 100\n",
	  NULL, "main;handle;epoll_wait 900\nmain;handle;render 100\n", PROFILE_WALL },
	{ RULE_IDLE_POOL, PROFILE_OFF_CPU,
	  "python;MainThread;select.epoll.wait 900\npython;worker_main;handle;recv 100\n", NULL,
	  "python;worker_main;handle;select.epoll.wait 900\n", PROFILE_OFF_CPU },
	{ RULE_IDLE_POOL, PROFILE_OFF_CPU, /* a process's name stands above the first function */
	  "shop;start_thread;pool_worker;pthread_cond_wait 900\nshop;main;handle;recv 100\n", NULL,
	  "shop;start_thread;handle;pthread_cond_wait 900\n", PROFILE_OFF_CPU },
	{ RULE_IDLE_POOL, PROFILE_OFF_CPU, /* for the next request, below code of one's own */
	  "mysqld;start_thread;handle_connection;Protocol_classic::get_command;poll 900\n"
	  "mysqld;start_thread;handle_connection;execute;pread64 100\n",
	  NULL, "mysqld;start_thread;handle_connection;execute;pread64 100\n", PROFILE_OFF_CPU },
	{ RULE_DOMINANT_WAIT, PROFILE_OFF_CPU, /* nothing holds most but the entry point */
	  "x;start_thread;a;recv 300\nx;start_thread;b;pread64 400\nx;start_thread;c;write 300\n",
	  "pread64", "main;handle;time.Sleep 100\n", PROFILE_OFF_CPU },
	{ RULE_STARVED, PROFILE_WALL, "main;work 500\nmain;work;[runnable] 500\n", NULL, PLAIN,
	  PROFILE_WALL },
	{ RULE_GC_PRESSURE, PROFILE_CPU,
	  "runtime.gcBgMarkWorker;runtime.scanobject 300\nmain;build;runtime.mallocgc "
	  "200\nmain;build 200\n"
	  "main;send 300\n",
	  "build", PLAIN, PROFILE_CPU },
	{ RULE_LOCK_SPIN, PROFILE_CPU, "main;update;pthread_spin_lock 700\nmain;update 300\n",
	  "update", PLAIN, PROFILE_CPU },
	{ RULE_DOMINANT_CALLEE, PROFILE_CPU,
	  "main;a;encode 100\nmain;b;encode 110\nmain;c;encode 90\nmain;d;encode "
	  "100\nmain;e;encode 100\n"
	  "main;e 200\nmain;f 300\n",
	  "encode", PLAIN, PROFILE_CPU },
	{ RULE_DOMINANT_SUBTREE, PROFILE_CPU,
	  "main;handle;serializeResponse;json.Marshal 700\nmain;handle;queryDB 200\nmain;handle "
	  "100\n",
	  "serializeResponse", "main;a 300\nmain;b 300\nmain;c 400\n", PROFILE_CPU },
	{ RULE_HOT_FUNCTION, PROFILE_CPU, "main;a;hash 250\nmain;b 240\nmain;c 250\nmain;d 260\n",
	  "d", "main;a 180\nmain;b 160\nmain;c 170\nmain;d 150\nmain;e 160\nmain;f 180\n",
	  PROFILE_CPU },
	{ RULE_FLAT, PROFILE_CPU,
	  "main;a 180\nmain;b 160\nmain;c 170\nmain;d 150\nmain;e 160\nmain;f 190\n", "f", PLAIN,
	  PROFILE_CPU },
	{ RULE_WIDTH, PROFILE_CPU, "main;once 900\nmain;often 100\nmain;rest 200\n", "once",
	  "main;a 300\nmain;b 300\nmain;c 400\n", PROFILE_CPU },
	{ RULE_ORDER, PROFILE_CPU, "main;aaa 30\nmain;zzz 970\n", "aaa", "aaa 900\naaa;b 100\n",
	  PROFILE_CPU },
	{ RULE_QUERY_CPU, PROFILE_CPU, "main;queryDB 70\nmain;serialize 930\n", "queryDB", PLAIN,
	  PROFILE_CPU },
	{ RULE_RECURSION, PROFILE_CPU, "main;walk;walk;walk 500\nmain;other 500\n", NULL, PLAIN,
	  PROFILE_CPU },
	{ RULE_LIBRARY_LEAF, PROFILE_CPU, "main;copyRows;memcpy 700\nmain;other 300\n", "memcpy",
	  PLAIN, PROFILE_CPU },
	{ RULE_MICRO, PROFILE_OFF_CPU,
	  "main;handle;sql.(*DB).QueryContext 540\nmain;handle;sync.(*Mutex).Lock 18\n",
	  "sync.(*Mutex).Lock", "main;handle;sql.(*DB).QueryContext 540\n", PROFILE_OFF_CPU },
	{ RULE_DOMINANT_WAIT, PROFILE_OFF_CPU,
	  "main;handle;sql.(*DB).QueryContext;net.(*conn).Read 540\nmain;handle;sync.(*Mutex).Lock "
	  "18\n",
	  "sql.(*DB).QueryContext", "main;handle;time.Sleep 100\n", PROFILE_OFF_CPU },
	{ RULE_LOCK_WAIT, PROFILE_OFF_CPU, "main;update;pthread_mutex_lock 900\nmain;read 100\n",
	  "pthread_mutex_lock", "main;handle;recv 900\n", PROFILE_OFF_CPU },
	{ RULE_LOCK_WAIT, PROFILE_OFF_CPU, /* Go books at the unlock: not "waits in Unlock" */
	  "main.worker;main.count;sync.(*Mutex).Unlock 900\n", "sync.(*Mutex).Unlock",
	  "main;handle;recv 900\n", PROFILE_OFF_CPU },
	{ RULE_DOMINANT_WAIT, PROFILE_OFF_CPU, /* spanwise writes a file before its function */
	  "database.py: Database.query;socket.py: SocketIO.readinto;recv 900\n",
	  "socket.py: SocketIO.readinto", "main;time.Sleep 900\n", PROFILE_OFF_CPU },
	{ RULE_CHANNEL_WAIT, PROFILE_OFF_CPU, "main;main.acquire;runtime.chansend1 900\n",
	  "runtime.chansend1", "main;handle;recv 900\n", PROFILE_OFF_CPU },
	{ RULE_CHANNEL_WAIT, PROFILE_THREADS,
	  "main.publish;runtime.chansend1;runtime.gopark 90\nmain.worker;runtime.chanrecv2 6\n",
	  "runtime.chansend1", "main.handle;recv 9\n", PROFILE_THREADS },
	{ RULE_DOMINANT_WAIT, PROFILE_WALL, /* mostly waiting: read by the rules for waits */
	  "main;fetch;net.Read;recv 700\nmain;compute 300\n", "net.Read", PLAIN, PROFILE_WALL },
	{ RULE_SLEEP_WAIT, PROFILE_OFF_CPU, "main;retry;time.Sleep 900\nmain;read 100\n",
	  "time.Sleep", "main;handle;recv 900\n", PROFILE_OFF_CPU },
	{ RULE_HEAP_HOLDER, PROFILE_INUSE, "main;load;bytes.growSlice 900\nmain;index 100\n",
	  "bytes.growSlice", "main;load 0\n", PROFILE_INUSE },
};

static void every_rule_speaks_where_it_should_and_only_there(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(expectations) / sizeof(expectations[0]); i++) {
		const struct expectation *wanted = &expectations[i];
		struct diagnosis diagnosis;
		struct profile profile;

		build_profile(&profile, wanted->profile);
		assert_int_equal(diagnosis_init(&diagnosis, &profile, 0, wanted->kind), 0);
		if (!find_rule(&diagnosis, wanted->rule))
			fail_msg("rule %s is silent", profile_rules[wanted->rule].name);
		if (wanted->frame &&
		    !is_about(&diagnosis, find_rule(&diagnosis, wanted->rule), wanted->frame))
			fail_msg("rule %s is not about %s: %s", profile_rules[wanted->rule].name,
				 wanted->frame,
				 diagnosis_text(&diagnosis, find_rule(&diagnosis, wanted->rule)));
		diagnosis_fini(&diagnosis);
		profile_fini(&profile);

		build_profile(&profile, wanted->other);
		assert_int_equal(diagnosis_init(&diagnosis, &profile, 0, wanted->other_kind), 0);
		if (find_rule(&diagnosis, wanted->rule))
			fail_msg("rule %s speaks where it should not: %s",
				 profile_rules[wanted->rule].name,
				 diagnosis_text(&diagnosis, find_rule(&diagnosis, wanted->rule)));
		diagnosis_fini(&diagnosis);
		profile_fini(&profile);
	}
}

static void every_rule_has_a_name_of_its_own_and_a_sentence(void **state)
{
	(void)state;
	for (size_t i = 0; i < RULE_COUNT; i++) {
		assert_int_equal(profile_rule_find(profile_rules[i].name), i);
		assert_true(strlen(profile_rules[i].sentence) > 40);
	}
	assert_int_equal(profile_rule_find("nonsense"), RULE_COUNT);
}

/* A file that does not tell its kind is no CPU profile when its stacks end where threads wait. */
static void stacks_that_end_in_waits_are_told_from_cpu_time(void **state)
{
	static const struct {
		const char *text;
		double least, most;
	} cases[] = {
		{ "main;handle;sql.Query;runtime.gopark 90\nmain;handle;encode 10\n", 0.9, 0.9 },
		{ "java;run;do_syscall_64_[k];schedule_[k] 60\nmain;work 40\n", 0.6, 0.6 },
		{ "main;work;schedule_jobs 60\nmain;futex_table 40\n", 0, 0 },
		{ "main;work 0\n", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct profile profile;
		double share;

		build_profile(&profile, cases[i].text);
		assert_int_equal(profile_waiting_share(&profile, 0, &share), 0);
		assert_true(share >= cases[i].least && share <= cases[i].most);
		profile_fini(&profile);
	}
}

static void what_was_taken_for_another_kind_is_said(void **state)
{
	struct diagnosis diagnosis;
	struct profile profile;

	(void)state;
	build_profile(&profile, "main;handle;sql.Query;runtime.gopark 90\nmain;handle;encode 10\n");
	profile.notes.waiting_share = 0.9;
	assert_int_equal(diagnosis_init(&diagnosis, &profile, 0, PROFILE_OFF_CPU), 0);
	assert_non_null(find_rule(&diagnosis, RULE_WAITS_NOT_CPU));
	diagnosis_fini(&diagnosis);
	profile.notes.waiting_share = 0;
	assert_int_equal(diagnosis_init(&diagnosis, &profile, 0, PROFILE_OFF_CPU), 0);
	assert_null(find_rule(&diagnosis, RULE_WAITS_NOT_CPU));
	diagnosis_fini(&diagnosis);
	profile_fini(&profile);
}

/* A span's own stacks hold no idle thread, whatever they look like. */
static void stacks_of_spans_are_not_idle(void **state)
{
	struct diagnosis diagnosis;
	struct profile profile;

	(void)state;
	build_profile(&profile,
		      "start_thread;pool_worker;epoll_wait 900\nstart_thread;handle;recv 100\n");
	profile.notes.is_of_spans = true;
	assert_int_equal(diagnosis_init(&diagnosis, &profile, 0, PROFILE_OFF_CPU), 0);
	assert_null(find_rule(&diagnosis, RULE_IDLE_POOL));
	assert_true(diagnosis.tree.total == 1000);
	diagnosis_fini(&diagnosis);
	profile_fini(&profile);
}

static void only_what_can_be_saved_is_advised(void **state)
{
	struct diagnosis diagnosis;
	struct profile profile;
	const struct finding *next = NULL;

	(void)state;
	build_profile(&profile, "main;handle;sql.Query 960\nmain;handle;encode 40\n");
	assert_int_equal(diagnosis_init(&diagnosis, &profile, 0, PROFILE_CPU), 0);
	for (unsigned i = 0; i < diagnosis.finding_count; i++) {
		if (diagnosis.findings[i].role == FINDING_NEXT)
			next = &diagnosis.findings[i];
	}
	assert_non_null(next);
	assert_null(strstr(diagnosis_text(&diagnosis, next), "100 %"));
	assert_non_null(strstr(diagnosis_text(&diagnosis, next), "handle decides"));
	diagnosis_fini(&diagnosis);
	profile_fini(&profile);
}

static void a_recursive_function_never_holds_more_than_all(void **state)
{
	struct profile_tally tally;
	struct profile profile;

	(void)state;
	build_profile(&profile,
		      "main;walk;leaf 10\nmain;walk;walk;walk;leaf 60\nmain;a;walk;b;walk 30\n");
	assert_int_equal(profile_tally_init(&tally, &profile, 0), 0);
	for (uint32_t i = 0; i < profile.frame_count; i++) {
		if (str_eq(profile_frame_name(&profile, i), STR("walk")))
			assert_true(tally.inclusive[i] == 100);
		assert_true(tally.inclusive[i] <= tally.total);
	}
	profile_tally_fini(&tally);
	profile_fini(&profile);
}

static void dominance_survives_recursion(void **state)
{
	struct diagnosis diagnosis;
	struct profile profile;

	(void)state;
	/* at every depth of the tree a half goes on: without folding nothing below the first is
	 * "most" */
	build_profile(
		&profile,
		"main;render;node;text 30\nmain;render;node;node;text 25\n"
		"main;render;node;node;node;text 25\nmain;render;node;node;node;node;text 10\n"
		"main;load 20\n");
	assert_int_equal(diagnosis_init(&diagnosis, &profile, 0, PROFILE_CPU), 0);
	assert_true(diagnosis.is_folded);
	assert_true(diagnosis.tree.cum[diagnosis.dominant.deepest] == 90);
	assert_true(is_about(&diagnosis, diagnosis_verdict(&diagnosis), "render"));
	diagnosis_fini(&diagnosis);
	profile_fini(&profile);
}

static void a_profile_of_a_program_that_waits_says_so(void **state)
{
	struct diagnosis diagnosis;
	struct profile profile;

	(void)state;
	build_profile(&profile, PLAIN);
	profile.types[0].unit = PROFILE_NS;
	profile.duration_ns = 5000;
	assert_int_equal(diagnosis_init(&diagnosis, &profile, 0, PROFILE_CPU), 0);
	assert_non_null(find_rule(&diagnosis, RULE_MOSTLY_AWAY));
	diagnosis_fini(&diagnosis);
	profile.duration_ns = 1000;
	assert_int_equal(diagnosis_init(&diagnosis, &profile, 0, PROFILE_CPU), 0);
	assert_null(find_rule(&diagnosis, RULE_MOSTLY_AWAY));
	diagnosis_fini(&diagnosis);
	profile.notes.inlined_frames = 1;
	assert_int_equal(diagnosis_init(&diagnosis, &profile, 0, PROFILE_CPU), 0);
	assert_non_null(find_rule(&diagnosis, RULE_INLINED));
	diagnosis_fini(&diagnosis);
	profile_fini(&profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_rule_speaks_where_it_should_and_only_there),
		cmocka_unit_test(stacks_that_end_in_waits_are_told_from_cpu_time),
		cmocka_unit_test(what_was_taken_for_another_kind_is_said),
		cmocka_unit_test(stacks_of_spans_are_not_idle),
		cmocka_unit_test(only_what_can_be_saved_is_advised),
		cmocka_unit_test(every_rule_has_a_name_of_its_own_and_a_sentence),
		cmocka_unit_test(a_recursive_function_never_holds_more_than_all),
		cmocka_unit_test(dominance_survives_recursion),
		cmocka_unit_test(a_profile_of_a_program_that_waits_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
