/* SPDX-License-Identifier: Apache-2.0 */
/* The settings: parsed once into a const struct that is handed down by pointer.
 *
 * Sources, the later ones win: config.def's defaults, a file of `key = value` lines (with alerts in
 * sections at its end), the environment (SPANWISE_KEY), flags (--key value, --key=value; dashes and
 * underscores are the same). Nobody else reads the environment. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/alert/alert_rules.h"
#include "collector/base/buf.h"

#define CONFIG_TEXT_BYTES    1024
#define CONFIG_ADDRESS_BYTES 128

struct config {
#define NUMBER(name, value, least, most, help) uint64_t name;
#define ADDRESS(name, value, help)             char name[CONFIG_ADDRESS_BYTES];
#define TEXT(name, value, help)                char name[CONFIG_TEXT_BYTES];
#define SWITCH(name, value, help)              bool name;
#define CHOICE(name, value, choices, help)     unsigned name; /* place among the choices */
#include "collector/config.def"
#undef NUMBER
#undef ADDRESS
#undef TEXT
#undef SWITCH
#undef CHOICE
	struct alert_rules alerts; /* owned: the file's sections [alert NAME] */
};

/* The defaults, not yet derived. */
void config_init(struct config *config);
void config_fini(struct config *config);

/* Sets one key. -EINVAL: unknown key or bad value; `message` then names key, value and range. */
int config_set(struct config *config, const char *key, const char *value, struct buf *message);

/* Reads a file; all bad lines are named in `message`, each on a line of its own. -EINVAL, or why
 * the file cannot be read. `name` is only for messages. */
int config_read_file(struct config *config, const char *path, struct buf *message);
int config_read_text(struct config *config, const char *name, struct str text, struct buf *message);

/* Everything: defaults, file (--config FILE or SPANWISE_CONFIG), environment, flags. `argc` and
 * `argv` without the command's name. `out_help`: --help was among them. -EINVAL as above. */
int config_load(struct config *config, int argc, char *const *argv, bool *out_help,
		struct buf *message);

/* Visits each setting: its flag ("--settle-ms"), what its value is ("number"), help, default. */
void config_each(void (*visit)(const char *flag, const char *value, const char *help,
			       const char *otherwise, void *arg),
		 void *arg);
/* The flags with their defaults and help, for --help. */
void config_usage(struct buf *out);
/* The sample file deploy/collector.conf. */
void config_sample(struct buf *out);
