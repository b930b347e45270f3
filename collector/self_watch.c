/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/self_watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <uv.h>

#include "collector/base/json.h"
#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/log.h"
#include "collector/snapshot.h"

static const struct row {
	const char *name;
	double limit;
	const char *unit, *remedy;
} rows[] = {
#define X(symbol, name, limit, unit, value, remedy) { name, limit, unit, remedy },
#include "collector/self_watch.def"
#undef X
};

/*   start --timer--> on_timer --pool--> look --loop--> on_looked ... stop --> on_closed
 */
struct self_watch {
	struct daemon *daemon; /* borrowed */
	uv_timer_t timer;
	uv_work_t work;
	bool is_looking, is_stopping;
	struct snapshot before; /* the pool's, as the next two */
	uint64_t before_ns;     /* monotonic; 0: none yet */

	pthread_mutex_t lock; /* of the states */
	struct self_watch_state states[SELF_WATCH_CHECKS];
};

/* Not the chain check's: where it breaks at a thread that is followed, that thread's switch is
 * counted, and elsewhere no ledger has lost anything. */
static uint64_t lost_records(const struct snapshot *snapshot)
{
	static const enum event_loss kinds[] = { LOSS_RING_FULL, LOSS_STORAGE_FULL, LOSS_SWITCH_IN,
						 LOSS_SWITCH_OUT };
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		sum += snapshot->engine.kernel_counters.lost[kinds[i]];
	return sum;
}

static uint64_t memory_bytes(const struct snapshot *snapshot)
{
	return snapshot->own_anonymous_bytes + snapshot->probe.stats.worker_rss_bytes +
	       snapshot->probe.map_bytes;
}

static double divide(double part, double of)
{
	return of > 0 ? part / of : 0;
}

/* Counters begin anew when what they count does. */
static double growth(uint64_t now, uint64_t before)
{
	return now > before ? (double)(now - before) : 0;
}

void self_watch_measure(const struct snapshot *now, const struct snapshot *before, double seconds,
			double out_values[SELF_WATCH_CHECKS])
{
#define SHARE(part, of)                             divide((double)(part), (double)(of))
#define RATE(a, b)                                  divide(growth(a, b), seconds)
#define EACH(a_ns, b_ns, an, bn)                    divide(growth(a_ns, b_ns) / 1e9, growth(an, bn))
#define X(symbol, name, limit, unit, value, remedy) out_values[SELF_WATCH_##symbol] = value;
#include "collector/self_watch.def"
#undef X
#undef SHARE
#undef RATE
#undef EACH
}

bool self_watch_step(enum self_watch_check check, double value, uint64_t now_unix_ns,
		     struct self_watch_state *state)
{
	double limit = rows[check].limit;
	bool was = state->is_degraded;

	if (state->is_degraded)
		state->is_degraded = value >= SELF_WATCH_WELL * limit;
	else
		state->is_degraded = value > limit && state->is_over;
	state->is_over = value > limit;
	state->value = value;
	if (state->is_degraded != was)
		state->since_unix_ns = now_unix_ns;
	return state->is_degraded != was;
}

static void say(enum self_watch_check check, const struct self_watch_state *state)
{
	const struct row *row = &rows[check];

	if (state->is_degraded)
		log_line(LOG_WARNING, "health: %s is %.3g %s, more than %.3g: %s", row->name,
			 state->value, row->unit, row->limit, row->remedy);
	else
		log_line(LOG_INFO, "health: %s is well again: %.3g %s", row->name, state->value,
			 row->unit);
}

static void look(uv_work_t *work)
{
	struct self_watch *watch = work->data;
	uint64_t now_ns = clock_mono_ns(), now_unix_ns = clock_unix_ns();
	double values[SELF_WATCH_CHECKS];
	struct snapshot now;

	snapshot_take(watch->daemon, &now);
	if (watch->before_ns) {
		self_watch_measure(&now, &watch->before,
				   (double)(now_ns - watch->before_ns) / (double)NS_PER_SEC,
				   values);
		pthread_mutex_lock(&watch->lock);
		for (unsigned i = 0; i < SELF_WATCH_CHECKS; i++) {
			if (self_watch_step(i, values[i], now_unix_ns, &watch->states[i]))
				say(i, &watch->states[i]);
		}
		pthread_mutex_unlock(&watch->lock);
	}
	watch->before = now;
	watch->before_ns = now_ns;
}

static void on_looked(uv_work_t *work, int status)
{
	struct self_watch *watch = work->data;

	(void)status;
	watch->is_looking = false;
}

static void on_timer(uv_timer_t *timer)
{
	struct self_watch *watch = timer->data;

	if (watch->is_looking) /* the disk hangs: the next look will tell */
		return;
	watch->is_looking = uv_queue_work(timer->loop, &watch->work, look, on_looked) == 0;
}

int self_watch_start(struct uv_loop_s *loop, struct daemon *daemon, uint64_t every_s,
		     struct self_watch **out_watch)
{
	struct self_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return -ENOMEM;
	watch->daemon = daemon;
	pthread_mutex_init(&watch->lock, NULL);
	uv_timer_init(loop, &watch->timer);
	watch->timer.data = watch;
	watch->work.data = watch;
	uv_timer_start(&watch->timer, on_timer, 0, 1000 * every_s);
	*out_watch = watch;
	return 0;
}

void self_watch_stop(struct self_watch *watch)
{
	if (!watch || watch->is_stopping)
		return;
	watch->is_stopping = true;
	uv_timer_stop(&watch->timer);
	uv_close((uv_handle_t *)&watch->timer, NULL);
}

void self_watch_free(struct self_watch *watch)
{
	if (!watch)
		return;
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}

static void render_check(struct json *json, enum self_watch_check check,
			 const struct self_watch_state *state)
{
	json_object(json, NULL);
	json_text(json, "name", rows[check].name);
	json_double(json, "value", state->value, 6);
	json_double(json, "limit", rows[check].limit, 6);
	json_text(json, "unit", rows[check].unit);
	json_bool(json, "degraded", state->is_degraded);
	if (state->is_degraded) {
		json_time(json, "since_unix_ns", state->since_unix_ns);
		json_text(json, "remedy", rows[check].remedy);
	}
	json_end(json);
}

void self_watch_render(struct self_watch *watch, struct json *json)
{
	struct self_watch_state states[SELF_WATCH_CHECKS] = { 0 };
	bool is_degraded = false;

	if (watch) {
		pthread_mutex_lock(&watch->lock);
		memcpy(states, watch->states, sizeof(states));
		pthread_mutex_unlock(&watch->lock);
	}
	for (unsigned i = 0; i < SELF_WATCH_CHECKS; i++)
		is_degraded = is_degraded || states[i].is_degraded;
	json_object(json, "health");
	json_text(json, "state", is_degraded ? "degraded" : "ok");
	json_array(json, "checks");
	for (unsigned i = 0; i < SELF_WATCH_CHECKS; i++)
		render_check(json, i, &states[i]);
	json_end(json);
	json_end(json);
}
