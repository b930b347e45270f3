/* SPDX-License-Identifier: Apache-2.0 */
/* spanwise completion: scripts for bash and zsh, from the tables of commands and options. */
#include <stdio.h>
#include <string.h>

#include "collector/base/buf.h"
#include "collector/cli/describe.h"
#include "collector/commands.h"

/* Both scripts are a case for each command; this is what one is gathered in. */
struct script {
	struct buf out;
	struct buf names; /* of all commands */
	bool is_zsh, is_open;
};

static bool is_file(const char *value)
{
	return strcmp(value, "FILE") == 0 || strcmp(value, "DIR") == 0;
}

/* The words a value may be: "on|off"; NULL: not known. */
static const char *choices_of(const char *value)
{
	if (strcmp(value, "WHEN") == 0)
		return "auto|always|never";
	return strchr(value, '|') ? value : NULL;
}

/* Within single quotes of the shell, and for zsh within the brackets of a specification. */
static void put_quoted(struct buf *out, const char *text, bool is_specification)
{
	for (; *text; text++) {
		if (*text == '\'') {
			buf_append_text(out, "'\\''");
			continue;
		}
		if (is_specification && strchr("[]:\\", *text))
			buf_append_byte(out, '\\');
		buf_append_byte(out, (uint8_t)(*text == '\n' ? ' ' : *text));
	}
}

static void put_words(struct buf *out, const char *choices)
{
	for (; *choices; choices++)
		buf_append_byte(out, (uint8_t)(*choices == '|' ? ' ' : *choices));
}

static void close_case(struct script *script)
{
	if (script->is_open)
		buf_append_text(&script->out,
				script->is_zsh ? " '*:file:_files'\n\t\t;;\n" : "\"\n\t\t;;\n");
	script->is_open = false;
}

static void open_case(struct script *script, const char *name)
{
	close_case(script);
	buf_printf(&script->out, script->is_zsh ? "\t%s)\n\t\t_arguments" : "\t%s)\n\t\toptions=\"",
		   name);
	script->is_open = true;
}

static void zsh_option(struct buf *out, const char *name, const char *value, const char *help)
{
	buf_printf(out, " \\\n\t\t\t'%s%s[", name, value ? "=" : "");
	put_quoted(out, help, true);
	buf_append_byte(out, ']');
	if (value) {
		buf_append_byte(out, ':');
		put_quoted(out, choices_of(value) ? "value" : value, true);
		buf_append_byte(out, ':');
		if (is_file(value)) {
			buf_append_text(out, "_files");
		} else if (choices_of(value)) {
			buf_append_byte(out, '(');
			put_words(out, choices_of(value));
			buf_append_byte(out, ')');
		}
	}
	buf_append_byte(out, '\'');
}

static void on_option(const char *name, const char *value, const char *help, const char *otherwise,
		      void *arg)
{
	struct script *script = arg;

	(void)otherwise;
	if (script->is_zsh)
		zsh_option(&script->out, name, value, help);
	else
		buf_printf(&script->out, "%s ", name);
}

static void on_command(const struct described_command *command, void *arg)
{
	struct script *script = arg;
	struct describer describer = { on_command, on_option, script };

	open_case(script, command->name);
	if (script->is_zsh) {
		buf_printf(&script->names, "\t\t'%s:", command->name);
		put_quoted(&script->names, command->summary, true);
		buf_append_text(&script->names, "'\n");
	} else {
		buf_printf(&script->names, "%s ", command->name);
	}
	if (describe_takes_settings(command->name))
		describe_settings(&describer);
}

/* The values of options, whichever command they belong to. */
struct values {
	struct buf *out;
	struct buf seen;
};

static void on_value(const char *name, const char *value, const char *help, const char *otherwise,
		     void *arg)
{
	struct values *values = arg;
	char key[80];

	(void)help;
	(void)otherwise;
	if (!value || (!is_file(value) && !choices_of(value)))
		return;
	snprintf(key, sizeof(key), " %s ", name);
	if (values->seen.len && memmem(values->seen.data, values->seen.len, key, strlen(key)))
		return;
	buf_append_text(&values->seen, key);
	buf_printf(values->out, "\t%s)\n\t\tmapfile -t COMPREPLY < <(compgen ", name);
	if (is_file(value)) {
		buf_append_text(values->out, "-f");
	} else {
		buf_append_text(values->out, "-W \"");
		put_words(values->out, choices_of(value));
		buf_append_byte(values->out, '"');
	}
	buf_append_text(values->out, " -- \"$word\")\n\t\treturn\n\t\t;;\n");
}

