/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/render.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/base/hex.h"
#include "collector/base/macros.h"

const char *render_kind_name(unsigned kind)
{
	static const char *const names[] = {
		[SPAN_KIND_UNSPECIFIED] = "unspecified", [SPAN_KIND_INTERNAL] = "internal",
		[SPAN_KIND_SERVER] = "server",           [SPAN_KIND_CLIENT] = "client",
		[SPAN_KIND_PRODUCER] = "producer",       [SPAN_KIND_CONSUMER] = "consumer",
	};

	return kind < ARRAY_LEN(names) ? names[kind] : NULL;
}

const char *render_status_name(unsigned status)
{
	static const char *const names[] = {
		[SPAN_STATUS_UNSET] = "unset",
		[SPAN_STATUS_OK] = "ok",
		[SPAN_STATUS_ERROR] = "error",
	};

	return status < ARRAY_LEN(names) ? names[status] : NULL;
}

const char *render_state_name(unsigned state)
{
	static const char *const names[] = {
		[STATE_RUNNING] = "running", [STATE_RUNNABLE] = "runnable",
		[STATE_BLOCKED] = "blocked", [STATE_ELSEWHERE] = "elsewhere",
		[STATE_UNKNOWN] = "unknown",
	};

	return state < ARRAY_LEN(names) ? names[state] : NULL;
}

/* Texts of a fixed size need no NUL when they fill it. */
static struct str fixed(const char *text, size_t size)
{
	return (struct str){ text, strnlen(text, size) };
}

/* An id, or "" for the zero id, which means that there is none. */
static void put_id(struct json *json, const char *key, const uint8_t *id, size_t len)
{
	if (hex_is_zero(id, len))
		json_text(json, key, "");
	else
		json_hex(json, key, id, len);
}

static void put_tag(struct json *json, const struct event_tag *tag)
{
	put_id(json, "trace_id", tag->trace_id, TRACE_ID_BYTES);
	put_id(json, "span_id", tag->span_id, SPAN_ID_BYTES);
}

static void put_blocked(struct json *json, const struct ledger_split *split)
{
	json_object(json, "blocked_ns");
	for (int i = 0; i < REASON_COUNT; i++) {
		if (split->blocked_ns[i])
			json_uint(json, ledger_reason_name(i), split->blocked_ns[i]);
	}
	json_end(json);
}

static const char *item_kind_name(const struct ledger *ledger, const struct ledger_item *item)
{
	switch (item->kind) {
	case ITEM_CHILD:
		return ledger_item_is_own(ledger, item) ? "answer" : "child";
	case ITEM_QUEUED:
		return "queued";
	default:
		return "uncovered";
	}
}

static void put_items(struct json *json, const struct ledger *ledger)
{
	json_array(json, "elsewhere");
	for (unsigned i = 0; i < ledger->item_count; i++) {
		const struct ledger_item *item = &ledger->items[i];

		json_object(json, NULL);
		json_text(json, "kind", item_kind_name(ledger, item));
		json_uint(json, "ns", item->ns);
		if (item->kind == ITEM_CHILD) {
			json_str(json, "name", fixed(item->name, sizeof(item->name)));
			json_str(json, "peer", fixed(item->peer, sizeof(item->peer)));
			put_id(json, "span_id", item->span_id, SPAN_ID_BYTES);
			put_id(json, "server_span_id", item->server_span_id, SPAN_ID_BYTES);
		}
		json_end(json);
	}
	json_end(json);
}

static void put_self(struct json *json, const struct ledger_split *self)
{
	json_object(json, "self");
	json_uint(json, "running_ns", self->running_ns);
	json_uint(json, "runnable_ns", self->runnable_ns);
	put_blocked(json, self);
	json_uint(json, "elsewhere_ns", self->elsewhere_ns);
	json_uint(json, "unknown_ns", self->unknown_ns);
	json_end(json);
}

static void put_ratio(struct json *json, const struct ledger *ledger)
{
	double ratio = ledger_ratio(ledger);

	if (ratio < 0)
		json_null(json, "cpu_wall_ratio");
	else
		json_double(json, "cpu_wall_ratio", ratio, 4);
}

