# SPDX-License-Identifier: Apache-2.0
"""Every threading style that Python can do, on the unmodified SDK, in plain and in exact mode: no ledger claims more
than the program knows of its own CPU time, and event loops are told apart where the writer logs each change. The
recording of it all makes the same ledgers again."""

import asyncio
import contextvars
import os
import queue
import subprocess
import sys
import threading
import time
from collections import Counter

from daemon import BINARY, daemon_with_kernel, kept_back, run, temporary_folder
from ledgers import blocked, check_span, settled_spans
from service import Service, ids, say, spin, trace_to, wait_for_go

US, MS = 1000, 1000000
# The clocks of the service and of its spans are read one after the other, and a busy machine comes in between.
SLACK_NS = 300 * US
GRADES = ("exact", "bounded", "inferred", "partial")
# Some kernels keep a switch back now and then (daemon.py): how often a style that it fell upon is played in all.
TRIES = 6
# In exact mode each span is vouched for, and by far more narrowly than by its length.
TOLD_APART = ("event_loop", "uvloop", "hand_over", "ends_elsewhere", "migrating", "nested", "back_to_back", "dropped")
STYLES = ("nested", "back_to_back", "fan_out", "hand_over", "ends_elsewhere", "thread_each", "crowd", "fork",
          "unsampled", "dropped", "event_loop", "uvloop", "migrating")


class Part:
    """What a span's threads burnt while they carried it: `least` for sure; `most` with what the SDK did before its
    attach, and after its detach."""

    def __init__(self, tracer, name):
        began = time.thread_time_ns()
        self.span, self.name, self.least = tracer.start_span(name), name, 0
        self.most = time.thread_time_ns() - began

    def carry(self, work):
        from opentelemetry import trace

        outer = time.thread_time_ns()
        with trace.use_span(self.span):
            began = time.thread_time_ns()
            work()
            self.least += time.thread_time_ns() - began
        self.most += time.thread_time_ns() - outer
        return self

    def end(self):
        began = time.thread_time_ns()
        self.span.end()
        self.most += time.thread_time_ns() - began
        return {**ids(self.span), "name": self.name, "least": self.least, "most": self.most}


def whole(tracer, name, work):
    return Part(tracer, name).carry(work).end()


def nap():
    time.sleep(0.002)


def nested(tracer):
    def level(depth, facts):
        def work():
            spin(300 * US)
            if depth < 4:
                level(depth + 1, facts)
            nap()

        facts.append(whole(tracer, f"level {depth}", work))
        return facts

    return level(0, [])


def back_to_back(tracer):
    facts = []
    facts.append(whole(tracer, "request", lambda: facts.extend(
        whole(tracer, f"step {i}", lambda i=i: spin((50 + 30 * i) * US)) for i in range(10))))
    return facts


def in_threads(works):
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def fan_out(tracer):
    """The threads carry the root, too, from where they take over its context."""
    facts, lanes = [], []

    def part(context, i):
        def work():
            began = time.thread_time_ns()
            context.run(lambda: facts.append(whole(tracer, f"part {i}", lambda: (spin(MS), nap()))))
            lanes.append(time.thread_time_ns() - began)

        return work

    root = whole(tracer, "request", lambda: in_threads([part(contextvars.copy_context(), i) for i in range(4)]))
    root["least"] += sum(lanes)
    root["most"] += sum(lanes)
    return facts + [root]


def hand_over(tracer):
    """The consumer is busy with something else first."""
    jobs, facts = queue.Queue(), []

    def consume():
        spin(2 * MS)
        part = jobs.get()
        nap()
        part.carry(lambda: spin(MS))
        facts.append(part.end())

    consumer = threading.Thread(target=consume)
    consumer.start()
    jobs.put(Part(tracer, "job").carry(lambda: spin(MS)))
    consumer.join()
    return facts


def ends_elsewhere(tracer):
    part, facts = Part(tracer, "moved").carry(lambda: spin(MS)), []
    in_threads([lambda: facts.append(part.carry(lambda: spin(MS)).end())])
    return facts


def thread_each(tracer, count=6, work=lambda: (spin(MS), nap(), spin(MS))):
    facts = []
    in_threads([lambda i=i: facts.append(whole(tracer, f"request {i}", work)) for i in range(count)])
    return facts


def crowd(tracer):
    return thread_each(tracer, 64, lambda: spin(2 * MS))


def fork(tracer):
    """The child burns CPU time of its own, and makes no span."""

    def work():
        spin(MS)
        child = os.fork()
        if child == 0:
            spin(5 * MS)
            os._exit(0)
        spin(MS)
        os.waitpid(child, 0)

    return [whole(tracer, "forks", work)]


def unsampled(tracer):
    from opentelemetry import trace

    facts = []

    def child():
        of = trace.get_current_span().get_span_context()
        hidden = trace.SpanContext(of.trace_id, of.span_id ^ 1, False, trace.TraceFlags(0))
        with trace.use_span(trace.NonRecordingSpan(hidden)):
            spin(MS)
            nap()

    facts.append(whole(tracer, "request", lambda: (spin(MS), child(), child())))
    return facts


