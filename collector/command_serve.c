/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collector/base/buf.h"
#include "collector/cli/check_agent.h"
#include "collector/commands.h"
#include "collector/config.h"
#include "collector/daemon.h"

static void print(FILE *out, const struct buf *text)
{
	if (text->len)
		fwrite(text->data, 1, text->len, out);
}

static void print_usage(const char *line)
{
	struct buf text;

	buf_init(&text, 0);
	buf_printf(&text,
		   "usage: spanwise %s\n\nSettings, as flags here, as `key = value` in FILE, "
		   "or as SPANWISE_KEY in the environment:\n",
		   line);
	config_usage(&text);
	print(stdout, &text);
	buf_fini(&text);
}

/* 0: go on; 1: help was printed; 2: bad, and said so. The caller config_fini's in any case. */
static int load(struct config *config, int argc, char *const *argv, const char *usage)
{
	struct buf message;
	bool wants_help;
	int rc;

	buf_init(&message, 0);
	rc = config_load(config, argc, argv, &wants_help, &message);
	print(stderr, &message);
	buf_fini(&message);
	if (rc < 0)
		return 2;
	if (wants_help)
		print_usage(usage);
	return wants_help;
}

/* Takes what `load` filled, and its result. */
static int finish(struct config *config, int rc, int (*run)(const struct config *config))
{
	if (rc == 0)
		rc = run(config);
	else if (rc == 1)
		rc = 0;
	config_fini(config);
	return rc;
}

static int serve(const struct config *config)
{
	return daemon_run(config) < 0 ? 1 : 0;
}

int command_serve(int argc, char **argv)
{
	struct config config;
	int rc = load(&config, argc - 1, argv + 1, "serve [--config FILE] [--KEY VALUE...]");

	return finish(&config, rc, serve);
}

int command_record(int argc, char **argv)
{
	struct config config;
	int rc;

	if (argc < 2 || strncmp(argv[1], "-", 1) == 0) {
		print_usage("record FILE [--config FILE] [--KEY VALUE...]");
		return argc > 1 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
	}
	rc = load(&config, argc - 2, argv + 2, "record FILE [--config FILE] [--KEY VALUE...]");
	if (rc == 0 && (size_t)snprintf(config.record, sizeof(config.record), "%s", argv[1]) >=
			       sizeof(config.record)) {
		fprintf(stderr, "record: the file's name is too long\n");
		rc = 2;
	}
	return finish(&config, rc, serve);
}

static int print_defaults(void)
{
	struct buf text;

	buf_init(&text, 0);
	config_sample(&text);
	print(stdout, &text);
	buf_fini(&text);
	return 0;
}

static int say_valid(const struct config *config)
{
	(void)config;
	printf("the configuration is valid\n");
	return 0;
}

int command_check_config(int argc, char **argv)
{
	struct config config;
	int rc;

	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--agent", strlen("--agent")) == 0)
			return check_agent(argc, argv);
	}
	if (argc == 2 && strcmp(argv[1], "--print-defaults") == 0)
		return print_defaults();
	rc = load(&config, argc - 1, argv + 1, "check-config [--config FILE] [--KEY VALUE...]");
	return finish(&config, rc, say_valid);
}