static void put_figures(struct json *json, const struct ledger *ledger)
{
	uint64_t not_woken = ledger->preempted_ns + ledger->throttled_ns + ledger->yielded_ns;

	json_uint(json, "uncertain_ns", ledger->uncertain_ns);
	json_uint(json, "cpu_ns", ledger->cpu_ns);
	json_uint(json, "cpu_self_ns", ledger->cpu_self_ns);
	json_uint(json, "forked_cpu_ns", ledger->forked_cpu_ns);
	put_ratio(json, ledger);
	json_uint(json, "running_ns", ledger->all.running_ns);
	json_uint(json, "runnable_ns", ledger->all.runnable_ns);
	json_object(json, "runnable");
	json_uint(json, "woken_ns",
		  ledger->all.runnable_ns - MIN(not_woken, ledger->all.runnable_ns));
	json_uint(json, "preempted_ns", ledger->preempted_ns);
	json_uint(json, "throttled_ns", ledger->throttled_ns);
	json_uint(json, "yielded_ns", ledger->yielded_ns);
	json_end(json);
	put_blocked(json, &ledger->all);
	json_uint(json, "elsewhere_ns", ledger->all.elsewhere_ns);
	put_items(json, ledger);
	json_uint(json, "unknown_ns", ledger->all.unknown_ns);
	put_self(json, &ledger->self);
}

/* Without tags nothing was measured: every figure is null, and the reason stands beside. */
static void put_no_figures(struct json *json, const struct ledger *ledger)
{
	static const char *const figures[] = {
		"uncertain_ns", "cpu_ns",      "cpu_self_ns", "forked_cpu_ns", "cpu_wall_ratio",
		"running_ns",   "runnable_ns", "runnable",    "blocked_ns",    "elsewhere_ns",
		"elsewhere",    "unknown_ns",  "self",
	};

	json_text(json, "reason", ledger_none_text(ledger->none_cause));
	for (size_t i = 0; i < ARRAY_LEN(figures); i++)
		json_null(json, figures[i]);
}

static void put_waker(struct json *json, const struct ledger_waker *waker)
{
	static const char *const kinds[] = {
		[WAKER_THREAD] = "thread",      [WAKER_TIMER] = "timer",    [WAKER_DISK] = "disk",
		[WAKER_NETWORK] = "network",    [WAKER_KERNEL] = "kernel",  [HOLDER_HELD] = "held",
		[HOLDER_RELEASED] = "released", [HOLDER_BEHIND] = "behind",
	};
	const char *kind = waker->kind < ARRAY_LEN(kinds) ? kinds[waker->kind] : NULL;

	json_object(json, NULL);
	json_text(json, "kind", kind ? kind : "thread");
	json_str(json, "comm", fixed(waker->comm, sizeof(waker->comm)));
	json_uint(json, "pid", waker->pid);
	json_uint(json, "tid", waker->tid);
	put_tag(json, &waker->tag);
	json_uint(json, "ns", waker->ns);
	json_end(json);
}

static void put_lock(struct json *json, const struct event_target *target)
{
	char address[2 + 16 + 1];

	if (target->kind != TARGET_FUTEX && target->kind != TARGET_FUTEX_SHARED)
		return json_null(json, "lock"); /* a shared one's address is that in its file */
	snprintf(address, sizeof(address), "0x%" PRIx64, (uint64_t)target->id);
	json_object(json, "lock");
	json_text(json, "address", address);
	json_uint(json, "owner_tid", target->aux);
	json_end(json);
}

static void put_text(struct json *json, const char *key, struct buf *text)
{
	json_str(json, key, buf_str(text));
	buf_clear(text);
}

static void put_stack(struct json *json, uint64_t stack, const struct render_names *names)
{
	char id[16 + 1];

	snprintf(id, sizeof(id), "%016" PRIx64, stack);
	json_text(json, "stack_id", stack >= STACK_FIRST_ID ? id : "");
	if (names)
		return names->put(json, "stack", stack, names->arg);
	json_array(json, "stack");
	json_end(json);
}

void render_wait(struct json *json, const char *key, const struct ledger_wait *wait,
		 const struct render_names *names)
{
	unsigned wakers = ledger_count_wakers(wait);
	struct buf text;

	buf_init(&text, 0);
	json_object(json, key);
	json_text(json, "reason", ledger_reason_name(wait->reason));
	ledger_target_text(&wait->target, &text);
	put_text(json, "target", &text);
	json_uint(json, "ns", wait->ns);
	json_uint(json, "self_ns", wait->self_ns);
	json_uint(json, "count", wait->count);
	json_uint(json, "longest_ns", wait->longest_ns);
	ledger_decided_by(wait, &text);
	put_text(json, "decided_by", &text);
	put_lock(json, &wait->target);
	put_stack(json, wait->stack, names);
	json_array(json, "wakers");
	for (unsigned i = 0; i < wakers; i++)
		put_waker(json, &wait->wakers[i]);
	json_end(json);
	json_array(json, "holders");
	for (unsigned i = wakers; i < wait->waker_count && i < LEDGER_MAX_WAKERS; i++)
		put_waker(json, &wait->wakers[i]);
	json_end(json);
	json_end(json);
	buf_fini(&text);
}