def dropped(tracer):
    """The request begins what the sampler drops, and another thread carries it, while a third one has a span of the
    same trace open: it counts for the request, as the writer has marked where it was begun."""
    from opentelemetry import context, trace
    from opentelemetry.sdk.trace import TracerProvider, sampling

    silent = TracerProvider(sampler=sampling.ALWAYS_OFF).get_tracer("subject")
    facts, lanes, here = [], [], threading.Barrier(2)

    def wait_beside():
        here.wait()
        here.wait()

    def carry(span):
        began = time.thread_time_ns()
        with trace.use_span(span):
            for _ in range(4):
                spin(MS)
                nap()
        lanes.append(time.thread_time_ns() - began)

    def work():
        within = context.get_current()
        beside = Part(tracer, "beside")
        other = threading.Thread(target=lambda: facts.append(beside.carry(wait_beside).end()))
        other.start()
        here.wait()
        hidden = silent.start_span("dropped", within)
        in_threads([lambda: carry(hidden)])
        hidden.end()
        here.wait()
        other.join()

    root = whole(tracer, "request", work)
    root["least"] += sum(lanes)
    root["most"] += sum(lanes)
    return facts + [root]


def event_loop(tracer, run_tasks=asyncio.run):
    """Tasks of traces of their own take turns, mostly without leaving the CPU."""
    facts = []

    async def task(i):
        from opentelemetry import trace

        span, cpu_ns = tracer.start_span(f"task {i}"), 0
        with trace.use_span(span):
            for turn in range(6):
                began = time.thread_time_ns()
                spin((20 + 17 * i) * US)
                cpu_ns += time.thread_time_ns() - began
                await asyncio.sleep(0.001 if (i + turn) % 4 == 0 else 0)
        span.end()
        facts.append({**ids(span), "name": f"task {i}", "least": cpu_ns})

    async def all_tasks():
        await asyncio.gather(*(task(i) for i in range(8)))

    began = time.thread_time_ns()
    run_tasks(all_tasks())
    spare = time.thread_time_ns() - began - sum(fact["least"] for fact in facts)  # the loop's own, or a task's
    return [{**fact, "most": fact["least"] + spare} for fact in facts]


def uvloop(tracer):
    import uvloop as loops

    return event_loop(tracer, loops.run)


def migrating(tracer):
    cpus = sorted(os.sched_getaffinity(0))

    def work():
        for hop in range(10):
            os.sched_setaffinity(0, {cpus[hop % len(cpus)]})
            spin(200 * US)

    facts = [whole(tracer, "wanderer", work)]
    os.sched_setaffinity(0, cpus)
    return facts


def service(endpoint):
    provider = trace_to(endpoint)
    tracer = provider.get_tracer("subject")
    say("started")
    while (style := wait_for_go()) is not None:
        facts = globals()[style](tracer)
        assert provider.force_flush()
        say(facts)
    provider.shutdown()


# The scenario.


def check(daemon, style, facts, exact, before):
    """false: the kernel has kept more back than `before`, and some of it of spans that are to be told apart."""
    grades, worst = Counter(), 0
    for fact in facts:
        span = settled_spans(daemon, fact["trace"])[fact["name"]]
        check_span(span, grades=GRADES)
        ledger = span["ledger"]
        grades[ledger["grade"]] += 1
        off = max(fact["least"] - ledger["cpu_ns"], ledger["cpu_ns"] - fact["most"])
        if ledger["grade"] in ("exact", "bounded"):
            assert off <= ledger["uncertain_ns"] + SLACK_NS, (style, exact, fact, span)
            worst = max(worst, off)
        if style == "fork":
            assert ledger["forked_cpu_ns"] >= 4 * MS, span
        if style == "unsampled":
            assert blocked(span, "sleep") >= 3 * MS, span
        if style in ("event_loop", "uvloop") and not exact:
            assert ledger["grade"] != "exact", span
    if exact and style in TOLD_APART:
        if grades["partial"] and kept_back() > before:
            return False
        assert set(grades) <= {"exact", "bounded"}, (style, grades)
        spans = [settled_spans(daemon, fact["trace"])[fact["name"]] for fact in facts]
        narrow = sum(span["ledger"]["uncertain_ns"] < 0.5 * span["wall_ns"] for span in spans)
        assert narrow >= 0.9 * len(spans), (style, spans)
    print(f"{style}{' in exact mode' if exact else ''}: {dict(grades)}, off by at most {worst / US:.1f} us")
    return True


def play(daemon, subject, style, exact):
    for _ in range(TRIES):
        before = kept_back()
        if check(daemon, style, subject.ask(style), exact, before):
            return
        print(style, "again")
    raise AssertionError(f"{style}: the kernel kept something back each time")


def main():
    recording = os.path.join(temporary_folder(), "recording")
    daemon = daemon_with_kernel("--settle-ms=300", command=("record", recording))
    for exact in (False, True):
        with Service(daemon, environment={"SPANWISE_EXACT_MODE": str(int(exact))}) as subject:
            subject.ask("nested")  # found, and its thread's log, too
            for style in STYLES:
                play(daemon, subject, style, exact)
    assert daemon.stop() == 0, daemon.log()
    subprocess.run([BINARY, "replay", recording], check=True, stdout=subprocess.DEVNULL)


if len(sys.argv) > 1:
    service(*sys.argv[1:])
else:
    run(main)
