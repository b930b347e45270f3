/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector/base/buf.h"
#include "collector/base/macros.h"
#include "collector/config.h"
#include "collector/net/exposure.h"

static struct config config;
static struct buf message;

static int set_up(void **state)
{
	(void)state;
	config_init(&config);
	buf_init(&message, 0);
	unsetenv("SPANWISE_CONFIG");
	unsetenv("SPANWISE_SETTLE_MS");
	unsetenv("SPANWISE_EXACT_MODE");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	config_fini(&config);
	buf_fini(&message);
	return 0;
}

static const char *said(void)
{
	buf_append_byte(&message, 0);
	return message.data;
}

static void assert_said(const char *part)
{
	if (!strstr(said(), part))
		fail_msg("\"%s\" does not name \"%s\"", message.data, part);
}

static void defaults_are_those_of_the_table(void **state)
{
	(void)state;
	assert_string_equal(config.grpc, "127.0.0.1:4317");
	assert_int_equal(config.settle_ms, 10000);
	assert_true(config.probe);
	assert_int_equal(config.log_level, 2);
}

static void a_file_sets_what_it_names(void **state)
{
	static const char text[] = "# comment\n\n settle_ms = 500 \nprobe=off\nlog-level = debug\n"
				   "data = /tmp/with space\ngrpc = [::1]:0";

	(void)state;
	assert_int_equal(config_read_text(&config, "f", str_of(text), &message), 0);
	assert_int_equal(config.settle_ms, 500);
	assert_false(config.probe);
	assert_int_equal(config.log_level, 3);
	assert_string_equal(config.data, "/tmp/with space");
	assert_string_equal(config.grpc, "[::1]:0");
	assert_int_equal(message.len, 0);
}

static void every_bad_line_is_named_with_key_value_and_range(void **state)
{
	static const char text[] = "settle_ms = 5\nfrobnicate = 1\nnonsense\ntick_hz = 50\n";

	(void)state;
	assert_int_equal(config_read_text(&config, "file.conf", str_of(text), &message), -EINVAL);
	assert_said(
		"file.conf:1: settle_ms: \"5\" is not valid: must be a number from 100 to 600000");
	assert_said("file.conf:2: frobnicate: no such setting");
	assert_said("file.conf:3: \"nonsense\": must be `key = value`");
	assert_int_equal(config.tick_hz, 50);
}

static void other_machines_are_let_in_only_by_tls_or_tokens(void **state)
{
	(void)state;
	assert_int_equal(config_set(&config, "grpc", "0.0.0.0:4317", &message), 0);
	assert_int_equal(exposure_check(&config, &message), -EINVAL);
	assert_said("without encryption and authentication: set grpc_tls_cert");
	buf_clear(&message);
	assert_int_equal(config_set(&config, "grpc_tokens", "/etc/tokens", &message), 0);
	assert_int_equal(exposure_check(&config, &message), 0);
	assert_int_equal(config_set(&config, "api", "unix:/run/spanwise/api.sock", &message), 0);
	assert_int_equal(exposure_check(&config, &message), 0);
	assert_int_equal(config_set(&config, "http", "unix:relative", &message), -EINVAL);
	assert_int_equal(config_set(&config, "http_tls_cert", "/etc/cert", &message), 0);
	buf_clear(&message);
	assert_int_equal(exposure_check(&config, &message), -EINVAL);
	assert_said("http_tls_cert, http_tls_key: one without the other");
}

