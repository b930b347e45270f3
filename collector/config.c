/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "collector/address.h"
#include "collector/base/macros.h"
#include "collector/memory_plan.h"
#include "collector/net/exposure.h"

#define KEY_BYTES 64

enum setting_kind { NUMBER, ADDRESS, TEXT, SWITCH, CHOICE };

struct setting {
	const char *key;
	enum setting_kind kind;
	size_t offset;
	const char *value; /* the default */
	uint64_t least, most;
	const char *choices; /* of CHOICE: "a|b|c" */
	const char *help;
};

/* clang-format off */
static const struct setting settings[] = {
#define NUMBER(name, value, least, most, help) { #name, NUMBER, offsetof(struct config, name), #value, least, most, "", help },
#define ADDRESS(name, value, help) { #name, ADDRESS, offsetof(struct config, name), value, 0, 0, "", help },
#define TEXT(name, value, help) { #name, TEXT, offsetof(struct config, name), value, 0, 0, "", help },
#define SWITCH(name, value, help) { #name, SWITCH, offsetof(struct config, name), value, 0, 0, "", help },
#define CHOICE(name, value, choices, help) { #name, CHOICE, offsetof(struct config, name), value, 0, 0, choices, help },
#include "collector/config.def"
#undef NUMBER
#undef ADDRESS
#undef TEXT
#undef SWITCH
#undef CHOICE
};
/* clang-format on */

/* "the number 64 to 1048576": what a value must be, for messages and the sample. */
static void put_range(const struct setting *setting, struct buf *out)
{
	switch (setting->kind) {
	case NUMBER:
		buf_printf(out, "a number from %" PRIu64 " to %" PRIu64, setting->least,
			   setting->most);
		return;
	case ADDRESS:
		buf_append_text(out, "an address and a port, such as 127.0.0.1:4317 or [::1]:0, or "
				     "unix:/path; other machines can reach it only with "
				     "TLS or tokens");
		return;
	case TEXT:
		buf_printf(out, "a text of less than %d bytes", CONFIG_TEXT_BYTES);
		return;
	case SWITCH:
		buf_append_text(out, "on or off");
		return;
	case CHOICE:
		buf_printf(out, "one of %s", setting->choices);
		return;
	}
}

static bool set_number(const struct setting *setting, void *field, const char *value)
{
	char *end;
	unsigned long long number;

	if (!isdigit((unsigned char)*value))
		return false;
	errno = 0;
	number = strtoull(value, &end, 10);
	if (errno || *end || number < setting->least || number > setting->most)
		return false;
	*(uint64_t *)field = number;
	return true;
}

static bool set_text(char *field, size_t size, const char *value)
{
	size_t len = strlen(value);

	if (len >= size || strpbrk(value, "\n\r"))
		return false;
	memcpy(field, value, len + 1);
	return true;
}

static bool set_switch(bool *field, const char *value)
{
	static const char *const names[] = { "off", "on", "false", "true", "no", "yes", "0", "1" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(value, names[i]) == 0) {
			*field = i % 2;
			return true;
		}
	}
	return false;
}

static bool set_choice(const struct setting *setting, unsigned *field, const char *value)
{
	const char *at = setting->choices;
	size_t len = strlen(value);

	for (unsigned place = 0; *at; place++) {
		size_t choice = strcspn(at, "|");

		if (len == choice && memcmp(at, value, len) == 0) {
			*field = place;
			return true;
		}
		at += choice + (at[choice] == '|');
	}
	return false;
}

static bool set_value(const struct setting *setting, struct config *config, const char *value)
{
	char *field = (char *)config + setting->offset;

	switch (setting->kind) {
	case NUMBER:
		return set_number(setting, field, value);
	case ADDRESS:
		return address_check(value) != ADDRESS_INVALID &&
		       set_text(field, CONFIG_ADDRESS_BYTES, value);
	case TEXT:
		return set_text(field, CONFIG_TEXT_BYTES, value);
	case SWITCH:
		return set_switch((bool *)(void *)field, value);
	case CHOICE:
		return set_choice(setting, (unsigned *)(void *)field, value);
	}
	return false;
}

