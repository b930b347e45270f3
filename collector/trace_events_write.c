/* SPDX-License-Identifier: Apache-2.0 */
/* docs.google.com "Trace Event Format"; of it: M, X, b, e, s and f. Async events of one id nest in
 * the order in which they stand here. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/json.h"
#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/render.h"
#include "collector/trace_events.h"

/* Processes of our own making, above any real one: of wakers that are no thread, and of spans whose
 * process nobody knows. */
#define KERNEL_PID  4194305
#define UNKNOWN_PID 4194306

struct writing {
	struct trace_events *events;
	struct json json;
	struct map named; /* {pid, tid} -> bool: tracks that have a name; tid 0: the process */
	uint64_t origin_ns;
	uint64_t arrows;
	int error;
};

struct track {
	uint32_t pid, tid;
};

/* us, to the ns: a double would not hold it */
static void put_us(struct writing *writing, const char *key, uint64_t ns)
{
	char text[32];
	int len =
		snprintf(text, sizeof(text), "%" PRIu64 ".%03u", ns / 1000, (unsigned)(ns % 1000));

	json_raw(&writing->json, key, (struct str){ text, (size_t)len });
}

static void begin(struct writing *writing, const char *phase, struct track track, struct str name)
{
	struct json *json = &writing->json;

	json_object(json, NULL);
	json_text(json, "ph", phase);
	json_uint(json, "pid", track.pid);
	json_uint(json, "tid", track.tid);
	json_str(json, "name", name);
}

static void put_name(struct writing *writing, const char *what, struct track track, struct str name)
{
	begin(writing, "M", track, str_of(what));
	json_object(&writing->json, "args");
	json_str(&writing->json, "name", name);
	json_end(&writing->json);
	json_end(&writing->json);
}

/* Whether the track is new. */
static bool note_track(struct writing *writing, struct track track)
{
	size_t before = writing->named.count;
	bool *slot = map_put(&writing->named, &track);

	if (!slot)
		writing->error = -ENOMEM;
	return slot && writing->named.count != before;
}

static void name_thread(struct writing *writing, struct track track, struct str name)
{
	char text[32];

	if (!note_track(writing, track))
		return;
	if (name.len == 0)
		name = (struct str){ text,
				     (size_t)snprintf(text, sizeof(text), "thread %u", track.tid) };
	put_name(writing, "thread_name", track, name);
}

static void name_process(struct writing *writing, uint32_t pid, struct str name)
{
	if (note_track(writing, (struct track){ pid, 0 }))
		put_name(writing, "process_name", (struct track){ pid, 0 }, name);
}

/* ---- spans ---- */

static uint32_t pid_of(const struct traced_span *span)
{
	return span->pid ? span->pid : UNKNOWN_PID;
}

static void begin_async(struct writing *writing, const struct traced_span *span, const char *phase,
			uint64_t at_ns, struct str name)
{
	char id[2 + SPAN_ID_HEX + 1] = "0x";

	hex_encode(span->span_id, SPAN_ID_BYTES, id + 2);
	begin(writing, phase, (struct track){ pid_of(span), pid_of(span) }, name);
	json_text(&writing->json, "cat", "span");
	json_str(&writing->json, "id", (struct str){ id, 2 + SPAN_ID_HEX });
	put_us(writing, "ts", at_ns - writing->origin_ns);
}

static void put_span_end(struct writing *writing, const struct traced_span *span, uint64_t at_ns,
			 struct str name)
{
	begin_async(writing, span, "e", at_ns, name);
	json_end(&writing->json);
}

static void put_span_begin(struct writing *writing, const struct traced_span *span)
{
	struct json *json = &writing->json;

	begin_async(writing, span, "b", span->start_ns, span->name);
	json_object(json, "args");
	json_hex(json, "trace_id", span->trace_id, TRACE_ID_BYTES);
	json_hex(json, "span_id", span->span_id, SPAN_ID_BYTES);
	json_str(json, "service", span->service);
	json_text(json, "grade", ledger_grade_name(span->grade));
	if (span->verdict.len)
		json_str(json, "verdict", span->verdict);
	if (span->slices_truncated)
		json_bool(json, "slices_truncated", true);
	json_end(json);
	json_end(json);
}

