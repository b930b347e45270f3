/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/agent_model.h"

#include <math.h>
#include <stdlib.h>

#include "collector/base/macros.h"

/* Microseconds. */
#define INTERRUPT_US    20.0
#define FRAME_US        0.25 /* by frame pointers or tables in the kernel */
#define FRAME_DWARF_US  1.5  /* with the stack copied and unwound in user space */
#define SYMBOL_US       2.25 /* of a frame, looked up in line */
#define SYMBOL_ASYNC_US 0.05 /* of a frame, mostly cached */
#define UPLOAD_US       1000.0
#define SWITCH_US       2.0 /* an off-CPU event with its stack */
#define SWITCHES_HZ     5000.0
#define WAITING_THREADS 20.0 /* for each running one, in a pooled server */

#define WORTH        0.15 /* of the prediction: a change that saves less is no answer */
#define MISMATCH     2.0
#define LEAST_HZ     10.0
#define SMALL_SAVING 0.1 /* of the budget */

static double frames_of(const struct agent_settings *settings)
{
	return settings->depth > 0 ? MIN(settings->depth, AGENT_TYPICAL_FRAMES)
				   : AGENT_TYPICAL_FRAMES;
}

static double sample_us(const struct agent_settings *settings)
{
	double frames = frames_of(settings);
	double frame_us = settings->uses_dwarf ? FRAME_DWARF_US : FRAME_US;
	double symbol_us = settings->symbols == AGENT_SYMBOLS_INLINE   ? SYMBOL_US
			   : settings->symbols == AGENT_SYMBOLS_SERVER ? 0
								       : SYMBOL_ASYNC_US;

	return INTERRUPT_US + frames * (frame_us + symbol_us);
}

double agent_model_cost(const struct agent_settings *settings)
{
	double samples = settings->rate_hz * (settings->samples_all_threads ? WAITING_THREADS : 1);
	double used = samples * sample_us(settings);

	used += settings->off_cpu * SWITCHES_HZ * (SWITCH_US + frames_of(settings) * FRAME_US);
	if (settings->probability > 0)
		used *= settings->probability;
	if (settings->upload_s > 0)
		used += UPLOAD_US / settings->upload_s;
	return used / 1e6 * 100;
}

/* ---- advice ---- */

struct judge {
	const struct agent_settings *settings;
	struct agent_report *report;
};

static void advise(struct judge *judge, enum profile_rule_id rule, enum agent_effect effect,
		   double saves, const char *format, ...) __attribute__((format(printf, 5, 6)));

static void advise(struct judge *judge, enum profile_rule_id rule, enum agent_effect effect,
		   double saves, const char *format, ...)
{
	struct agent_report *report = judge->report;
	va_list args;

	if (report->advice_count == AGENT_MAX_ADVICE)
		return;
	report->advice[report->advice_count++] =
		(struct agent_advice){ rule, effect, saves * report->scale, 0, report->text.len };
	va_start(args, format);
	buf_vprintf(&report->text, format, args);
	va_end(args);
	buf_append_byte(&report->text, 0);
}

static double saved_by(const struct judge *judge, const struct agent_settings *changed)
{
	return agent_model_cost(judge->settings) - agent_model_cost(changed);
}

/* A change is an answer when it saves a good part; else it is said that it is none. */
static enum agent_effect effect_of(const struct judge *judge, double saves)
{
	return saves >= WORTH * agent_model_cost(judge->settings) ? AGENT_HELPS : AGENT_NO_HELP;
}

static void apply_rate(struct agent_settings *settings)
{
	settings->rate_hz = MIN(settings->rate_hz, settings->default_rate_hz);
}

static void apply_symbols(struct agent_settings *settings)
{
	settings->symbols = AGENT_SYMBOLS_ASYNC;
}

static void apply_unwinding(struct agent_settings *settings)
{
	settings->uses_dwarf = false;
}

static void apply_threads(struct agent_settings *settings)
{
	settings->samples_all_threads = false;
}