static void ignore_command(const struct described_command *command, void *arg)
{
	(void)command;
	(void)arg;
}

static void put_values(struct buf *out)
{
	struct values values = { .out = out };
	const struct describer describer = { ignore_command, on_value, &values };

	buf_init(&values.seen, 0);
	describe_all(&describer);
	describe_settings(&describer);
	buf_fini(&values.seen);
}

static void put_bash(struct script *script, struct buf *out)
{
	buf_append_text(out, "# bash completion of spanwise; made by `spanwise completion bash`\n"
			     "_spanwise() {\n"
			     "\tlocal word=${COMP_WORDS[COMP_CWORD]} before='' options=''\n"
			     "\t[ \"$COMP_CWORD\" -gt 0 ] && before=${COMP_WORDS[COMP_CWORD - 1]}\n"
			     "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
			     "\t\tmapfile -t COMPREPLY < <(compgen -W \"");
	buf_append_str(out, buf_str(&script->names));
	buf_append_text(out, "\" -- \"$word\")\n\t\treturn\n\tfi\n"
			     "\tif [ \"$before\" = = ]; then\n"
			     "\t\tbefore=${COMP_WORDS[COMP_CWORD - 2]}\n"
			     "\telif [ \"$word\" = = ]; then\n\t\tword=\n\tfi\n"
			     "\tcase $before in\n");
	put_values(out);
	buf_append_text(out, "\tesac\n\tcase ${COMP_WORDS[1]} in\n");
	buf_append_str(out, buf_str(&script->out));
	buf_append_text(out, "\tesac\n"
			     "\tcase $word in\n"
			     "\t-*) mapfile -t COMPREPLY < <(compgen -W \"$options --help\" -- "
			     "\"$word\") ;;\n"
			     "\t*) mapfile -t COMPREPLY < <(compgen -f -- \"$word\") ;;\n"
			     "\tesac\n}\n"
			     "complete -o filenames -F _spanwise spanwise\n");
}

static void put_zsh(struct script *script, struct buf *out)
{
	buf_append_text(out, "#compdef spanwise\n"
			     "# zsh completion of spanwise; made by `spanwise completion zsh`\n"
			     "_spanwise() {\n"
			     "\tlocal -a commands\n"
			     "\tcommands=(\n");
	buf_append_str(out, buf_str(&script->names));
	buf_append_text(out, "\t)\n"
			     "\tif (( CURRENT == 2 )); then\n"
			     "\t\t_describe command commands\n\t\treturn\n\tfi\n"
			     "\tlocal command=$words[2]\n"
			     "\tshift words\n\t(( CURRENT-- ))\n"
			     "\tcase $command in\n");
	buf_append_str(out, buf_str(&script->out));
	buf_append_text(out, "\tesac\n}\n_spanwise \"$@\"\n");
}

int command_completion(int argc, char **argv)
{
	struct script script = { .is_zsh = argc == 2 && strcmp(argv[1], "zsh") == 0 };
	const struct describer describer = { on_command, on_option, &script };
	struct buf out;

	if (argc != 2 || (!script.is_zsh && strcmp(argv[1], "bash") != 0)) {
		fprintf(stderr, "usage: spanwise completion bash|zsh\n"
				"To try it in bash: . <(spanwise completion bash)\n");
		return 2;
	}
	buf_init(&out, 0);
	buf_init(&script.out, 0);
	buf_init(&script.names, 0);
	describe_all(&describer);
	close_case(&script);
	if (script.is_zsh)
		put_zsh(&script, &out);
	else
		put_bash(&script, &out);
	fwrite(out.data, 1, out.len, stdout);
	buf_fini(&out);
	buf_fini(&script.out);
	buf_fini(&script.names);
	return 0;
}
