/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations of profiling agents: what is read from each notation, and each rule about them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "collector/agent_config.h"

struct expectation {
	const char *text;
	const char *agent;
	double rate_hz;
	enum agent_symbols symbols;
	double depth, upload_s;
};

static const struct expectation expectations[] = {
	{ "profiler:\n  sample_rate_hz: 1000\n  symbolize: synchronous\n  max_stack_depth: 256\n"
	  "  upload_interval: 1s\n",
	  "a profiling agent", 1000, AGENT_SYMBOLS_INLINE, 256, 1 },
	{ "receivers:\n  profiling:\n    samples_per_second: 97\n    reporter_interval: 10s\n",
	  "OpenTelemetry eBPF profiler", 97, AGENT_SYMBOLS_UNKNOWN, 0, 10 },
	{ "-samples-per-second=99 -reporter-interval 2s\n", "OpenTelemetry eBPF profiler", 99,
	  AGENT_SYMBOLS_UNKNOWN, 0, 2 },
	{ "profiling-cpu-sampling-frequency: 29\nsymbolize-go: true\n", "Parca agent", 29,
	  AGENT_SYMBOLS_ASYNC, 0, 5 },
	{ "pyroscope.ebpf \"x\" {\n  sample_rate = 97\n  collect_interval = \"30s\"\n}\n",
	  "Grafana Alloy (Pyroscope)", 97, AGENT_SYMBOLS_UNKNOWN, 0, 30 },
	{ "export DD_PROFILING_ENABLED=true\nDD_PROFILING_DDPROF_CPU_INTERVAL_MS=5\n",
	  "Datadog profiler", 200, AGENT_SYMBOLS_UNKNOWN, 0, 60 },
	{ "event=cpu,interval=1ms,jstackdepth=64\n", "async-profiler", 1000, AGENT_SYMBOLS_UNKNOWN,
	  64, 0 },
	{ "receivers:\n  profiling: {SamplesPerSecond: 997}\n", "OpenTelemetry eBPF profiler", 997,
	  AGENT_SYMBOLS_UNKNOWN, 0, 5 },
	{ "containers:\n- args: [/bin/parca-agent, --profiling-cpu-sampling-frequency=101]\n",
	  "Parca agent", 101, AGENT_SYMBOLS_UNKNOWN, 0, 5 },
	{ "command:\n- parca-agent\n- --profiling-cpu-sampling-frequency\n- \"51\"\n",
	  "Parca agent", 51, AGENT_SYMBOLS_UNKNOWN, 0, 5 },
	{ "env:\n- name: DD_PROFILING_CPU_RATE\n  value: \"500\"\n- name: OTHER\n  value: x\n",
	  "Datadog profiler", 500, AGENT_SYMBOLS_UNKNOWN, 0, 60 },
	{ "env:\n- name: JAVA_TOOL_OPTIONS\n  value: -agentpath:/opt/libasyncProfiler.so=start,"
	  "event=cpu,interval=2ms,jstackdepth=99\n",
	  "async-profiler", 500, AGENT_SYMBOLS_UNKNOWN, 99, 0 },
	{ "sampling_period: 10ms\nsymbolization: async\nmax_depth: 64\nflush_interval: 2s\n",
	  "a profiling agent", 100, AGENT_SYMBOLS_ASYNC, 64, 2 },
	{ "asprof -e cpu -i 2ms -j 99 1234\n", "async-profiler", 500, AGENT_SYMBOLS_UNKNOWN, 99,
	  0 },
	/* a rate of traces is none of samples */
	{ "DD_PROFILING_MAX_FRAMES=64\nDD_TRACE_SAMPLE_RATE=0.5\n", "Datadog profiler", 100,
	  AGENT_SYMBOLS_UNKNOWN, 64, 60 },
	{ "# ours\ntick_hz = 49\n", "spanwise", 49, AGENT_SYMBOLS_UNKNOWN, 0, 0 },
};

static void each_notation_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(expectations) / sizeof(expectations[0]); i++) {
		const struct expectation *wanted = &expectations[i];
		struct agent_settings settings;
		struct buf message;

		buf_init(&message, 0);
		assert_int_equal(agent_config_parse(str_of(wanted->text), &settings, &message), 0);
		assert_string_equal(settings.agent, wanted->agent);
		assert_true(settings.rate_hz > wanted->rate_hz * 0.999 &&
			    settings.rate_hz < wanted->rate_hz * 1.001);
		assert_int_equal(settings.symbols, wanted->symbols);
		assert_true(settings.depth == wanted->depth);
		assert_true(settings.upload_s == wanted->upload_s);
		buf_fini(&message);
	}
}

static void a_wrong_value_is_named_with_its_line(void **state)
{
	struct agent_settings settings;
	struct buf message;

	(void)state;
	buf_init(&message, 0);
	assert_int_equal(
		agent_config_parse(STR("a: 1\nsample_rate_hz: fast\n"), &settings, &message),
		-EINVAL);
	buf_append_byte(&message, 0);
	assert_string_equal(
		message.data,
		"line 2: sample_rate_hz: 'fast' is no value for it; give a rate above 0 and "
		"up to 1000000, in Hz");
	buf_clear(&message);
	assert_int_equal(agent_config_parse(STR("a: [1\n"), &settings, &message), -EBADMSG);
	buf_clear(&message);
	assert_int_equal(agent_config_parse(STR("name: x\n"), &settings, &message), -EBADMSG);
	buf_fini(&message);
}

