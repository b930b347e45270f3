/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of one command: a table is parser, usage and --help at once.
 *
 * --name VALUE and --name=VALUE; what is not in the table is an error. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define OPTIONS_HELP 1

struct option_row {
	const char *name;  /* "--limit"; NULL ends the table */
	const char *value; /* "N": takes one; NULL: a switch */
	const char **text; /* gets the value */
	bool *flag;        /* set by a switch */
	const char *help;
};

struct options {
	const char *usage;   /* "spanwise trace ID" */
	const char *summary; /* a paragraph for --help */
	const struct option_row *rows;
	int max_words; /* words that are no options */
};

/* The words are moved to the front of `argv` (after argv[0]) and counted. 0; OPTIONS_HELP: help was
 * asked for and printed; -EINVAL: the mistake and the usage stand on stderr. */
int options_parse(const struct options *options, int argc, char **argv, int *out_words);

/* A whole number from `least` to `most`, or the complaint on stderr and -EINVAL. */
int options_number(const char *name, const char *text, unsigned long least, unsigned long most,
		   unsigned long *out_number);

/* From now on --help calls this in place of printing: for manual and completion, which are made of
 * the same tables. NULL: prints again. Not thread safe. */
void options_listen(void (*listener)(const struct options *options, void *arg), void *arg);

/* `complaint` and the usage on stderr; returns 2, the exit status of a wrong command line. */
int options_refuse(const struct options *options, const char *complaint);
