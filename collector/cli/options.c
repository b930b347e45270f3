/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
	void (*on_help)(const struct options *options, void *arg);
	void *arg;
} listening;

void options_listen(void (*listener)(const struct options *options, void *arg), void *arg)
{
	listening.on_help = listener;
	listening.arg = arg;
}

static void print_usage(const struct options *options, FILE *out)
{
	fprintf(out, "Usage: %s\n", options->usage);
}

static void print_help(const struct options *options)
{
	print_usage(options, stdout);
	printf("\n%s\n\nOptions:\n", options->summary);
	for (const struct option_row *row = options->rows; row->name; row++) {
		char left[48];

		snprintf(left, sizeof(left), "%s%s%s", row->name, row->value ? " " : "",
			 row->value ? row->value : "");
		printf("  %-26s %s\n", left, row->help);
	}
	printf("  %-26s %s\n", "--help", "print this");
}

static int refuse(const struct options *options, const char *what, const char *argument)
{
	fprintf(stderr, "spanwise: %s: %s\n", argument, what);
	print_usage(options, stderr);
	fprintf(stderr, "Try --help for all options.\n");
	return -EINVAL;
}

int options_refuse(const struct options *options, const char *complaint)
{
	fprintf(stderr, "spanwise: %s\n", complaint);
	print_usage(options, stderr);
	return 2;
}

static const struct option_row *find(const struct options *options, const char *argument,
				     size_t name_len)
{
	for (const struct option_row *row = options->rows; row->name; row++) {
		if (strlen(row->name) == name_len && memcmp(row->name, argument, name_len) == 0)
			return row;
	}
	return NULL;
}

/* One option at argv[i]; returns how many arguments it took. */
static int take_option(const struct options *options, int left, char **argv)
{
	const char *equals = strchr(argv[0], '=');
	size_t name_len = equals ? (size_t)(equals - argv[0]) : strlen(argv[0]);
	const struct option_row *row = find(options, argv[0], name_len);

	if (!row)
		return refuse(options, "unknown option", argv[0]);
	if (!row->value) {
		if (equals)
			return refuse(options, "takes no value", argv[0]);
		*row->flag = true;
		return 1;
	}
	if (!equals && left < 2)
		return refuse(options, "needs a value", argv[0]);
	*row->text = equals ? equals + 1 : argv[1];
	return equals ? 1 : 2;
}

int options_parse(const struct options *options, int argc, char **argv, int *out_words)
{
	int words = 0;

	for (int i = 1; i < argc;) {
		int took = 1;

		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			if (listening.on_help)
				listening.on_help(options, listening.arg);
			else
				print_help(options);
			return OPTIONS_HELP;
		}
		if (argv[i][0] == '-' && argv[i][1])
			took = take_option(options, argc - i, argv + i);
		else if (words == options->max_words)
			return refuse(options, "not expected here", argv[i]);
		else
			argv[++words] = argv[i];
		if (took < 0)
			return took;
		i += took;
	}
	*out_words = words;
	return 0;
}

int options_number(const char *name, const char *text, unsigned long least, unsigned long most,
		   unsigned long *out_number)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || number < least || number > most) {
		fprintf(stderr, "spanwise: %s: '%s' is not a number from %lu to %lu\n", name, text,
			least, most);
		return -EINVAL;
	}
	*out_number = number;
	return 0;
}
