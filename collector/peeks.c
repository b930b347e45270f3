/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/peeks.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/ledger_set.h"

#define PATIENCE_NS (250 * NS_PER_MS)
#define A_ROUND     8 /* ingest goes first */

/* A query that waits; lives on its stack. */
struct peek {
	struct queue_link link;
	const uint8_t *trace_id;
	struct arena *arena;
	struct ledger *ledgers;
	size_t count;
	int result;
	bool is_done;
};

void peeks_init(struct peeks *peeks, pthread_mutex_t *lock, pthread_cond_t *news)
{
	pthread_condattr_t monotonic;

	*peeks = (struct peeks){ .lock = lock, .news = news };
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&peeks->answered, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

void peeks_fini(struct peeks *peeks)
{
	assert(!peeks->waiting.first);
	pthread_cond_destroy(&peeks->answered);
}

static void on_ledgers(const struct ledger *ledgers, size_t count, void *arg)
{
	struct peek *peek = arg;

	peek->ledgers = ledger_set_copy(ledgers, count, peek->arena);
	peek->count = count;
	peek->result = peek->ledgers || count == 0 ? 0 : -ENOMEM;
}

static struct peek *next(struct peeks *peeks)
{
	struct queue_link *link;

	pthread_mutex_lock(peeks->lock);
	link = queue_pop(&peeks->waiting);
	pthread_mutex_unlock(peeks->lock);
	return link ? CONTAINER_OF(link, struct peek, link) : NULL;
}

static void finish(struct peeks *peeks, struct peek *peek, int result)
{
	pthread_mutex_lock(peeks->lock);
	if (result < 0)
		peek->result = result;
	peek->is_done = true;
	pthread_cond_broadcast(&peeks->answered);
	pthread_mutex_unlock(peeks->lock);
}

void peeks_answer(struct peeks *peeks, struct correlator *correlator)
{
	for (int i = 0; i < A_ROUND; i++) {
		struct peek *peek = next(peeks);

		if (!peek)
			return;
		finish(peeks, peek, correlator_peek(correlator, peek->trace_id, on_ledgers, peek));
	}
}

void peeks_end(struct peeks *peeks)
{
	struct peek *peek;

	while ((peek = next(peeks)))
		finish(peeks, peek, -ESHUTDOWN);
}

/* Takes one that nobody has begun back out of the queue. */
static bool withdraw(struct peeks *peeks, struct peek *peek)
{
	struct queue others = { 0 };
	struct queue_link *link;
	bool found = false;

	while ((link = queue_pop(&peeks->waiting))) {
		if (link == &peek->link)
			found = true;
		else
			queue_push(&others, link);
	}
	peeks->waiting = others;
	return found;
}

int peeks_ask(struct peeks *peeks, const uint8_t trace_id[TRACE_ID_BYTES], struct arena *arena,
	      struct ledger **out_ledgers, size_t *out_count)
{
	uint64_t until_ns = clock_mono_ns() + PATIENCE_NS;
	struct timespec until = { .tv_sec = (time_t)(until_ns / NS_PER_SEC),
				  .tv_nsec = (long)(until_ns % NS_PER_SEC) };
	struct peek peek = { .trace_id = trace_id, .arena = arena };
	int rc = 0;

	pthread_mutex_lock(peeks->lock);
	if (peeks->is_over) {
		pthread_mutex_unlock(peeks->lock);
		return -ESHUTDOWN;
	}
	queue_push(&peeks->waiting, &peek.link);
	pthread_cond_signal(peeks->news);
	while (!peek.is_done && rc == 0)
		rc = pthread_cond_timedwait(&peeks->answered, peeks->lock, &until);
	if (!peek.is_done && withdraw(peeks, &peek)) {
		peek.is_done = true;
		peek.result = -ETIMEDOUT;
	}
	while (!peek.is_done) /* it is being answered: that does not take long */
		pthread_cond_wait(&peeks->answered, peeks->lock);
	pthread_mutex_unlock(peeks->lock);
	if (peek.result < 0)
		return peek.result;
	*out_ledgers = peek.ledgers;
	*out_count = peek.count;
	return 0;
}
