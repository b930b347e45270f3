# SPDX-License-Identifier: Apache-2.0
"""Services of several processes, and what comes between in one: truth_servers.py STYLE TURNS SERVICE, on the
unmodified SDK, as truth_styles.py."""

import asyncio
import gc
import json
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

import truth_styles as styles
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from truth import edge, make_provider, wait_until_found
from truth_styles import Span, Turns, begun, between, local, opened, spin
from opentelemetry import context, trace

BURN = "import time\nend = time.thread_time() + 0.002\nwhile time.thread_time() < end: pass"
SERVERS, REQUESTS = 3, 10


class Carried:
    """Runs a callable that a thread was handed together with its context: the span of that context is on from
    somewhere before its first step to somewhere after its last."""

    def __init__(self, span, work, *args):
        self.span, self.work, self.args = span, work, args

    def __call__(self):
        entered, span = time.thread_time_ns(), self.span
        beneath = getattr(local, "innermost", None)
        span.charge(0, entered - local.before)
        local.innermost = span
        try:
            return self.work(*self.args)
        finally:
            local.left = time.thread_time_ns()
            local.innermost = beneath
            span.charge(local.left - entered, 0)
            local.carried = span


def outside(call, *args, **options):
    """Runs a callable that runs a `Carried` within it: reads the clock before the context is on, and when it is off."""
    local.before, local.carried = time.thread_time_ns(), None
    try:
        return call(*args, **options)
    finally:
        if local.carried:
            local.carried.charge(0, time.thread_time_ns() - local.left)
            local.carried = None


class Watched(ThreadPoolExecutor):
    """The pool itself is the library's."""

    def submit(self, fn, /, *args, **options):
        return super().submit(outside, fn, *args, **options)


def parts(least=1, most=2):
    spin(between(20, 1500))
    for _ in range(styles.numbers.randint(least, most)):
        with opened("query"):
            spin(between(20, 800))
            time.sleep(between(50, 1000))
    spin(between(20, 500))


# ---- threads of one process


def executor():
    """Parts run in copies of the request's context; some make spans, and some do not."""
    with opened("request") as root:
        spin(between(20, 500))
        works = [parts if i % 2 else lambda: (spin(between(50, 2000)), time.sleep(between(50, 1000))) for i in range(4)]
        waiting = [watched.submit(copy_context().run, Carried(root, work)) for work in works]
        spin(between(20, 500))
        for one in waiting:
            one.result()
        spin(between(20, 500))


def nested_executors():
    """A pool's thread hands parts of its part to another pool, and waits for them."""
    def outer():
        with opened("outer") as span:
            spin(between(20, 300))
            waiting = [inner.submit(copy_context().run, Carried(span, parts, 0, 1)) for _ in range(2)]
            spin(between(20, 300))
            for one in waiting:
                one.result()

    with opened("request") as root:
        spin(between(20, 300))
        waiting = [watched.submit(copy_context().run, Carried(root, outer)) for _ in range(2)]
        for one in waiting:
            one.result()
        spin(between(20, 300))


def context_threads():
    with opened("request") as root:
        threads = [threading.Thread(target=outside, args=(copy_context().run, Carried(root, parts, 0, 1))) for _ in range(3)]
        for thread in threads:
            thread.start()
        spin(between(20, 2000))
        for thread in threads:
            thread.join()


def in_loop(requests):
    async def main():
        asyncio.get_running_loop().set_default_executor(Watched(4))  # which ends with its loop
        await asyncio.gather(*(request() for request in requests))

    asyncio.run(main())


async def served(work):
    span = begun("request")
    await work(span)
    span.end(span.leave(is_end=True))


async def to_threads(span):
    for _ in range(2):
        spin(between(10, 300))
        await asyncio.to_thread(Carried(span, parts, 0, 1))
    spin(between(10, 300))


async def in_executor(span):
    """No context is copied: the part says whose child it is."""
    loop = asyncio.get_running_loop()

    def part():
        with opened("part", span):
            parts(0, 1)

    for _ in range(2):
        spin(between(10, 300))
        await loop.run_in_executor(None, part)
    spin(between(10, 300))


def to_thread():
    in_loop([lambda: served(to_threads)] * 4)


def run_in_executor():
    in_loop([lambda: served(in_executor)] * 4)


