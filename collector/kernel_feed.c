/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/kernel_feed.h"

#include <assert.h>
#include <unistd.h>

#include "collector/base/macros.h"

#define RING_RECORD_HEADER 8 /* what the kernel puts before each record */

/* A record gets its time first and its place in the ring after that: it may still be on its way. */
#define SUBMIT_DELAY_NS NS_PER_MS
/* Should the ring never be seen read to its end (a record stays busy), we go on after this. */
#define DRAIN_PATIENCE_NS NS_PER_SEC
#define GAP_EVERY_NS      NS_PER_SEC

static const bool moves[][4] = {
	[FEED_WAITING] = { [FEED_ABSENT] = true, [FEED_ATTACHED] = true },
	[FEED_ABSENT] = { [FEED_ABSENT] = true, [FEED_ATTACHED] = true },
	[FEED_ATTACHED] = { [FEED_DETACHED] = true },
	[FEED_DETACHED] = { [FEED_ATTACHED] = true },
};

static void move(struct kernel_feed *feed, enum kernel_feed_state to)
{
	assert(moves[feed->state][to]);
	feed->state = to;
}

void kernel_feed_init(struct kernel_feed *feed, struct tap *tap, uint64_t now_ns)
{
	*feed = (struct kernel_feed){ .tap = tap, .drained_ns = now_ns };
}

void kernel_feed_fini(struct kernel_feed *feed)
{
	ring_close(feed->ring);
	feed->ring = NULL;
}

static void add_counters(struct event_counters *sum, const struct event_counters *more)
{
	for (size_t i = 0; i < LOSS_KINDS; i++)
		sum->lost[i] += more->lost[i];
	sum->records += more->records;
	sum->ticks += more->ticks;
	sum->stacks += more->stacks;
	sum->stack_budget += more->stack_budget;
}

static void close_ring(struct kernel_feed *feed)
{
	struct event_counters last;

	ring_counters(feed->ring, &last);
	add_counters(&feed->base, &last);
	feed->malformed_base += ring_malformed(feed->ring);
	ring_close(feed->ring);
	feed->ring = NULL;
}

int kernel_feed_attach(struct kernel_feed *feed, const struct probe_hello *hello, int ring_fd,
		       int counters_fd)
{
	bool was_detached;
	int rc;

	if (feed->state == FEED_ATTACHED) /* its death was not told */
		kernel_feed_detach(feed, hello->time_ns);
	rc = ring_open(ring_fd, hello->ring_bytes, counters_fd, hello->cpus, &feed->ring);
	close(ring_fd);
	close(counters_fd);
	was_detached = feed->state == FEED_DETACHED;
	if (rc < 0) {
		if (!was_detached)
			kernel_feed_absent(feed);
		return rc;
	}
	if (!was_detached)
		tap_kernel(feed->tap, true);
	else
		feed->restarts++;
	tap_gap(feed->tap, was_detached ? feed->gap_from_ns : 0, hello->time_ns);
	feed->missed = 0;
	feed->counted_ns = hello->time_ns;
	feed->features = hello->features;
	feed->ring_bytes = hello->ring_bytes;
	move(feed, FEED_ATTACHED);
	return 0;
}

void kernel_feed_absent(struct kernel_feed *feed)
{
	if (feed->state == FEED_ATTACHED || feed->state == FEED_DETACHED)
		return; /* it has been there: what is missing is a gap */
	tap_kernel(feed->tap, false);
	move(feed, FEED_ABSENT);
}

void kernel_feed_detach(struct kernel_feed *feed, uint64_t now_ns)
{
	if (feed->state != FEED_ATTACHED)
		return;
	kernel_feed_drain(feed, now_ns);
	feed->gap_from_ns = feed->drained_ns;
	feed->features = 0;
	close_ring(feed);
	move(feed, FEED_DETACHED);
}

static int visit(const struct event_header *record, void *arg)
{
	struct kernel_feed *feed = arg;

	feed->visited_bytes += record->bytes + RING_RECORD_HEADER;
	tap_event(feed->tap, record);
	return 0;
}

/* What found the ring full since the last time. */
static void tell_loss(struct kernel_feed *feed, uint64_t now_ns)
{
	uint64_t missed = ring_missed(feed->ring);

	if (missed > feed->missed)
		tap_loss(feed->tap, feed->counted_ns, now_ns, missed - feed->missed);
	feed->missed = missed;
	feed->counted_ns = now_ns;
}

static void drain_ring(struct kernel_feed *feed, uint64_t now_ns)
{
	size_t backlog = ring_backlog_bytes(feed->ring);
	bool is_drained;

	tell_loss(feed, now_ns);
	feed->visited_bytes = 0;
	ring_consume(feed->ring, 0, visit, feed);
	is_drained = feed->visited_bytes >= backlog || ring_backlog_bytes(feed->ring) == 0;
	if (is_drained || now_ns > feed->drained_ns + SUBMIT_DELAY_NS + DRAIN_PATIENCE_NS)
		feed->drained_ns = MAX(feed->drained_ns, now_ns - SUBMIT_DELAY_NS);
}

static void extend_gap(struct kernel_feed *feed, uint64_t to_ns)
{
	tap_gap(feed->tap, feed->gap_from_ns, to_ns);
	feed->gap_from_ns = to_ns;
	feed->drained_ns = to_ns;
}

void kernel_feed_drain(struct kernel_feed *feed, uint64_t now_ns)
{
	switch (feed->state) {
	case FEED_ATTACHED:
		drain_ring(feed, now_ns);
		return;
	case FEED_DETACHED:
		if (now_ns >= feed->gap_from_ns + GAP_EVERY_NS)
			extend_gap(feed, now_ns);
		return;
	case FEED_WAITING:
	case FEED_ABSENT:
		feed->drained_ns = now_ns;
	}
}

void kernel_feed_counters(const struct kernel_feed *feed, struct event_counters *out_sum,
			  uint64_t *out_malformed)
{
	struct event_counters now;

	*out_sum = feed->base;
	*out_malformed = feed->malformed_base;
	if (!feed->ring)
		return;
	ring_counters(feed->ring, &now);
	add_counters(out_sum, &now);
	*out_malformed += ring_malformed(feed->ring);
}