static void numbers_that_are_none_are_refused(void **state)
{
	static const char *const bad[] = { "",      "-1",    "+5",
					   "1e3",   "0x500", "99999999999999999999",
					   "500 ms" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(config_set(&config, "settle_ms", bad[i], &message), -EINVAL);
	assert_int_equal(config.settle_ms, 10000);
}

static void flags_win_over_the_environment(void **state)
{
	char *const argv[] = { (char *)"--settle-ms=700", (char *)"--tick_hz", (char *)"12",
			       (char *)"--data", (char *)"/tmp/x" };
	bool wants_help;

	(void)state;
	setenv("SPANWISE_SETTLE_MS", "600", 1);
	assert_int_equal(config_load(&config, 0, NULL, &wants_help, &message), 0);
	assert_int_equal(config.settle_ms, 600);
	config_fini(&config);
	assert_int_equal(config_load(&config, ARRAY_LEN(argv), argv, &wants_help, &message), 0);
	assert_int_equal(config.settle_ms, 700);
	assert_int_equal(config.tick_hz, 12);
	assert_false(wants_help);
}

static void a_flag_without_a_value_is_refused(void **state)
{
	char *const argv[] = { (char *)"--data" };
	bool wants_help;

	(void)state;
	assert_int_equal(config_load(&config, 1, argv, &wants_help, &message), -EINVAL);
	assert_said("--data");
}

static void a_bad_variable_of_the_environment_is_named(void **state)
{
	bool wants_help;

	(void)state;
	setenv("SPANWISE_SETTLE_MS", "soon", 1);
	assert_int_equal(config_load(&config, 0, NULL, &wants_help, &message), -EINVAL);
	assert_said("environment, SPANWISE_SETTLE_MS: \"soon\" is not valid");
}

static void a_variable_of_the_writers_is_not_taken_for_a_setting(void **state)
{
	bool wants_help;

	(void)state;
	setenv("SPANWISE_EXACT_MODE", "1", 1);
	assert_int_equal(config_load(&config, 0, NULL, &wants_help, &message), 0);
	assert_int_equal(message.len, 0);
}

static void settings_that_do_not_fit_together_are_refused(void **state)
{
	char *const argv[] = { (char *)"--max-in-flight-mib=1", (char *)"--data=/tmp/x" };
	bool wants_help;

	(void)state;
	assert_int_equal(config_load(&config, 2, argv, &wants_help, &message), -EINVAL);
	assert_said("max_in_flight_mib");
}

static void the_sample_changes_nothing(void **state)
{
	struct config fresh;
	struct buf sample;

	(void)state;
	config_init(&fresh);
	buf_init(&sample, 0);
	config_sample(&sample);
	for (size_t i = 1; i + 1 < sample.len; i++) {
		if (sample.data[i] == '#' && sample.data[i - 1] == '\n' &&
		    sample.data[i + 1] != ' ')
			sample.data[i] = ' '; /* the settings, without their comment sign */
	}
	assert_int_equal(config_read_text(&config, "sample", buf_str(&sample), &message), 0);
	assert_memory_equal(&config, &fresh, offsetof(struct config, alerts));
	assert_int_equal(alert_rules_add_default(&fresh.alerts), 0);
	assert_int_equal(config.alerts.count, 1);
	assert_memory_equal(config.alerts.items, fresh.alerts.items,
			    offsetof(struct alert_rule, labels));
	config_fini(&fresh);
	buf_fini(&sample);
}

static void alerts_are_sections_and_the_default_gives_way(void **state)
{
	static const char text[] = "settle_ms = 500\n[alert slow]\noperation = GET *\n"
				   "when = wall_p99 > 1s # x\n[ alert x]\nwhen = nonsense\n"
				   "[alert waits-more]\nwhen = ratio < 10 %\nfor = 0s\n";
	static const char good[] = "[alert slow]\nwhen = wall_p99 > 1s\nlabel.team = a=b\n"
				   "[alert waits-more]\nwhen = ratio < 10 %\n";

	(void)state;
	assert_int_equal(config_read_text(&config, "f", str_of(text), &message), -EINVAL);
	assert_said("f:4: alert slow: when: \"wall_p99 > 1s # x\" must go on with `and`");
	assert_said("f:5: \"[ alert x]\": must be `[alert NAME]`\n");
	assert_null(strstr(said(), "nonsense"));
	config_fini(&config);
	assert_int_equal(config_read_text(&config, "f", str_of(good), &message), 0);
	assert_int_equal(alert_rules_add_default(&config.alerts), 0);
	assert_int_equal(config.alerts.count, 2);
	assert_string_equal(config.alerts.items[0].labels[0].value, "a=b");
	assert_string_equal(config.alerts.items[1].when, "ratio < 10 %");
	buf_clear(&message);
	assert_int_equal(config_read_text(&config, "f", str_of(good), &message), -EINVAL);
	assert_said("f:1: there is an alert slow already");
	config_fini(&config);
	buf_clear(&message);
	assert_int_equal(config_read_text(&config, "f", STR("[alert a]\nfor = 0s"), &message),
			 -EINVAL);
	assert_said("alert a has no valid `when`");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(defaults_are_those_of_the_table),
		TEST(a_file_sets_what_it_names),
		TEST(every_bad_line_is_named_with_key_value_and_range),
		TEST(other_machines_are_let_in_only_by_tls_or_tokens),
		TEST(numbers_that_are_none_are_refused),
		TEST(flags_win_over_the_environment),
		TEST(a_flag_without_a_value_is_refused),
		TEST(a_bad_variable_of_the_environment_is_named),
		TEST(a_variable_of_the_writers_is_not_taken_for_a_setting),
		TEST(settings_that_do_not_fit_together_are_refused),
		TEST(the_sample_changes_nothing),
		TEST(alerts_are_sections_and_the_default_gives_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