def nested_loops():
    """A callback of one loop runs another one until it is done."""
    async def inner(outer):
        span = begun("inner", outer)
        for _ in range(3):
            spin(between(10, 300))
            await asyncio.sleep(between(20, 200) if styles.numbers.random() < 0.5 else 0)
        span.end(span.leave(is_end=True))

    async def outer(span):
        spin(between(10, 300))
        await asyncio.sleep(0)
        asyncio._set_running_loop(None)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(inner(span))
        loop.close()
        asyncio._set_running_loop(own)
        spin(between(10, 300))

    async def main():
        nonlocal own
        own = asyncio.get_running_loop()
        await asyncio.gather(*(served(outer) for _ in range(3)))

    own = None
    asyncio.run(main())


def loop_thread():
    """A thread asks a loop that another one runs, which does it in the asker's context."""
    with opened("request") as root:
        spin(between(20, 500))

        async def answer():
            spin(between(20, 1000))
            await asyncio.sleep(between(50, 500))
            spin(between(20, 1000))

        asyncio.run_coroutine_threadsafe(answer(), loop).result()
        time.sleep(0.001)  # it may be at it still, as the future's callbacks are
        spin(between(20, 500))


def interrupted():
    """Signal handlers and the collector run between two steps of a span; every other handler has a trace of its own."""
    def on_alarm(*_):
        nonlocal count, is_armed
        if not is_armed:
            return
        count += 1
        is_armed = False
        handle()
        is_armed = True

    def handle():
        if count % 2:
            spin(between(20, 300))
            return
        outer, local.innermost = local.innermost, None
        with opened("handler") as span:
            attached = time.thread_time_ns()
            spin(between(20, 300))
            left = time.thread_time_ns()
        beyond = time.thread_time_ns() - span.entered - (left - attached)
        local.innermost = outer
        while outer:  # which carried nothing of what was within
            outer.record["cpu_ns"] -= left - attached
            outer.record["cpu_slack_ns"] += beyond
            outer = outer.parent

    def armed(work, *args):
        nonlocal is_armed
        is_armed = True
        work(*args)
        is_armed = False

    count, is_armed = 0, False
    signal.signal(signal.SIGALRM, on_alarm)
    with opened("request"):
        spin(between(20, 300))
        signal.setitimer(signal.ITIMER_REAL, 0.0007, 0.0011)
        with opened("step"):
            armed(spin, between(500, 3000))
            armed(time.sleep, between(500, 3000))
        cycles = [[] for _ in range(2000)]
        for cycle in cycles:
            cycle.append(cycle)
        del cycle, cycles
        armed(gc.collect)
        armed(spin, between(500, 3000))
        signal.setitimer(signal.ITIMER_REAL, 0)
    time.sleep(0.0001)


def never_current():
    """Spans that are started and ended, and attached by nobody."""
    with opened("request"):
        spin(between(20, 300))
        aside("aside")
        spin(between(20, 300))
    aside("bare")
    spin(between(20, 300))


def aside(name):
    real, cpu, slack = edge()
    span = Span(name, getattr(local, "innermost", None), real)
    spin(between(20, 300))
    if styles.numbers.random() < 0.7:
        time.sleep(between(50, 1000))
    spin(between(20, 300))
    real, end, end_slack = edge()
    span.record.update(cpu_ns=end - cpu, cpu_slack_ns=slack + end_slack)
    span.end(real)


# ---- several processes


class Remote:
    """A span of another process."""

    def __init__(self, trace_id, span_id):
        of = trace.SpanContext(trace_id, span_id, True, trace.TraceFlags(1))
        self.span, self.record, self.parent = trace.NonRecordingSpan(of), {"span_id": f"{span_id:016x}"}, None


def ids_of(span):
    of = span.span.get_span_context()
    return of.trace_id, of.span_id


def begin_child(folder):
    """What a child inherited of the bench's own is not its."""
    Span.made.clear()
    local.innermost = None
    styles.numbers.seed(os.getpid())
    begin_child.folder = folder


def hand_in():
    """What this process made."""
    trace.get_tracer_provider().force_flush()
    with open(Path(begin_child.folder) / str(os.getpid()), "a", encoding="utf-8") as file:
        for record in Span.made:
            print(json.dumps(record), file=file)
    Span.made.clear()