static void apply_off_cpu(struct agent_settings *settings)
{
	settings->off_cpu = MIN(settings->off_cpu, 0.01);
}

static double saved_with(const struct judge *judge, void (*apply)(struct agent_settings *))
{
	struct agent_settings changed = *judge->settings;

	apply(&changed);
	return saved_by(judge, &changed);
}

static void rate(struct judge *judge)
{
	const struct agent_settings *settings = judge->settings;

	if (settings->rate_hz > settings->default_rate_hz * 1.05)
		advise(judge, RULE_AGENT_RATE, AGENT_HELPS, saved_with(judge, apply_rate),
		       "lower the sampling rate from %.0f to %.0f Hz: the cost is proportional to "
		       "it, and %.0f Hz over a minute are %.0f samples a CPU, enough for shares of "
		       "1 %%",
		       settings->rate_hz, settings->default_rate_hz, settings->default_rate_hz,
		       settings->default_rate_hz * 60);
	else if (settings->rate_hz < LEAST_HZ)
		advise(judge, RULE_AGENT_SPARSE, AGENT_NOTE, 0,
		       "%g Hz gives %.0f samples a minute: too few to tell shares below 10 %%",
		       settings->rate_hz, settings->rate_hz * 60);
}

static void symbols(struct judge *judge)
{
	if (judge->settings->symbols == AGENT_SYMBOLS_INLINE)
		advise(judge, RULE_AGENT_SYMBOLS, AGENT_HELPS, saved_with(judge, apply_symbols),
		       "resolve symbols asynchronously (or on the server): in line, every sample "
		       "pays for %d look-ups while the program waits",
		       AGENT_TYPICAL_FRAMES);
}

static void unwinding(struct judge *judge)
{
	if (judge->settings->uses_dwarf)
		advise(judge, RULE_AGENT_UNWIND,
		       effect_of(judge, saved_with(judge, apply_unwinding)),
		       saved_with(judge, apply_unwinding),
		       "unwind by frame pointers where the code has them: DWARF costs %.0f times "
		       "as much a frame",
		       FRAME_DWARF_US / FRAME_US);
}

static void threads(struct judge *judge)
{
	if (judge->settings->samples_all_threads)
		advise(judge, RULE_AGENT_THREADS, AGENT_HELPS, saved_with(judge, apply_threads),
		       "sample CPU time rather than the wall clock of all threads, most of which "
		       "wait: or fewer of them, or seldom");
}

static void off_cpu(struct judge *judge)
{
	if (judge->settings->off_cpu > 0.01)
		advise(judge, RULE_AGENT_OFF_CPU,
		       effect_of(judge, saved_with(judge, apply_off_cpu)),
		       saved_with(judge, apply_off_cpu),
		       "record fewer switches off the CPU (threshold %.2g, now %.2g): a busy host "
		       "has thousands a second",
		       0.01, judge->settings->off_cpu);
}

static void upload(struct judge *judge)
{
	struct agent_settings rarer = *judge->settings;

	if (!(rarer.upload_s > 0) || rarer.upload_s >= 10)
		return;
	rarer.upload_s = MAX(rarer.default_upload_s, 10.0);
	advise(judge, RULE_AGENT_UPLOAD, AGENT_NO_HELP, saved_by(judge, &rarer),
	       "uploading every %g s is cheap: %.0f s instead would save %.2f points",
	       judge->settings->upload_s, rarer.upload_s,
	       saved_by(judge, &rarer) * judge->report->scale);
}

static void depth(struct judge *judge)
{
	double limit = judge->settings->depth;
	struct agent_settings cut = *judge->settings;

	if (limit > 0 && limit < AGENT_TYPICAL_FRAMES) {
		advise(judge, RULE_AGENT_DEPTH, AGENT_HARMS, 0,
		       "a depth of %.0f cuts most stacks at the root: they then hang under the "
		       "wrong callers; raise it to 128 or more",
		       limit);
		return;
	}
	if (!(limit > 0))
		return;
	cut.depth = 8;
	advise(judge, RULE_AGENT_DEPTH, AGENT_HARMS, saved_by(judge, &cut),
	       "a maximum depth of %.0f costs nothing by itself: stacks are as deep as they are; "
	       "cutting it to 8 would corrupt the stacks, not the bill",
	       limit);
}

