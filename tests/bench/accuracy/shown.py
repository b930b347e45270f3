# SPDX-License-Identifier: Apache-2.0
"""Truth by what each thread shows, as shown.h has it, on the unmodified Python SDK: what a thread burns counts for the
span of its current context and for all above it, as far as they are open then. To be imported before the SDK is used.

The SDK's own start and end, attach and detach, and a loop's turns are watched, so programs are written as anybody's.
Whatever else switches contexts goes through `run_in` and `seen`; a program burns by `spin`, and waits by `nap` where no
other thread shows its span."""

import asyncio
import json
import random
import threading
import time
import weakref

import opentelemetry.sdk.trace as sdk
from opentelemetry import context, trace

start_of_sdk, end_of_sdk = sdk.Span.start, sdk.Span.end  # beneath the writer's marks, as the SDK's clock is read
attach_of_api, detach_of_api, run_of_loop = context.attach, context.detach, asyncio.Handle._run

NOTHING = context.Context()
numbers = random.Random(42)
lock, local, threads = threading.RLock(), threading.local(), weakref.WeakSet()


def start(span, start_time=None, parent_context=None):
    at = edge()
    with lock:
        thread = mine()
        thread.charge(at[1])
        span.truth = Truth(span, start_time or at[0])
        # Whose times are given began before its thread had it: what that burned since it was idle may be the span's.
        thread.way = (Way(span.truth, False, thread.idle_cpu_ns or at[1], False) if start_time
                      else Way(span.truth, False, at[1]))
        span.truth.slacken(at[2])
    start_of_sdk(span, span.truth.record["start_ns"], parent_context)


def end(span, end_time=None):
    if span.truth.is_open:
        stop(span)
    end_of_sdk(span, span.truth.record["end_ns"])


def attach(value):
    look()
    token = attach_of_api(value)
    look()
    return token


def detach(token):
    look()
    detach_of_api(token)
    look()


def take_turn(handle):
    callback = handle._callback
    handle._callback = seen(callback)
    look()
    run_of_loop(handle)
    look()
    mine().way = None
    if not handle._cancelled:
        handle._callback = callback  # a reader's is called again


sdk.Span.start, sdk.Span.end, sdk.Span.truth = start, end, None
context.attach, context.detach, asyncio.Handle._run = attach, detach, take_turn

from truth import edge, make_provider, wait_until_found  # noqa: E402, F401


class Truth:
    """Of a span. `own`: what it had while nothing below it was open."""

    made = {}  # by span id

    def __init__(self, span, start_ns):
        of, above = span.get_span_context(), span.parent
        self.parent = Truth.made.get(above.span_id) if above else None
        self.is_open = True
        self.record = {"name": span.name, "start_ns": start_ns, "trace_id": f"{of.trace_id:032x}",
                       "span_id": f"{of.span_id:016x}", "parent_id": f"{above.span_id:016x}" if above else "",
                       **dict.fromkeys(("waited_ns", "cpu_ns", "cpu_slack_ns", "own_cpu_ns", "own_slack_ns"), 0)}
        Truth.made[of.span_id] = self

    def chain(self):
        span = self
        while span:
            yield span
            span = span.parent

    def slacken(self, ns):
        for span in self.chain():
            span.record["cpu_slack_ns"] += ns
            span.record["own_slack_ns"] += ns


class Way:
    """The thread began the span, or put it aside, and has done little since: none else, if it is direct."""

    def __init__(self, span, is_to_end, cpu_ns, is_direct=True):
        self.span, self.is_to_end, self.cpu_ns, self.is_direct = span, is_to_end, cpu_ns, is_direct


class Thread:
    """What one shows. Under the lock."""

    def __init__(self):
        self.span = self.way = self.idle_cpu_ns = None
        self.since, self.clock = time.thread_time_ns(), time.pthread_getcpuclockid(threading.get_ident())

    def charge(self, cpu_ns):
        """Returns how much it was."""
        cpu_ns = max(cpu_ns, self.since)  # who ended a span of its may have read its clock meanwhile
        ns, self.since = cpu_ns - self.since, cpu_ns
        charge(self.span, ns)
        return ns

    def end_way(self, span, is_to_end, cpu_ns):
        """Who does nothing else from where it begins a span to where it shows it has worked for it, and the same at its
        end. Else it may have it or not."""
        way, self.way = self.way, None
        if not way or way.span is not span or way.is_to_end != is_to_end:
            return
        ns, above = cpu_ns - way.cpu_ns, self.span
        if way.is_direct and (above is None or above in span.chain()):
            charge(above, -ns)
            charge(span, ns)
        else:
            loosen(span, above, ns)


