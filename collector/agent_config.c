/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/agent_config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/agent_text.h"
#include "collector/base/macros.h"

enum agent {
	AGENT_SPANWISE,
	AGENT_PARCA,
	AGENT_OTEL,
	AGENT_ALLOY,
	AGENT_DATADOG,
	AGENT_ASYNC,
	AGENT_GENERIC,
	AGENT_COUNT
};

enum setting {
	SET_RATE,
	SET_PERIOD,
	SET_WALL_PERIOD,
	SET_UPLOAD,
	SET_DEPTH,
	SET_SYMBOLS,
	SET_AGENT_SYMBOLS,
	SET_UNWINDER,
	SET_DWARF,
	SET_EVENT,
	SET_OFF_CPU,
	SET_PROBABILITY,
	SET_MEASURED,
	SET_BUDGET,
	SET_NOTHING
};

enum unit { UNIT_NONE, UNIT_HZ, UNIT_S, UNIT_MS, UNIT_NS, UNIT_SHARE, UNIT_PERCENT };

static const struct agent_defaults {
	const char *name;
	double rate_hz, upload_s;
} agents[AGENT_COUNT] = {
	[AGENT_SPANWISE] = { "spanwise", 99, 0 },
	[AGENT_PARCA] = { "Parca agent", 19, 5 },
	[AGENT_OTEL] = { "OpenTelemetry eBPF profiler", 20, 5 },
	[AGENT_ALLOY] = { "Grafana Alloy (Pyroscope)", 97, 15 },
	[AGENT_DATADOG] = { "Datadog profiler", 100, 60 },
	[AGENT_ASYNC] = { "async-profiler", 100, 0 },
	[AGENT_GENERIC] = { "a profiling agent", 100, 10 },
};

static const struct setting_row {
	uint8_t agent, setting, unit;
	const char *key;
} setting_rows[] = {
#define X(agent, key, setting, unit) { AGENT_##agent, SET_##setting, UNIT_##unit, key },
#include "collector/agent_setting.def"
#undef X
};

#define MAX_UNKNOWN 6 /* keys that are named; the others are only counted */

struct reading {
	struct agent_settings *settings;
	struct buf *message;
	struct buf unknown; /* keys beside the known ones, as a list */
	unsigned known, unknown_count;
	bool is_async; /* a command line of async-profiler: its options have one letter */
	int agent;     /* -1: not told yet */
};

/* ---- values ---- */

/* "1s", "10ms", "500us", "1m", "5" (in the row's unit) -> seconds. */
static bool read_seconds(const char *text, enum unit unit, double *out_s)
{
	static const struct suffix {
		const char *text;
		double factor;
	} suffixes[] = { { "s", 1 },  { "ms", 1e-3 }, { "us", 1e-6 }, { "ns", 1e-9 },
			 { "m", 60 }, { "min", 60 },  { "h", 3600 } };
	char *end;
	double number = strtod(text, &end);

	if (end == text || !(number > 0 && number < 1e15))
		return false;
	if (!*end) {
		*out_s = number * (unit == UNIT_MS ? 1e-3 : unit == UNIT_NS ? 1e-9 : 1);
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		if (strcmp(end, suffixes[i].text) == 0) {
			*out_s = number * suffixes[i].factor;
			return true;
		}
	}
	return false;
}

static bool read_number(const char *text, double most, double *out_number)
{
	char *end;
	double number = strtod(text, &end);

	bool has_unit = strcmp(end, "%") == 0 || strcasecmp(end, "hz") == 0;

	if (end == text || (*end && !has_unit) || !(number >= 0 && number <= most))
		return false;
	*out_number = number;
	return true;
}

static bool is_yes(const char *text)
{
	return strcasecmp(text, "true") == 0 || strcasecmp(text, "yes") == 0 ||
	       strcmp(text, "1") == 0 || strcasecmp(text, "on") == 0 || !*text;
}

/* What a value must be, for the message when it is not. */
static const char *wanted(enum setting setting)
{
	switch (setting) {
	case SET_RATE:
		return "a rate above 0 and up to 1000000, in Hz";
	case SET_PERIOD:
	case SET_WALL_PERIOD:
	case SET_UPLOAD:
		return "a time such as 10ms or 1s";
	case SET_DEPTH:
		return "a number of frames";
	case SET_SYMBOLS:
		return "synchronous, asynchronous or server";
	case SET_OFF_CPU:
	case SET_PROBABILITY:
		return "a share (0 to 1, or percent)";
	case SET_MEASURED:
	case SET_BUDGET:
		return "a percentage";
	default:
		return "another value";
	}
}