static void lockstep(struct judge *judge)
{
	double hz = judge->settings->rate_hz;

	if (hz >= 50 && fmod(hz, 50) == 0 && hz <= judge->settings->default_rate_hz * 1.05)
		advise(judge, RULE_AGENT_LOCKSTEP, AGENT_NOTE, 0,
		       "%.0f Hz runs in step with timers of the program: %.0f Hz would not", hz,
		       hz - 1);
}

static void mismatch(struct judge *judge)
{
	double scale = judge->report->scale;

	if (scale > MISMATCH || scale < 1 / MISMATCH)
		advise(judge, RULE_AGENT_MISMATCH, AGENT_NOTE, 0,
		       "measured is %.1f times what these settings explain: look for something "
		       "else beside them (debug logging, several agents, a starved CPU)",
		       scale);
}

static int by_effect(const void *a, const void *b)
{
	const struct agent_advice *left = a, *right = b;

	if (left->effect != right->effect)
		return left->effect < right->effect ? -1 : 1;
	if (left->saves_percent != right->saves_percent)
		return left->saves_percent < right->saves_percent ? 1 : -1;
	return left->rule < right->rule ? -1 : left->rule > right->rule;
}

/* The changes that help, one after the other: what is left each time. */
static void accumulate(struct judge *judge)
{
	static const struct change {
		enum profile_rule_id rule;
		void (*apply)(struct agent_settings *);
	} changes[] = {
		{ RULE_AGENT_RATE, apply_rate },        { RULE_AGENT_SYMBOLS, apply_symbols },
		{ RULE_AGENT_UNWIND, apply_unwinding }, { RULE_AGENT_THREADS, apply_threads },
		{ RULE_AGENT_OFF_CPU, apply_off_cpu },
	};
	struct agent_settings now = *judge->settings;

	for (unsigned i = 0; i < judge->report->advice_count; i++) {
		struct agent_advice *advice = &judge->report->advice[i];

		for (size_t k = 0; advice->effect == AGENT_HELPS && k < ARRAY_LEN(changes); k++) {
			if (changes[k].rule == advice->rule)
				changes[k].apply(&now);
		}
		advice->after_percent = agent_model_cost(&now) * judge->report->scale;
	}
	judge->report->final_percent = agent_model_cost(&now) * judge->report->scale;
}

/* What is within the budget needs no change, and none that saves next to nothing. */
static void forget_small(struct agent_report *report, double budget)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < report->advice_count; i++) {
		const struct agent_advice *advice = &report->advice[i];
		bool is_small = report->is_in_budget && advice->effect == AGENT_HELPS &&
				advice->saves_percent < budget * SMALL_SAVING;

		if (!is_small)
			report->advice[kept++] = *advice;
	}
	report->advice_count = kept;
}

int agent_model_judge(const struct agent_settings *settings, struct agent_report *out)
{
	static void (*const rules[])(struct judge *) = { rate,    symbols,  unwinding,
							 threads, off_cpu,  upload,
							 depth,   lockstep, mismatch };
	double budget =
		settings->budget_percent > 0 ? settings->budget_percent : AGENT_DEFAULT_BUDGET;
	struct judge judge = { settings, out };

	*out = (struct agent_report){ .scale = 1, .predicted_percent = agent_model_cost(settings) };
	buf_init(&out->text, 0);
	if (settings->measured_percent > 0 && out->predicted_percent > 0)
		out->scale = settings->measured_percent / out->predicted_percent;
	out->is_in_budget = out->predicted_percent * out->scale <= budget;
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		rules[i](&judge);
	forget_small(out, budget);
	qsort(out->advice, out->advice_count, sizeof(out->advice[0]), by_effect);
	accumulate(&judge);
	return buf_error(&out->text);
}

void agent_report_fini(struct agent_report *report)
{
	buf_fini(&report->text);
}