def begin_spawned(folder, service):
    """In an interpreter of its own."""
    provider = make_provider(service, OTLPSpanExporter(os.environ["TRUTH_HTTP"]))
    trace.set_tracer_provider(provider)
    Span.tracer = provider.get_tracer("truth")
    begin_child(folder)


def part_of(ids):
    above = Remote(*ids)
    spin(between(20, 300))
    with opened("part", above):
        parts(0, 2)
    hand_in()


def process_pool(method, count=2):
    """The workers are started within a span, the first time."""
    with opened("request") as root:
        spin(between(20, 500))
        if method not in process_pool.pools:
            of = multiprocessing.get_context(method)
            start = (begin_child, (folder,)) if method == "fork" else (begin_spawned, (folder, service))
            process_pool.pools[method] = ProcessPoolExecutor(count, of, *start)
        pool = process_pool.pools[method]
        waiting = [pool.submit(part_of, ids_of(root)) for _ in range(count)]
        spin(between(20, 500))
        for one in waiting:
            one.result()
        spin(between(20, 500))


process_pool.pools = {}


def forked_job():
    """A process for each job, which goes on with the request's trace in the context that it inherited."""
    def job(ids):
        begin_child(folder)
        spin(between(20, 500))
        part_of(ids)

    with opened("request") as root:
        spin(between(20, 500))
        child = multiprocessing.get_context("fork").Process(target=job, args=(ids_of(root),))
        child.start()
        spin(between(20, 500))
        child.join()
        spin(between(20, 500))


def serve(listening):
    begin_child(folder)
    while True:
        connection, _ = listening.accept()
        with connection:
            if not connection.recv(1):
                break
            with opened("request"):
                spin(between(5, 50) if styles.numbers.random() < 0.5 else between(50, 2000))
                if styles.numbers.random() < 0.3:
                    with opened("query"):
                        spin(between(5, 300))
                        time.sleep(between(50, 1000))
            connection.send(b"x")
    hand_in()
    os._exit(0)


def ask(address):
    """Clients, two at a time."""
    def one():
        for _ in range(REQUESTS):
            with socket.create_connection(address) as connection:
                connection.send(b"x")
                connection.recv(1)
            time.sleep(between(20, 500))

    styles.numbers.seed(os.getpid())
    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(SERVERS):
        with socket.create_connection(address) as connection:
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)
    os._exit(0)


def prefork():
    """The master forks servers, and keeps house."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        children = set()
        for work, argument in [(serve, listening)] * SERVERS + [(ask, listening.getsockname())]:
            child = os.fork()
            if child == 0:
                work(argument)
            children.add(child)
    while children:
        child, status = os.waitpid(-1, os.WNOHANG)
        assert status == 0
        children.discard(child)
        spin(between(20, 500))
        if styles.numbers.random() < 0.1:
            with opened("housekeeping"):
                spin(between(20, 500))
        time.sleep(between(50, 1000))


def run_program():
    with opened("request"):
        spin(between(20, 500))
        subprocess.run([sys.executable, "-SE", "-c", BURN], check=True)
        spin(between(20, 500))
        subprocess.run(["true"], preexec_fn=lambda: spin(0.0005), check=True)  # forks, and does not vfork
        spin(between(20, 500))


STYLES = {style.__name__.replace("_", "-"): style for style in (
    executor, nested_executors, context_threads, to_thread, run_in_executor, nested_loops, loop_thread, interrupted,
    never_current, forked_job, prefork, run_program)}
STYLES["pool-fork"] = lambda: process_pool("fork")
STYLES["pool-spawn"] = lambda: process_pool("spawn")


def main():
    global watched, inner, loop, folder, service
    style, turns, service = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    provider = make_provider(service, OTLPSpanExporter(os.environ["TRUTH_HTTP"]))
    trace.set_tracer_provider(provider)
    Span.tracer = provider.get_tracer("truth")
    watched, inner = Watched(4), Watched(4)
    Turns.watch()
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    wait_until_found()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(turns):
            STYLES[style]()
        for pool in process_pool.pools.values():
            pool.shutdown()
        provider.shutdown()
        print("{}")
        for record in Span.made:
            print(json.dumps(record))
        for file in Path(folder).iterdir():
            print(file.read_text(encoding="utf-8"), end="")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