static bool read_symbols(const char *text, enum agent_symbols *out)
{
	static const struct word {
		const char *text;
		enum agent_symbols symbols;
	} words[] = {
		{ "synchronous", AGENT_SYMBOLS_INLINE }, { "sync", AGENT_SYMBOLS_INLINE },
		{ "inline", AGENT_SYMBOLS_INLINE },      { "asynchronous", AGENT_SYMBOLS_ASYNC },
		{ "async", AGENT_SYMBOLS_ASYNC },        { "background", AGENT_SYMBOLS_ASYNC },
		{ "server", AGENT_SYMBOLS_SERVER },      { "remote", AGENT_SYMBOLS_SERVER },
		{ "backend", AGENT_SYMBOLS_SERVER },     { "none", AGENT_SYMBOLS_SERVER },
		{ "off", AGENT_SYMBOLS_SERVER },         { "false", AGENT_SYMBOLS_SERVER },
		{ "blocking", AGENT_SYMBOLS_INLINE },    { "eager", AGENT_SYMBOLS_INLINE },
		{ "lazy", AGENT_SYMBOLS_ASYNC },         { "deferred", AGENT_SYMBOLS_ASYNC },
		{ "offline", AGENT_SYMBOLS_SERVER },     { "true", AGENT_SYMBOLS_UNKNOWN },
		{ "on", AGENT_SYMBOLS_UNKNOWN },         { "local", AGENT_SYMBOLS_UNKNOWN },
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcasecmp(text, words[i].text) == 0) {
			*out = words[i].symbols;
			return true;
		}
	}
	return false;
}

static bool set_rate(struct agent_settings *settings, const char *text, enum setting setting,
		     enum unit unit)
{
	double seconds;

	if (setting == SET_RATE)
		return read_number(text, 1e6, &settings->rate_hz) && settings->rate_hz > 0;
	if (!read_seconds(text, unit, &seconds) || seconds < 1e-6)
		return false;
	settings->rate_hz = 1 / seconds;
	if (setting == SET_WALL_PERIOD)
		settings->samples_all_threads = true;
	return true;
}

static bool set_share(double *out, const char *text, enum unit unit)
{
	if (!read_number(text, unit == UNIT_PERCENT ? 100 : 1, out))
		return false;
	*out /= unit == UNIT_PERCENT ? 100 : 1;
	return true;
}

/* False: the value is wrong. */
static bool apply(struct agent_settings *settings, const struct setting_row *row, const char *text)
{
	enum unit unit = (enum unit)row->unit;

	switch ((enum setting)row->setting) {
	case SET_RATE:
	case SET_PERIOD:
	case SET_WALL_PERIOD:
		return set_rate(settings, text, (enum setting)row->setting, unit);
	case SET_UPLOAD:
		return read_seconds(text, unit, &settings->upload_s);
	case SET_DEPTH:
		return read_number(text, 1e6, &settings->depth);
	case SET_SYMBOLS:
		return read_symbols(text, &settings->symbols);
	case SET_AGENT_SYMBOLS:
		settings->symbols = is_yes(text) ? AGENT_SYMBOLS_ASYNC : AGENT_SYMBOLS_SERVER;
		return true;
	case SET_UNWINDER:
		settings->uses_dwarf = strcasecmp(text, "dwarf") == 0;
		return true;
	case SET_DWARF:
		settings->uses_dwarf = is_yes(text);
		return true;
	case SET_EVENT:
		settings->samples_all_threads = strcasecmp(text, "wall") == 0;
		return true;
	case SET_OFF_CPU:
		return set_share(&settings->off_cpu, text, unit);
	case SET_PROBABILITY:
		return set_share(&settings->probability, text, unit);
	case SET_MEASURED:
		return read_number(text, 10000, &settings->measured_percent);
	case SET_BUDGET:
		return read_number(text, 100, &settings->budget_percent);
	case SET_NOTHING:
		return true;
	}
	return false;
}

/* ---- keys ---- */

/* "receivers_profiling_samples_per_second" ends in "samples_per_second", at a border. */
static bool ends_in(const char *key, const char *end)
{
	size_t key_len = strlen(key), len = strlen(end);

	return key_len >= len && strcmp(key + key_len - len, end) == 0 &&
	       (key_len == len || key[key_len - len - 1] == '_');
}

/* async-profiler's options are single words that others use as parts of theirs; those of one letter
 * count on its command line only. A rate of traces is none of a profiler. */
static bool is_key(const struct reading *reading, const struct setting_row *row, const char *key)
{
	if (row->agent == AGENT_ASYNC)
		return strcmp(key, row->key) == 0 && (reading->is_async || row->key[1]);
	if (row->agent == AGENT_GENERIC && strstr(key, "trac"))
		return false;
	return ends_in(key, row->key);
}