void config_init(struct config *config)
{
	memset(config, 0, sizeof(*config));
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		if (!set_value(&settings[i], config, settings[i].value))
			abort(); /* config.def contradicts itself */
	}
}

void config_fini(struct config *config)
{
	alert_rules_fini(&config->alerts);
}

/* Keys are written with underscores; a dash counts as one. */
static const struct setting *find(const char *key)
{
	char plain[KEY_BYTES];
	size_t len = strlen(key);

	if (len >= sizeof(plain))
		return NULL;
	for (size_t i = 0; i <= len; i++)
		plain[i] = key[i] == '-' ? '_' : (char)tolower((unsigned char)key[i]);
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		if (strcmp(settings[i].key, plain) == 0)
			return &settings[i];
	}
	return NULL;
}

int config_set(struct config *config, const char *key, const char *value, struct buf *message)
{
	const struct setting *setting = find(key);

	if (!setting) {
		buf_printf(message, "%.64s: no such setting; `spanwise serve --help` lists them\n",
			   key);
		return -EINVAL;
	}
	if (set_value(setting, config, value))
		return 0;
	buf_printf(message, "%s: \"%.200s\" is not valid: must be ", setting->key, value);
	put_range(setting, message);
	buf_append_byte(message, '\n');
	return -EINVAL;
}

/* A variable is named as it is written: in capitals, up to the colon. */
static void capitalise(struct buf *message, size_t from)
{
	for (size_t i = from; i < message->len && message->data[i] != ':'; i++)
		message->data[i] = (char)toupper((unsigned char)message->data[i]);
}

/* Variables that are none of the daemon's settings: where its file is, and what the writers of
 * deploy/instrument read, which may well stand in the same environment. */
static bool is_for_others(const char *key)
{
	return strcasecmp(key, "config") == 0 || strcasecmp(key, "exact_mode") == 0;
}

/* SPANWISE_KEY=value. Unknown ones are refused, as in a file. */
static int read_environment(struct config *config, struct buf *message)
{
	static const char prefix[] = "SPANWISE_";
	int rc = 0;

	for (char **at = environ; *at; at++) {
		const char *equals = strchr(*at, '=');
		char key[KEY_BYTES];
		size_t len, name, before = message->len;

		if (strncmp(*at, prefix, sizeof(prefix) - 1) != 0 || !equals)
			continue;
		len = (size_t)(equals - *at) - (sizeof(prefix) - 1);
		if (len >= sizeof(key))
			len = sizeof(key) - 1;
		memcpy(key, *at + sizeof(prefix) - 1, len);
		key[len] = '\0';
		if (is_for_others(key))
			continue;
		buf_append_text(message, "environment, SPANWISE_");
		name = message->len;
		if (config_set(config, key, equals + 1, message) == 0) {
			message->len = before;
		} else {
			capitalise(message, name);
			rc = -EINVAL;
		}
	}
	return rc;
}

/* Splits "--key=value" or "--key" "value". Returns how many arguments were used, 0: not a flag. */
static int split_flag(int argc, char *const *argv, char key[KEY_BYTES], const char **out_value)
{
	const char *text = argv[0], *equals;
	size_t len;

	if (strncmp(text, "--", 2) != 0)
		return 0;
	text += 2;
	equals = strchr(text, '=');
	len = equals ? (size_t)(equals - text) : strlen(text);
	if (len == 0 || len >= KEY_BYTES)
		return 0;
	memcpy(key, text, len);
	key[len] = '\0';
	if (equals) {
		*out_value = equals + 1;
		return 1;
	}
	*out_value = argc > 1 ? argv[1] : NULL;
	return argc > 1 ? 2 : 1;
}

