/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/describe.h"

#include <string.h>

#include "collector/base/macros.h"
#include "collector/cli/options.h"
#include "collector/commands.h"
#include "collector/config.h"

static const struct entry {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *arguments, *summary;
} entries[] = {
#define X(name, function, arguments, summary) { name, function, arguments, summary },
#include "collector/commands.def"
#undef X
};

/* One command under description. */
struct telling {
	const struct describer *describer;
	struct described_command command;
};

bool describe_takes_settings(const char *command)
{
	return strcmp(command, "serve") == 0 || strcmp(command, "record") == 0 ||
	       strcmp(command, "check-config") == 0;
}

static void on_setting(const char *flag, const char *value, const char *help, const char *otherwise,
		       void *arg)
{
	const struct describer *describer = arg;

	describer->on_option(flag, value, help, otherwise, describer->arg);
}

void describe_settings(const struct describer *describer)
{
	describer->on_option("--config", "FILE", "read settings from here first", NULL,
			     describer->arg);
	config_each(on_setting, (void *)describer);
}

static void on_help(const struct options *options, void *arg)
{
	struct telling *telling = arg;
	const struct describer *describer = telling->describer;

	telling->command.usage = options->usage;
	telling->command.text = options->summary;
	describer->on_command(&telling->command, describer->arg);
	for (const struct option_row *row = options->rows; row->name; row++)
		describer->on_option(row->name, row->value, row->help, NULL, describer->arg);
}

/* These have no table of options. */
static bool is_plain(const struct entry *entry)
{
	return entry->run == command_replay || entry->run == command_version ||
	       entry->run == command_help || entry->run == command_completion ||
	       entry->run == command_man || describe_takes_settings(entry->name);
}

static void describe(const struct describer *describer, const struct entry *entry)
{
	static char help[] = "--help";
	char *argv[] = { (char *)entry->name, help, NULL };
	struct telling telling = {
		describer,
		{ entry->name, entry->arguments, entry->summary, NULL, NULL },
	};

	if (is_plain(entry)) {
		describer->on_command(&telling.command, describer->arg);
		return;
	}
	options_listen(on_help, &telling);
	entry->run(2, argv);
	options_listen(NULL, NULL);
}

void describe_all(const struct describer *describer)
{
	for (size_t i = 0; i < ARRAY_LEN(entries); i++)
		describe(describer, &entries[i]);
}