def charge(span, ns):
    own = "own_cpu_ns"
    for one in span.chain() if span else ():
        if one.is_open:
            one.record["cpu_ns"] += ns
            if own:
                one.record[own] += ns
            own = None


def loosen(one, other, ns):
    """Either may have it; whose own it is is open for all above them, too."""
    ones, others = (list(span.chain()) if span else [] for span in (one, other))
    for span in ones + others:
        span.record["own_slack_ns"] += ns
        if span not in ones or span not in others:
            span.record["cpu_slack_ns"] += ns


def mine():
    if not hasattr(local, "thread"):
        local.thread = Thread()
        threads.add(local.thread)
    return local.thread


def look():
    """What it shows may have changed since its last look: near to either, or what it burned may count for either."""
    cpu_ns, now = time.thread_time_ns(), getattr(trace.get_current_span(), "truth", None)
    with lock:
        thread = mine()
        before, until = thread.span, thread.since
        ns = thread.charge(cpu_ns)
        if now is not before:
            thread.end_way(now, False, until)
            loosen(before, now, ns)
            thread.span = now
            thread.way = Way(before, True, thread.since) if before and before.is_open else None
        thread.charge(time.thread_time_ns())


def stop(span):
    """Its clock stops now; the SDK may be told later. Others that show it: their clocks are read later."""
    truth, began, at = span.truth, time.monotonic_ns(), edge()
    with lock:
        thread = mine()
        thread.charge(at[1])
        for other in list(threads):
            if other is thread or not other.span or truth not in other.span.chain():
                continue
            try:
                other.charge(time.clock_gettime_ns(other.clock))
            except OSError:
                continue  # it is over
            other.span.slacken(time.monotonic_ns() - began)
        thread.end_way(truth, True, at[1])
        truth.slacken(at[2])
        truth.record["end_ns"], truth.end_cpu_ns, truth.is_open = at[0], at[1], False


def tell(name, began):
    """What this thread did since that edge, all the while showing what it shows, is told as a span below that."""
    span = tracer.start_span(name, start_time=began[0])
    span.end()
    ns = span.truth.end_cpu_ns - began[1]
    with lock:
        span.truth.record.update(cpu_ns=ns, own_cpu_ns=ns)
        span.truth.parent.record["own_cpu_ns"] -= ns
        span.truth.slacken(began[2])


def idle():
    """Until the thread begins a span that has begun already, it does nothing of note."""
    mine().idle_cpu_ns = time.thread_time_ns()


def seen(work):
    """To be run within another context."""
    def watched(*args):
        look()
        try:
            return work(*args)
        finally:
            look()

    return watched


def run_in(held, work, *args):
    look()
    try:
        return held.run(seen(work), *args)
    finally:
        look()


def begin(service):
    """Its provider, to be shut down."""
    global tracer
    provider = make_provider(service)
    tracer = provider.get_tracer("truth")
    return provider


def opened(name, **options):
    return tracer.start_as_current_span(name, **options)


def root(name):
    return opened(name, context=NOTHING)


def do_else():
    way = mine().way
    if way:
        way.is_direct = False


def draw(least, most):
    return numbers.randint(least, most)


def one_in(count):
    return draw(1, count) == 1


def between(least_us, most_us):
    return least_us * (most_us / least_us) ** numbers.random() * 1e-6


def spin(least_us=5, most_us=700):
    do_else()
    end_ns = time.thread_time_ns() + int(between(least_us, most_us) * 1e9)
    while time.thread_time_ns() < end_ns:
        pass


def nap(least_us=20, most_us=2000):
    do_else()
    began, cpu = time.monotonic_ns(), time.thread_time_ns()
    time.sleep(between(least_us, most_us))
    waited = time.monotonic_ns() - began - (time.thread_time_ns() - cpu)
    shown = getattr(trace.get_current_span(), "truth", None)
    for span in shown.chain() if shown else ():
        span.record["waited_ns"] += max(0, waited) if span.is_open else 0


def pause():
    if one_in(2):
        nap()


def at_once(*works):
    """A thread for each; returns when all are over."""
    started = [threading.Thread(target=seen(work)) for work in works]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def print_all():
    print("{}")
    for truth in Truth.made.values():
        print(json.dumps(truth.record))
