/* SPDX-License-Identifier: Apache-2.0 */
/* spanwise man: the manual page, as roff, from the tables of commands, options and settings. */
#include <stdio.h>
#include <string.h>

#include "collector/base/buf.h"
#include "collector/cli/client.h"
#include "collector/cli/describe.h"
#include "collector/commands.h"

/* Text as it is: no byte of it commands the formatter. */
static void put(struct buf *out, const char *text)
{
	bool is_line_start = !out->len || out->data[out->len - 1] == '\n';

	for (; *text; text++) {
		if (is_line_start && (*text == '.' || *text == '\''))
			buf_append_text(out, "\\&");
		if (*text == '\\')
			buf_append_text(out, "\\e");
		else if (*text == '-')
			buf_append_text(out, "\\-");
		else
			buf_append_byte(out, (uint8_t)*text);
		is_line_start = *text == '\n';
	}
}

static void put_item(struct buf *out, const char *name, const char *value, const char *help)
{
	buf_append_text(out, ".TP\n\\fB");
	put(out, name);
	buf_append_text(out, "\\fR");
	if (value) {
		buf_append_text(out, " \\fI");
		put(out, value);
		buf_append_text(out, "\\fR");
	}
	buf_append_byte(out, '\n');
	put(out, help);
	buf_append_byte(out, '\n');
}

static void on_command(const struct described_command *command, void *arg)
{
	struct buf *out = arg;

	buf_append_text(out, ".SS ");
	put(out, command->name);
	buf_append_byte(out, ' ');
	put(out, command->arguments);
	buf_append_byte(out, '\n');
	put(out, command->text ? command->text : command->summary);
	buf_append_text(out, describe_takes_settings(command->name)
				     ? ".\nTakes all settings as options: see SETTINGS.\n"
			     : command->text ? "\n"
					     : ".\n");
}

static void on_option(const char *name, const char *value, const char *help, const char *otherwise,
		      void *arg)
{
	struct buf *out = arg;

	put_item(out, name, value, help);
	if (!otherwise)
		return;
	buf_append_text(out, "Default: ");
	put(out, *otherwise ? otherwise : "empty");
	buf_append_text(out, ".\n");
}

static void put_head(struct buf *out)
{
	buf_append_text(out, ".\\\" SPDX-License-Identifier: Apache-2.0\n"
			     ".TH SPANWISE 1 \"\" \"spanwise " SPANWISE_VERSION "\"\n"
			     ".SH NAME\nspanwise \\- where did a span's wall time go?\n"
			     ".SH SYNOPSIS\n.B spanwise\n.I COMMAND\n[\\fIARGUMENTS\\fR]\n"
			     ".SH DESCRIPTION\n");
	put(out,
	    "spanwise receives OpenTelemetry spans, listens to the Linux scheduler through eBPF, "
	    "and "
	    "says for\nevery span how much of its wall time was spent on a CPU, waiting for one, "
	    "blocked and on what, or on\nno thread at all; and how far each figure may be off.\n");
}

static void put_tail(struct buf *out)
{
	buf_append_text(out, ".SH ENVIRONMENT\n");
	put_item(out, "SPANWISE_API", NULL,
		 "Where the commands that ask a daemon find it; without it " CLIENT_DEFAULT_API
		 ".");
	put_item(out, "SPANWISE_CONFIG", NULL, "The file of settings, in place of --config.");
	put_item(out, "SPANWISE_KEY", NULL,
		 "Each setting, its key in capitals. It wins over the file, and a flag over it.");
	put_item(out, "NO_COLOR", NULL, "No colours, unless --color=always.");
	buf_append_text(out, ".SH EXIT STATUS\n");
	put(out, "0: done, and all is well. 1: the answer is bad news, or an operation failed. 2: "
		 "the command line or\nthe configuration is wrong.\n");
	buf_append_text(out, ".SH EXAMPLES\n.nf\n");
	put(out, "spanwise serve --memory-limit-mib 512\n"
		 "spanwise top --sort=wait\n"
		 "spanwise trace slowest\n"
		 "spanwise search --operation='GET /report' --min-wall-ms=500 --reason=net\n"
		 "spanwise compare to=-1h from=-1h --service=shop\n"
		 "spanwise alerts test waits-more --from=-7d\n");
	buf_append_text(out, ".fi\n");
}

int command_man(int argc, char **argv)
{
	struct buf out;
	const struct describer describer = { on_command, on_option, &out };

	(void)argv;
	if (argc > 1) {
		fprintf(stderr, "usage: spanwise man | man -l -\n");
		return 2;
	}
	buf_init(&out, 0);
	put_head(&out);
	buf_append_text(&out, ".SH COMMANDS\n");
	describe_all(&describer);
	buf_append_text(&out, ".SH SETTINGS\n");
	put(&out,
	    "Of serve, record and check-config: as options, as `key = value` lines of the "
	    "file given by --config\n(underscores for dashes), or as variables. `spanwise "
	    "check-config --print-defaults` prints such a file,\nwhich also explains alerts.\n");
	describe_settings(&describer);
	put_tail(&out);
	fwrite(out.data, 1, out.len, stdout);
	buf_fini(&out);
	return 0;
}