static int by_span_and_start(const void *a, const void *b)
{
	const struct traced_slice *x = a, *y = b;

	if (x->span != y->span)
		return x->span < y->span ? -1 : 1;
	return (x->start_ns > y->start_ns) - (x->start_ns < y->start_ns);
}

/* Spans in the order of their slices; inside, what no thread carried. */
static void put_spans(struct writing *writing)
{
	struct trace_events *events = writing->events;
	size_t at = 0;

	if (events->slice_count)
		qsort(events->slices, events->slice_count, sizeof(*events->slices),
		      by_span_and_start);
	for (size_t i = 0; i < events->span_count; i++) {
		const struct traced_span *span = &events->spans[i];

		put_span_begin(writing, span);
		for (; at < events->slice_count && events->slices[at].span == i; at++) {
			const struct traced_slice *slice = &events->slices[at];
			struct str name = str_of(render_state_name(slice->state));

			if (slice->tid)
				continue;
			begin_async(writing, span, "b", MAX(slice->start_ns, span->start_ns), name);
			json_end(&writing->json);
			put_span_end(writing, span, MIN(slice->end_ns, span->end_ns), name);
		}
		put_span_end(writing, span, span->end_ns, span->name);
	}
}

/* ---- threads ---- */

static void put_where(struct writing *writing, const struct ledger_wait *wait)
{
	struct stacks *stacks = writing->events->stacks;
	const struct stack_names *names = stacks ? stacks_find(stacks, wait->stack) : NULL;

	json_array(&writing->json, "stack");
	for (uint32_t i = 0; names && i < names->count; i++)
		json_raw(&writing->json, NULL, names->frames[i]->quoted);
	json_end(&writing->json);
}

static void put_wait(struct writing *writing, const struct traced_slice *slice)
{
	const struct ledger_wait *wait = trace_events_wait(writing->events, slice);
	struct buf text;

	json_object(&writing->json, "args");
	if (wait) {
		buf_init(&text, 0);
		ledger_target_text(&wait->target, &text);
		json_str(&writing->json, "target", buf_str(&text));
		buf_clear(&text);
		ledger_decided_by(wait, &text);
		json_str(&writing->json, "decided_by", buf_str(&text));
		buf_fini(&text);
		put_where(writing, wait);
	}
	json_end(&writing->json);
}

static void put_slice(struct writing *writing, const struct traced_slice *slice)
{
	struct track track = { slice->pid, slice->tid };
	bool is_blocked = slice->state == STATE_BLOCKED;

	begin(writing, "X", track,
	      str_of(is_blocked                      ? ledger_reason_name(slice->reason)
		     : slice->state == STATE_RUNNING ? "on CPU"
						     : render_state_name(slice->state)));
	json_text(&writing->json, "cat", render_state_name(slice->state));
	put_us(writing, "ts", slice->start_ns - writing->origin_ns);
	put_us(writing, "dur", slice->end_ns - slice->start_ns);
	if (is_blocked)
		put_wait(writing, slice);
	json_end(&writing->json);
}

/* ---- arrows ---- */

static bool is_loopback(const struct event_target *target)
{
	static const uint8_t last_of_inet6[16] = { [15] = 1 };

	return (target->kind == TARGET_INET4 && target->address[0] == 127) ||
	       (target->kind == TARGET_INET6 &&
		memcmp(target->address, last_of_inet6, sizeof(last_of_inet6)) == 0);
}

/* Who stands at the arrow's tail: the thread, where it acted for itself; else the kernel's part. */
static struct track waker_track(struct writing *writing, const struct ledger_waker *waker,
				const struct ledger_wait *wait)
{
	static const char *const parts[] = { [WAKER_TIMER] = "timers",
					     [WAKER_DISK] = "block devices",
					     [WAKER_NETWORK] = "network",
					     [WAKER_KERNEL] = "kernel" };
	struct track track = { waker->pid, waker->tid };
	struct str comm = { waker->comm, strnlen(waker->comm, sizeof(waker->comm)) };

	if (waker->kind == WAKER_THREAD ||
	    (waker->kind == WAKER_NETWORK && wait && is_loopback(&wait->target))) {
		name_process(writing, track.pid, comm);
		name_thread(writing, track, comm);
		return track;
	}
	track = (struct track){ KERNEL_PID, 1 + waker->kind };
	name_process(writing, KERNEL_PID, STR("kernel"));
	name_thread(writing, track,
		    str_of(waker->kind < ARRAY_LEN(parts) ? parts[waker->kind] : "kernel"));
	return track;
}