/* Only the generic notation is ours to know all of: a misspelt setting would pass for its default.
 */
static void note_unknown(struct reading *reading, const char *key)
{
	if (reading->unknown_count++ >= MAX_UNKNOWN)
		return;
	buf_append_text(&reading->unknown, reading->unknown_count == 1 ? "" : ", ");
	buf_append_text(&reading->unknown, key);
}

static int on_setting(void *arg, const char *key, const char *value, unsigned line)
{
	struct reading *reading = arg;

	for (size_t i = 0; i < ARRAY_LEN(setting_rows); i++) {
		const struct setting_row *row = &setting_rows[i];

		if (!is_key(reading, row, key))
			continue;
		if (reading->agent < 0 || row->agent < reading->agent)
			reading->agent = row->agent;
		reading->known++;
		if (apply(reading->settings, row, value))
			return 0;
		buf_printf(reading->message, "line %u: %s: '", line, row->key);
		for (size_t k = 0; value[k] && k < 60; k++)
			buf_append_byte(reading->message,
					isprint((unsigned char)value[k]) ? value[k] : '?');
		buf_printf(reading->message, "' is no value for it; give %s",
			   wanted((enum setting)row->setting));
		return -EINVAL;
	}
	note_unknown(reading, key);
	return 0;
}

static void take_defaults(struct agent_settings *settings, const struct agent_defaults *agent)
{
	settings->agent = agent->name;
	settings->default_rate_hz = agent->rate_hz;
	settings->default_upload_s = agent->upload_s;
	settings->is_rate_told = settings->rate_hz > 0;
	if (!settings->is_rate_told)
		settings->rate_hz = agent->rate_hz;
	if (!(settings->upload_s > 0))
		settings->upload_s = agent->upload_s;
}

static void name_unknown(struct agent_settings *settings, const struct reading *reading)
{
	unsigned more =
		reading->unknown_count > MAX_UNKNOWN ? reading->unknown_count - MAX_UNKNOWN : 0;
	int len = snprintf(settings->unknown, sizeof(settings->unknown), "%.*s",
			   (int)reading->unknown.len,
			   reading->unknown.len ? reading->unknown.data : "");

	if (more && len > 0 && (size_t)len < sizeof(settings->unknown))
		snprintf(settings->unknown + len, sizeof(settings->unknown) - (size_t)len,
			 " and %u more", more);
}

int agent_config_parse(struct str text, struct agent_settings *out_settings, struct buf *message)
{
	struct agent_settings settings = { 0 };
	struct reading reading = { .settings = &settings, .message = message, .agent = -1 };
	bool is_alloy = text.len && memmem(text.data, text.len, "pyroscope.", 10);
	int rc;

	if (text.len > AGENT_CONFIG_MAX_BYTES) {
		buf_printf(message, "it is larger than %zu KiB", AGENT_CONFIG_MAX_BYTES >> 10);
		return -EBADMSG;
	}
	reading.is_async = text.len && (memmem(text.data, text.len, "asprof", 6) ||
					memmem(text.data, text.len, "profiler.sh", 11));
	buf_init(&reading.unknown, 0);
	rc = agent_text_walk(text, on_setting, &reading, message);
	if (rc == 0 && !reading.known) {
		buf_append_text(message,
				"it has no setting of a profiling agent that spanwise knows (rate, "
				"symbols, depth, upload)");
		rc = -EBADMSG;
	}
	if (rc == 0) {
		take_defaults(&settings, &agents[is_alloy ? (int)AGENT_ALLOY : reading.agent]);
		if (reading.agent == AGENT_GENERIC && !is_alloy)
			name_unknown(&settings, &reading);
		*out_settings = settings;
	}
	buf_fini(&reading.unknown);
	return rc;
}

int agent_config_read(const char *path, struct agent_settings *out_settings, struct buf *message)
{
	FILE *file = fopen(path, "re");
	char piece[4096];
	struct buf text;
	size_t got;
	int rc;

	if (!file) {
		rc = -errno;
		buf_append_text(message, strerror(errno));
		return rc;
	}
	buf_init(&text, AGENT_CONFIG_MAX_BYTES + sizeof(piece));
	while (!buf_error(&text) && (got = fread(piece, 1, sizeof(piece), file)) > 0)
		buf_append(&text, piece, got);
	rc = ferror(file) ? -EIO : 0;
	fclose(file);
	if (rc < 0)
		buf_append_text(message, strerror(EIO));
	else
		rc = agent_config_parse(buf_str(&text), out_settings, message);
	buf_fini(&text);
	return rc;
}
