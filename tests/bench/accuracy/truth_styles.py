# SPDX-License-Identifier: Apache-2.0
"""Threading styles of Python services, on the unmodified SDK: truth_styles.py STYLE TURNS SERVICE. Prints what the
spans cost, in the format of truth_scenarios; the SDK exports them."""

import asyncio
import json
import os
import random
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context

from truth import edge, make_provider, wait_until_found
from opentelemetry import context, trace

numbers = random.Random(42)
lock, local = threading.RLock(), threading.local()


def between(least_us, most_us):
    return least_us * (most_us / least_us) ** numbers.random() * 1e-6


def spin(seconds):
    end = time.thread_time_ns() + int(seconds * 1e9)
    while time.thread_time_ns() < end:
        pass


class Span:
    """As truth.h has it: a thread that enters it carries it, and its ancestors, until it leaves."""

    made = []

    def __init__(self, name, parent=None, real=None):
        real = real or time.time_ns()
        above = trace.set_span_in_context(parent.span) if parent else context.Context()
        self.span = Span.tracer.start_span(name, context=above, start_time=real)
        self.parent = parent if isinstance(parent, Span) else None  # else it is another process's
        of = self.span.get_span_context()
        self.span_id, self.thread = of.span_id, None
        Turns.carried[of.span_id] = [self]
        self.record = {"name": name, "start_ns": real, "waited_ns": 0, "cpu_ns": 0, "cpu_slack_ns": 0,
                       "trace_id": f"{of.trace_id:032x}", "span_id": f"{of.span_id:016x}",
                       "parent_id": parent.record["span_id"] if parent else "",
                       "is_entry": parent is not self.parent}
        with lock:
            Span.made.append(self.record)

    def charge(self, cpu_ns, slack_ns):
        carried, span = set(), getattr(local, "innermost", None)
        while span:
            carried.add(id(span))
            span = span.parent
        span = self
        while span and id(span) not in carried:
            with lock:
                span.record["cpu_ns"] += cpu_ns
                span.record["cpu_slack_ns"] += slack_ns
            span = span.parent

    def is_with(self, span):
        """The thread carries both."""
        return self is span or (self.beneath is not None and self.beneath.is_with(span))

    def enter(self, at=None):
        """From `at` on, where that is exported; else from the attach on: nothing comes between it and the clock."""
        carried = trace.set_span_in_context(self.span)
        real, self.entered, slack = at or edge()
        self.entered_slack = 0  # charged here
        self.token, self.thread = context.attach(carried), threading.get_ident()
        if not at:  # no exported time says when
            slack += time.thread_time_ns() - self.entered
        self.charge(0, slack)
        self.beneath, local.innermost = getattr(local, "innermost", None), self
        return self

    def leave(self, is_end=False):
        before = time.thread_time_ns()
        context.detach(self.token)
        real, cpu, slack = edge()
        local.innermost = self.beneath
        self.charge(cpu - self.entered, slack + self.entered_slack)
        if not is_end:
            self.record["cpu_slack_ns"] += cpu - before
        return real

    def end(self, real=None):
        self.record["end_ns"] = real or time.time_ns()
        Turns.carried.pop(self.span_id)
        if self.parent:
            Turns.hidden[self.span_id] = self.parent.span_id
        self.span.end(end_time=self.record["end_ns"])