static void put_flow(struct writing *writing, const char *phase, struct track track, uint64_t at_ns)
{
	begin(writing, phase, track, STR("wakes"));
	json_text(&writing->json, "cat", "wake");
	json_uint(&writing->json, "id", writing->arrows);
	put_us(writing, "ts", at_ns - writing->origin_ns);
	if (*phase == 'f')
		json_text(&writing->json, "bp", "e");
	json_end(&writing->json);
}

/* `next`: what the thread did when the wait was over; the arrow ends there. */
static void put_arrow(struct writing *writing, const struct traced_slice *slice,
		      const struct traced_slice *next)
{
	const struct ledger_waker *waker = trace_events_waker(writing->events, slice);
	struct track track;
	char name[64];
	int len;

	if (!waker || slice->state != STATE_BLOCKED || next->start_ns != slice->end_ns)
		return;
	track = waker_track(writing, waker, trace_events_wait(writing->events, slice));
	len = snprintf(name, sizeof(name), "wakes %u/%u", slice->pid, slice->tid);
	begin(writing, "X", track, (struct str){ name, (size_t)len });
	json_text(&writing->json, "cat", "wake");
	put_us(writing, "ts", slice->end_ns - writing->origin_ns);
	put_us(writing, "dur", 0);
	json_end(&writing->json);
	writing->arrows++;
	put_flow(writing, "s", track, slice->end_ns);
	put_flow(writing, "f", (struct track){ next->pid, next->tid }, next->start_ns);
}

/* Of a thread that is a waker, too, its own name is known. */
static void put_names(struct writing *writing)
{
	const struct trace_events *events = writing->events;

	for (size_t i = 0; i < events->span_count; i++) {
		for (unsigned k = 0; k < events->spans[i].wait_count; k++) {
			const struct ledger_wait *wait = &events->spans[i].waits[k];

			for (unsigned w = 0; w < wait->waker_count; w++) {
				const struct ledger_waker *waker = &wait->wakers[w];

				if (waker->kind == WAKER_THREAD && waker->tid)
					waker_track(writing, waker, wait);
			}
		}
	}
}

static int put_threads(struct writing *writing)
{
	struct traced_slice *slices = NULL;
	size_t count;
	int rc = trace_events_tracks(writing->events, &slices, &count);

	for (size_t i = 0; i < count && rc == 0; i++) {
		name_thread(writing, (struct track){ slices[i].pid, slices[i].tid },
			    (struct str){ 0 });
		put_slice(writing, &slices[i]);
		if (i + 1 < count && slices[i + 1].tid == slices[i].tid &&
		    slices[i + 1].pid == slices[i].pid)
			put_arrow(writing, &slices[i], &slices[i + 1]);
		rc = buf_error(writing->json.buf);
	}
	free(slices);
	return rc;
}

static uint64_t first_start(const struct trace_events *events)
{
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < events->span_count; i++)
		first = MIN(first, events->spans[i].start_ns);
	for (size_t i = 0; i < events->slice_count; i++)
		first = MIN(first, events->slices[i].start_ns);
	return first;
}

int trace_events_write(struct trace_events *events, const char *title, struct buf *out)
{
	struct writing writing = { .events = events };
	int rc;

	writing.origin_ns = first_start(events);
	map_init(&writing.named, sizeof(struct track), sizeof(bool), clock_mono_ns());
	json_init(&writing.json, out);
	json_object(&writing.json, NULL);
	json_text(&writing.json, "displayTimeUnit", "ns");
	json_object(&writing.json, "otherData");
	json_text(&writing.json, "title", title);
	json_text(&writing.json, "exporter", "spanwise " SPANWISE_VERSION);
	json_time(&writing.json, "origin_unix_ns", events->span_count ? writing.origin_ns : 0);
	json_end(&writing.json);
	json_array(&writing.json, "traceEvents");
	for (size_t i = 0; i < events->span_count; i++)
		name_process(&writing, pid_of(&events->spans[i]),
			     events->spans[i].pid ? events->spans[i].service : STR("not measured"));
	put_names(&writing);
	rc = put_threads(&writing);
	put_spans(&writing);
	json_end(&writing.json);
	json_end(&writing.json);
	map_fini(&writing.named);
	return rc < 0 ? rc : writing.error ? writing.error : buf_error(out);
}
