/* SPDX-License-Identifier: Apache-2.0 */
/* spanwise check-config --agent FILE: what a profiling agent's settings cost, and what would help.
 */
#include "collector/cli/check_agent.h"

#include <stdio.h>
#include <stdlib.h>

#include "collector/agent_config.h"
#include "collector/base/json.h"
#include "collector/base/macros.h"
#include "collector/cli/options.h"
#include "collector/cli/term.h"

static const char *const effect_words[] = { "do", "no help", "harm", "note" };
static const char *const effect_keys[] = { "helps", "no_help", "harms", "note" };

static double budget_of(const struct agent_settings *settings)
{
	return settings->budget_percent > 0 ? settings->budget_percent : AGENT_DEFAULT_BUDGET;
}

static void put_head(const struct agent_settings *settings, const struct agent_report *report,
		     struct buf *out)
{
	double now = report->predicted_percent * report->scale;

	buf_printf(out, "%s: %g Hz%s, symbols %s, about %.1f %% of a CPU predicted",
		   settings->agent, settings->rate_hz,
		   settings->is_rate_told ? "" : " (its default, for none is said)",
		   settings->symbols == AGENT_SYMBOLS_INLINE ? "resolved in line" : "not in line",
		   report->predicted_percent);
	if (settings->measured_percent > 0)
		buf_printf(out, ", %.1f %% measured", settings->measured_percent);
	buf_append_text(out, "\n\n");
	if (report->is_in_budget)
		buf_printf(out, "  verdict   within the budget: %.1f %% of %.1f %%\n", now,
			   budget_of(settings));
	else
		buf_printf(out,
			   "  verdict   over the budget of %.1f %%: %.1f %%; the changes marked "
			   "`do` bring it to %.1f %%\n",
			   budget_of(settings), now, report->final_percent);
}

static bool has_helping(const struct agent_report *report)
{
	for (unsigned i = 0; i < report->advice_count; i++) {
		if (report->advice[i].effect == AGENT_HELPS ||
		    report->advice[i].effect == AGENT_HARMS)
			return true;
	}
	return false;
}

static void show(const struct agent_settings *settings, const struct agent_report *report,
		 const struct term *term, struct buf *out)
{
	static const enum term_colour colours[] = { TERM_GREEN, TERM_DIM, TERM_RED, TERM_YELLOW };

	put_head(settings, report, out);
	for (unsigned i = 0; i < report->advice_count; i++) {
		const struct agent_advice *advice = &report->advice[i];

		buf_append_text(out, "  ");
		term_colour(term, colours[advice->effect], out);
		buf_printf(out, "%-9s",
			   report->is_in_budget && advice->effect == AGENT_HELPS
				   ? "could"
				   : effect_words[advice->effect]);
		term_reset(term, out);
		buf_printf(out, " %s", report->text.data + advice->text);
		if (advice->effect == AGENT_HELPS)
			buf_printf(out, " (saves %.1f points by itself; then %.1f %%)",
				   advice->saves_percent, advice->after_percent);
		buf_append_byte(out, '\n');
	}
	if (report->is_in_budget && !has_helping(report))
		buf_append_text(out, "  do        nothing: no change would be worth it\n");
	if (settings->unknown[0])
		buf_printf(out, "  note      not known, so not in the model (misspelt?): %s\n",
			   settings->unknown);
}

static void show_json(const struct agent_settings *settings, const struct agent_report *report,
		      struct buf *out)
{
	struct json json;

	json_init(&json, out);
	json_object(&json, NULL);
	json_text(&json, "agent", settings->agent);
	json_double(&json, "rate_hz", settings->rate_hz, 3);
	json_double(&json, "predicted_percent", report->predicted_percent, 2);
	json_double(&json, "measured_percent", settings->measured_percent, 2);
	json_double(&json, "budget_percent", budget_of(settings), 2);
	json_bool(&json, "in_budget", report->is_in_budget);
	json_text(&json, "not_known", settings->unknown);
	json_double(&json, "after_percent", report->final_percent, 2);
	json_array(&json, "advice");
	for (unsigned i = 0; i < report->advice_count; i++) {
		const struct agent_advice *advice = &report->advice[i];

		json_object(&json, NULL);
		json_text(&json, "rule", profile_rules[advice->rule].name);
		json_text(&json, "effect", effect_keys[advice->effect]);
		json_double(&json, "saves_percent", advice->saves_percent, 2);
		json_text(&json, "text", report->text.data + advice->text);
		json_end(&json);
	}
	json_end(&json);
	json_end(&json);
	buf_append_byte(out, '\n');
}

static bool read_percent(const char *name, const char *text, double *out)
{
	char *end;

	if (!text)
		return true;
	*out = strtod(text, &end);
	end += *end == '%';
	if (end != text && !*end && *out > 0 && *out <= 10000)
		return true;
	fprintf(stderr, "spanwise: %s: '%s' is no percentage\n", name, text);
	return false;
}

static int judge(struct agent_settings *settings, bool json, const struct term *term)
{
	struct agent_report report;
	struct buf out;
	int rc = agent_model_judge(settings, &report), status;

	buf_init(&out, 0);
	if (rc == 0 && json)
		show_json(settings, &report, &out);
	else if (rc == 0)
		show(settings, &report, term, &out);
	if (out.len)
		fwrite(out.data, 1, out.len, stdout);
	status = rc < 0 || !report.is_in_budget;
	buf_fini(&out);
	agent_report_fini(&report);
	return status;
}

int check_agent(int argc, char **argv)
{
	const char *path = NULL, *measured = NULL, *budget = NULL, *colour = NULL;
	bool json = false;
	const struct option_row rows[] = {
		{ "--agent", "FILE", &path, NULL, "the agent's configuration" },
		{ "--measured", "PERCENT", &measured, NULL,
		  "its overhead as measured: scales the model" },
		{ "--budget", "PERCENT", &budget, NULL, "what it may cost; else 5" },
		{ "--json", NULL, NULL, &json, "for programs" },
		{ "--color", "WHEN", &colour, NULL, "auto, always or never" },
		{ NULL, NULL, NULL, NULL, NULL },
	};
	const struct options options = {
		"spanwise check-config --agent FILE [--measured PERCENT] [--budget PERCENT]",
		"Says what a profiling agent's settings cost, which changes bring it into budget, "
		"and\n"
		"which would not help or would harm. Exit status 1: over the budget.",
		rows, 0
	};
	struct agent_settings settings;
	struct buf message;
	struct term term;
	int words, rc = options_parse(&options, argc, argv, &words);

	if (rc != 0)
		return rc == OPTIONS_HELP ? 0 : 2;
	if (term_init(&term, colour) < 0)
		return 2;
	buf_init(&message, 0);
	rc = agent_config_read(path, &settings, &message);
	if (rc < 0)
		fprintf(stderr, "spanwise: %s: %.*s\n", path, (int)message.len,
			message.len ? message.data : "");
	buf_fini(&message);
	if (rc < 0 || !read_percent("--measured", measured, &settings.measured_percent) ||
	    !read_percent("--budget", budget, &settings.budget_percent))
		return 2;
	return judge(&settings, json, &term);
}