class Turns:
    """What an event loop runs in a context is carried by the span of that context: the clock is read on both sides of
    where the loop takes the context up, and puts it aside."""

    run, carried = asyncio.Handle._run, {}  # by the id of the innermost one
    hidden = {}  # of spans that nobody exports, and that have ended: below which they are

    @classmethod
    def watch(cls):
        asyncio.Handle._run = lambda handle: cls.take(handle)

    @classmethod
    def timed(cls, handle, carried):
        """Runs it; returns two edges, as edge() has them but for the exported time. Who is left within the turn has the
        first one's slack, too."""
        callback, within = handle._callback, []

        def timed(*args):
            within.append(time.thread_time_ns())
            for span in carried:
                span.entered, span.entered_slack = (before + within[0]) // 2, (within[0] - before + 1) // 2
            try:
                return callback(*args)
            finally:
                within.append(time.thread_time_ns())

        handle._callback = timed
        before = time.thread_time_ns()
        cls.run(handle)
        after = time.thread_time_ns()
        first, last = ((x + y) // 2 for x, y in ((before, within[0]), (within[1], after)))
        return (first, within[0] - first), (last, after - last)

    @classmethod
    def take(cls, handle):
        outer, thread = getattr(local, "innermost", None), threading.get_ident()
        carried = cls.carried.get(cls.span_id_of(handle._context), [])
        if outer:  # a loop within another one's turn
            carried = [span for span in carried if not outer.is_with(span)]
        visited = carried[-1] if carried and carried[-1].thread != thread else None  # another thread has it, too
        local.innermost = visited or outer
        carried = carried if not visited else []
        for span in carried:
            span.beneath, local.innermost = local.innermost, span
        (entered, entered_slack), (left, left_slack) = cls.timed(handle, carried)
        carried = []
        while (span := local.innermost) not in (outer, visited):
            carried.insert(0, span)
            local.innermost = span.beneath
            span.charge(left - span.entered, span.entered_slack + left_slack)
        local.innermost = outer
        if visited:
            visited.charge(left - entered, entered_slack + left_slack)
        if carried:
            cls.carried[carried[-1].span_id] = carried

    @staticmethod
    def span_id_of(held):
        """Without entering it, which would publish it."""
        span_id = trace.get_current_span(held.get(context._RUNTIME_CONTEXT._current_context)).get_span_context().span_id
        while span_id in Turns.hidden:
            span_id = Turns.hidden[span_id]
        return span_id


class opened:
    """One thread, from start to end."""

    def __init__(self, name, parent=None):
        self.name, self.parent = name, parent

    def __enter__(self):
        at = edge()
        self.span = Span(self.name, self.parent or getattr(local, "innermost", None), at[0])
        return self.span.enter(at)

    def __exit__(self, *_):
        self.span.end(self.span.leave(is_end=True))


def nested(depth=0):
    with opened(f"level {depth}"):
        spin(between(20, 2000))
        if depth < 4:
            nested(depth + 1)
        time.sleep(between(20, 2000))


def back_to_back():
    with opened("request"):
        for _ in range(10):
            with opened("step"):
                spin(between(50, 500))


def fan_out():
    def part(root):
        with opened("part", root):
            spin(between(100, 3000))
            time.sleep(between(50, 1000))

    with opened("request") as root:
        list(pool.map(part, [root] * 4))


def begun(name, parent=None):
    at = edge()
    return Span(name, parent, at[0]).enter(at)


def carry_first(name):
    span = begun(name)
    spin(between(50, 2000))
    span.leave()
    return span


def carry_last(span):
    span.enter()
    spin(between(50, 2000))
    span.end(span.leave(is_end=True))


def hand_over():
    """The worker has something else to do first: the span lies in the queue."""
    span = carry_first("job")
    busy = one.submit(lambda: spin(between(200, 3000)))
    time.sleep(between(50, 2000))
    one.submit(carry_last, span).result()
    busy.result()


def ends_elsewhere():
    one.submit(carry_last, carry_first("moved")).result()


def thread_each(count=3, least=20):
    def request():
        with opened("request"):
            spin(between(least, 2000))
            time.sleep(between(20, 1000))

    threads = [threading.Thread(target=request) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def crowd():
    thread_each(64, 500)


def forks():
    with opened("fork") as span:
        spin(between(50, 1000))
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            spin(between(500, 3000))
            os.write(theirs, str(time.process_time_ns()).encode())
            os._exit(0)
        spin(between(500, 3000))
        span.record["forked_ns"] = int(os.read(ours, 32))
        os.waitpid(child, 0)
        os.close(ours), os.close(theirs)


def unexported():
    with opened("request") as root:
        of = root.span.get_span_context()
        hidden = trace.SpanContext(of.trace_id, of.span_id ^ 1, False, trace.TraceFlags(0))
        for _ in range(3):
            with trace.use_span(trace.NonRecordingSpan(hidden)):
                spin(between(20, 1000))
                time.sleep(between(20, 500))


def event_loop():
    async def task():
        span = begun("task")
        for _ in range(6):
            spin(between(5, 200))
            await asyncio.sleep(0 if numbers.random() < 0.8 else between(20, 200))
        span.end(span.leave(is_end=True))

    async def tasks():
        await asyncio.gather(*(task() for _ in range(8)))

    asyncio.run(tasks())


def migrating():
    cpus = sorted(os.sched_getaffinity(0))
    with opened("wanderer"):
        for hop in range(numbers.randint(2, 20)):
            os.sched_setaffinity(0, {cpus[hop % len(cpus)]})
            spin(between(20, 500))
    os.sched_setaffinity(0, cpus)


STYLES = {style.__name__.replace("_", "-"): style for style in (
    nested, back_to_back, fan_out, hand_over, ends_elsewhere, thread_each, crowd, unexported, event_loop, migrating)}
STYLES["fork"] = forks


def main():
    global pool, one
    style, turns, service = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    provider = make_provider(service)
    Span.tracer = provider.get_tracer("truth")
    Turns.watch()
    pool, one = ThreadPoolExecutor(4), ThreadPoolExecutor(1)
    wait_until_found()
    for _ in range(turns):
        STYLES[style]()
    provider.shutdown()
    print("{}")
    for record in Span.made:
        print(json.dumps(record))


if __name__ == "__main__":
    main()
