/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/commands.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *arguments;
	const char *summary;
} commands[] = {
#define X(name, function, arguments, summary) { name, function, arguments, summary },
#include "collector/commands.def"
#undef X
};

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static void print_help(FILE *out)
{
	fprintf(out, "spanwise " SPANWISE_VERSION ": where did a span's wall time go?\n\n"
		     "usage: spanwise COMMAND [ARGUMENTS]\n\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(out, "  %-13s %s\n", commands[i].name, commands[i].summary);
	fprintf(out, "\n`spanwise COMMAND --help` says more.\n");
}

int command_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("spanwise %s\n", SPANWISE_VERSION);
	return 0;
}

/* These have no table of options, from which the others make their help. */
static bool is_plain(const struct command *command)
{
	return command->run == command_help || command->run == command_version ||
	       command->run == command_completion || command->run == command_man;
}

static int print_usage(const struct command *command)
{
	printf("Usage: spanwise %s%s%s\n\n%s\n", command->name, *command->arguments ? " " : "",
	       command->arguments, command->summary);
	return 0;
}

int command_help(int argc, char **argv)
{
	static char help[] = "--help";
	const struct command *command = argc > 1 ? find(argv[1]) : NULL;
	char *again[] = { argc > 1 ? argv[1] : NULL, help, NULL };

	if (argc < 2) {
		print_help(stdout);
		return 0;
	}
	if (!command) {
		fprintf(stderr, "help: there is no command %s\n", argv[1]);
		return 2;
	}
	return is_plain(command) ? print_usage(command) : command->run(2, again);
}

int main(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		print_help(stderr);
		return 2;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return command_help(1, argv);
	if (strcmp(argv[1], "--version") == 0)
		return command_version(1, argv);
	command = find(argv[1]);
	if (command && argc > 2 && is_plain(command) && strcmp(argv[2], "--help") == 0)
		return print_usage(command);
	if (command)
		return command->run(argc - 1, argv + 1);
	fprintf(stderr, "spanwise: there is no command %s; `spanwise help` lists them\n", argv[1]);
	return 2;
}