/* Walks the flags; `config` NULL: only looks for --config and --help. */
static int read_flags(struct config *config, int argc, char *const *argv, const char **path,
		      bool *out_help, struct buf *message)
{
	int rc = 0, used;

	for (int i = 0; i < argc; i += used) {
		char key[KEY_BYTES];
		const char *value;

		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			*out_help = true;
			used = 1;
			continue;
		}
		used = split_flag(argc - i, argv + i, key, &value);
		if (used == 0 || !value) {
			buf_printf(message, "%.64s: must be --key VALUE or --key=VALUE\n", argv[i]);
			return -EINVAL;
		}
		if (strcmp(key, "config") == 0)
			*path = value;
		else if (config && config_set(config, key, value, message) < 0)
			rc = -EINVAL;
	}
	return rc;
}

static int derive_data(struct config *config, struct buf *message)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int len;

	if (*config->data)
		return 0;
	if (geteuid() == 0)
		len = snprintf(config->data, sizeof(config->data), "/var/lib/spanwise");
	else if (state && *state == '/')
		len = snprintf(config->data, sizeof(config->data), "%s/spanwise", state);
	else
		len = snprintf(config->data, sizeof(config->data), "%s/.local/state/spanwise",
			       home ? home : "");
	if (*config->data == '/' && (size_t)len < sizeof(config->data) &&
	    (state || home || len < 20))
		return 0;
	buf_append_text(message, "data: no default without $HOME: must be a path\n");
	return -EINVAL;
}

/* What depends on other settings, or on who runs us. */
static int derive(struct config *config, struct buf *message)
{
	int rc = derive_data(config, message);

	if (config->alert_defaults && alert_rules_add_default(&config->alerts) < 0)
		return -ENOMEM;
	if (exposure_check(config, message) < 0)
		rc = -EINVAL;
	return memory_plan_check(config, message) < 0 ? -EINVAL : rc;
}

int config_load(struct config *config, int argc, char *const *argv, bool *out_help,
		struct buf *message)
{
	const char *path = getenv("SPANWISE_CONFIG");
	int rc;

	config_init(config);
	*out_help = false;
	rc = read_flags(NULL, argc, argv, &path, out_help, message);
	if (rc < 0 || *out_help)
		return rc;
	if (path && *path)
		rc = config_read_file(config, path, message);
	if (read_environment(config, message) < 0)
		rc = -EINVAL;
	if (read_flags(config, argc, argv, &path, out_help, message) < 0)
		rc = -EINVAL;
	return rc < 0 ? rc : derive(config, message);
}

static const char *value_name(const struct setting *setting)
{
	switch (setting->kind) {
	case CHOICE:
		return setting->choices;
	case SWITCH:
		return "on|off";
	case NUMBER:
		return "number";
	case ADDRESS:
		return "address:port";
	default:
		return "text";
	}
}

void config_each(void (*visit)(const char *flag, const char *value, const char *help,
			       const char *otherwise, void *arg),
		 void *arg)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		char flag[KEY_BYTES + 2] = "--";

		for (size_t j = 0; j <= strlen(settings[i].key); j++)
			flag[j + 2] = settings[i].key[j] == '_' ? '-' : settings[i].key[j];
		visit(flag, value_name(&settings[i]), settings[i].help, settings[i].value, arg);
	}
}

static void put_usage(const char *flag, const char *value, const char *help, const char *otherwise,
		      void *arg)
{
	buf_printf(arg, "  %-26s  %s\n  %28s(%s; default: %s)\n", flag, help, "", value,
		   *otherwise ? otherwise : "empty");
}

void config_usage(struct buf *out)
{
	buf_append_text(out, "  --config FILE               read settings from here first\n");
	config_each(put_usage, out);
}

void config_sample(struct buf *out)
{
	buf_append_text(out,
			"# Settings of `spanwise serve`, all at their defaults. Each is also a "
			"flag\n# (--key VALUE) and an environment variable (SPANWISE_KEY), "
			"which win over this file.\n"
			"# Check changes with `spanwise check-config --config FILE`.\n");
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		const struct setting *setting = &settings[i];

		buf_printf(out, "\n# %s\n# ", setting->help);
		put_range(setting, out);
		buf_printf(out, "\n#%s =%s%s\n", setting->key, *setting->value ? " " : "",
			   setting->value);
	}
	alert_rules_sample(out);
}
