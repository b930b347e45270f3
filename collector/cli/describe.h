/* SPDX-License-Identifier: Apache-2.0 */
/* The commands and their options, from the tables that parse them: for the manual page and for
 * shell completion. Not thread safe. */
#pragma once

#include <stdbool.h>

struct described_command {
	const char *name, *arguments, *summary;
	const char *usage, *text; /* the paragraph of --help; NULL: the command has none */
};

struct describer {
	void (*on_command)(const struct described_command *command, void *arg);
	/* After its command. `value`: what it takes, NULL for a switch; `otherwise`: the default,
	 * NULL when the help says it. */
	void (*on_option)(const char *name, const char *value, const char *help,
			  const char *otherwise, void *arg);
	void *arg;
};

/* All commands, in the order of the help. */
void describe_all(const struct describer *describer);
/* Settings as options, for commands that take them all. */
void describe_settings(const struct describer *describer);
/* serve, record, check-config. */
bool describe_takes_settings(const char *command);