static void what_is_not_known_is_named(void **state)
{
	struct agent_settings settings;
	struct buf message;

	(void)state;
	buf_init(&message, 0);
	assert_int_equal(
		agent_config_parse(STR("profiler:\n  sample_rate_hz: 100\n  max_stack_depht: "
				       "8\n"),
				   &settings, &message),
		0);
	assert_string_equal(settings.unknown, "profiler_max_stack_depht");
	assert_int_equal(
		agent_config_parse(STR("receivers:\n  profiling:\n    samples_per_second: 97\n"
				       "    tracers: all\n"),
				   &settings, &message),
		0);
	assert_string_equal(settings.unknown, ""); /* others' settings are not all ours to know */
	buf_fini(&message);
}

static const struct agent_advice *find(const struct agent_report *report, enum profile_rule_id rule)
{
	for (unsigned i = 0; i < report->advice_count; i++) {
		if (report->advice[i].rule == rule)
			return &report->advice[i];
	}
	return NULL;
}

static void the_reference_case_needs_the_rate_and_the_symbols(void **state)
{
	struct agent_settings settings = { .agent = "x",
					   .rate_hz = 1000,
					   .default_rate_hz = 100,
					   .symbols = AGENT_SYMBOLS_INLINE,
					   .depth = 256,
					   .upload_s = 1,
					   .default_upload_s = 10,
					   .measured_percent = 12 };
	struct agent_report report;

	(void)state;
	assert_int_equal(agent_model_judge(&settings, &report), 0);
	assert_true(report.predicted_percent > 11 && report.predicted_percent < 13);
	assert_false(report.is_in_budget);
	assert_int_equal(report.advice[0].rule, RULE_AGENT_RATE);
	assert_int_equal(report.advice[1].rule, RULE_AGENT_SYMBOLS);
	assert_int_equal(report.advice[1].effect, AGENT_HELPS);
	assert_true(report.final_percent < 1);
	assert_int_equal(find(&report, RULE_AGENT_UPLOAD)->effect, AGENT_NO_HELP);
	assert_int_equal(find(&report, RULE_AGENT_DEPTH)->effect, AGENT_HARMS);
	assert_null(find(&report, RULE_AGENT_MISMATCH));
	agent_report_fini(&report);
}

struct rule_case {
	enum profile_rule_id rule;
	struct agent_settings settings;
};

#define DEFAULTS .agent = "x", .default_rate_hz = 99, .default_upload_s = 10

static const struct rule_case rule_cases[] = {
	{ RULE_AGENT_UNWIND, { DEFAULTS, .rate_hz = 997, .uses_dwarf = true } },
	{ RULE_AGENT_THREADS, { DEFAULTS, .rate_hz = 99, .samples_all_threads = true } },
	{ RULE_AGENT_OFF_CPU, { DEFAULTS, .rate_hz = 99, .off_cpu = 1 } },
	{ RULE_AGENT_LOCKSTEP, { DEFAULTS, .rate_hz = 100 } },
	{ RULE_AGENT_SPARSE, { DEFAULTS, .rate_hz = 2 } },
	{ RULE_AGENT_MISMATCH, { DEFAULTS, .rate_hz = 99, .measured_percent = 20 } },
	{ RULE_AGENT_DEPTH, { DEFAULTS, .rate_hz = 99, .depth = 16 } },
};

static void every_other_rule_has_its_case_and_is_silent_on_good_settings(void **state)
{
	struct agent_settings good = { DEFAULTS, .rate_hz = 99, .symbols = AGENT_SYMBOLS_ASYNC,
				       .upload_s = 10 };
	struct agent_report report;

	(void)state;
	for (size_t i = 0; i < sizeof(rule_cases) / sizeof(rule_cases[0]); i++) {
		assert_int_equal(agent_model_judge(&rule_cases[i].settings, &report), 0);
		if (!find(&report, rule_cases[i].rule))
			fail_msg("rule %s is silent", profile_rules[rule_cases[i].rule].name);
		agent_report_fini(&report);
	}
	assert_int_equal(agent_model_judge(&good, &report), 0);
	assert_int_equal(report.advice_count, 0);
	assert_true(report.is_in_budget);
	agent_report_fini(&report);
	good.default_rate_hz = 20; /* within the budget, small savings are no advice */
	assert_int_equal(agent_model_judge(&good, &report), 0);
	assert_int_equal(report.advice_count, 0);
	agent_report_fini(&report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_notation_is_read),
		cmocka_unit_test(a_wrong_value_is_named_with_its_line),
		cmocka_unit_test(what_is_not_known_is_named),
		cmocka_unit_test(the_reference_case_needs_the_rate_and_the_symbols),
		cmocka_unit_test(every_other_rule_has_its_case_and_is_silent_on_good_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