static void put_links(struct json *json, const struct ledger *ledger)
{
	static const char *const via[] = {
		[LINK_WAKER] = "waker", [LINK_PARENT] = "parent", [LINK_CHAIN] = "chain"
	};

	json_array(json, "links");
	for (unsigned i = 0; ledger && i < ledger->link_count; i++) {
		json_object(json, NULL);
		put_tag(json, &ledger->links[i].to);
		json_text(json, "via", via[ledger->links[i].via]);
		json_uint(json, "ns", ledger->links[i].ns);
		json_end(json);
	}
	json_end(json);
}

void render_verdict(struct json *json, const struct ledger *ledger,
		    const struct render_names *names)
{
	static const struct render_names nobody;
	struct ledger_code code;
	struct buf text;
	enum ledger_verdict verdict;

	names = names ? names : &nobody;
	code = (struct ledger_code){ names->code, names->arg, names->subtree, names->subtree_arg };
	buf_init(&text, 0);
	verdict = ledger_judge(ledger, &code, &text);
	json_object(json, "verdict");
	json_text(json, "kind", ledger_verdict_name(verdict));
	json_str(json, "text", buf_str(&text));
	json_end(json);
	buf_fini(&text);
}

/* Where its CPU time went, as far as ticks tell. */
static void put_code(struct json *json, const struct ledger *ledger,
		     const struct render_names *names)
{
	json_array(json, "code");
	for (unsigned i = 0; ledger && i < ledger->stack_count; i++) {
		json_object(json, NULL);
		json_uint(json, "ns", ledger->stacks[i].ns);
		json_uint(json, "self_ns", ledger->stacks[i].self_ns);
		put_stack(json, ledger->stacks[i].stack, names);
		json_end(json);
	}
	json_end(json);
}

void render_ledger(struct json *json, const struct ledger *ledger, const struct render_names *names)
{
	if (!ledger) {
		json_null(json, "ledger");
	} else {
		json_object(json, "ledger");
		json_text(json, "grade", ledger_grade_name(ledger->grade));
		if (ledger->grade == GRADE_NONE)
			put_no_figures(json, ledger);
		else
			put_figures(json, ledger);
		json_uint(json, "revision", ledger->revision);
		json_end(json);
	}
	json_array(json, "waits");
	for (unsigned i = 0; ledger && i < ledger->wait_count; i++)
		render_wait(json, NULL, &ledger->waits[i], names);
	json_end(json);
	put_code(json, ledger, names);
	put_links(json, ledger);
	if (ledger)
		render_verdict(json, ledger, names);
	else
		json_null(json, "verdict");
}

void render_timeline(struct json *json, const struct ledger *ledger)
{
	json_array(json, "timeline");
	for (unsigned i = 0; ledger && i < ledger->slice_count; i++) {
		const struct ledger_slice *slice = &ledger->slices[i];
		const char *state = render_state_name(slice->state);

		json_object(json, NULL);
		json_time(json, "start_unix_ns", slice->start_unix_ns);
		json_uint(json, "ns", slice->ns);
		json_uint(json, "tid", slice->tid);
		json_text(json, "state", state ? state : "unknown");
		if (slice->state == STATE_BLOCKED)
			json_text(json, "reason", ledger_reason_name(slice->reason));
		json_end(json);
	}
	json_end(json);
	json_bool(json, "timeline_truncated", ledger && ledger->slices_truncated);
}

void render_span(struct json *json, const struct store_span *stored, unsigned parts,
		 const struct render_names *names)
{
	const struct span *span = &stored->span;
	const struct ledger *ledger = stored->has_ledger ? &stored->ledger : NULL;
	const char *kind = render_kind_name(span->kind), *status = render_status_name(span->status);

	json_object(json, NULL);
	if (parts & RENDER_TRACE_ID)
		json_hex(json, "trace_id", span->trace_id, TRACE_ID_BYTES);
	json_hex(json, "span_id", span->span_id, SPAN_ID_BYTES);
	put_id(json, "parent_span_id", span->parent_span_id, SPAN_ID_BYTES);
	json_str(json, "service", stored->service);
	json_str(json, "name", span->name);
	json_text(json, "kind", kind ? kind : "unspecified");
	json_text(json, "status", status ? status : "unset");
	json_time(json, "start_unix_ns", span->start_unix_ns);
	json_uint(json, "wall_ns", span->end_unix_ns - span->start_unix_ns);
	json_uint(json, "pid", ledger ? ledger->pid : 0);
	json_bool(json, "settled", ledger && ledger->settled);
	render_ledger(json, ledger, names);
	if (parts & RENDER_TIMELINE)
		render_timeline(json, ledger);
	json_end(json);
}
