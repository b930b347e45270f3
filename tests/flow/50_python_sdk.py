# SPDX-License-Identifier: Apache-2.0
"""The unmodified SDK and the writer for Python on the real kernel. Each trace is a small story whose truth the
service knows: what it burnt, how long it slept, who held the lock, who answered. The ledger must tell the same."""

import asyncio
import contextvars
import os
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from daemon import daemon_with_kernel, run
from ledgers import SLACK_NS, blocked, check_cpu, check_single_lane, check_span, settled_spans
from service import Service, Timed, ids, say, spin, trace_to, wait_for_go

MS = 1000000
SPIN_NS = 30 * MS
WAIT_NS = 50 * MS
# A wait begins a little after the clock that measures it was set, and a busy machine may preempt in between.
ENOUGH_NS = WAIT_NS * 9 // 10


# The service: each story returns what it knows.


def nested(tracer):
    with Timed(tracer, "nested") as root:
        with Timed(tracer, "spin") as burnt:
            spin(SPIN_NS)
        with Timed(tracer, "sleep") as slept:
            time.sleep(WAIT_NS / 1e9)
            with Timed(tracer, "deeper") as deeper:
                spin(SPIN_NS)  # longer than a tick, so that it is seen
                time.sleep(WAIT_NS / 1e9)
    return {part.span.name: part.facts for part in (root, burnt, slept, deeper)}


def answer_late(tracer, listener, about):
    with listener.accept()[0] as peer:
        peer.recv(1)
        with tracer.start_as_current_span("answer") as span:
            about.update(ids(span), tid=threading.get_native_id())
            time.sleep(WAIT_NS / 1e9)
            peer.send(b"x")
        peer.recv(1)


def network(tracer):
    """A connection to another thread, which answers late, in a span of its own."""
    about = {}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=answer_late, args=(tracer, listener, about))
        server.start()
        port = listener.getsockname()[1]
        with Timed(tracer, "network") as asked:
            with socket.create_connection(("127.0.0.1", port)) as peer:
                peer.send(b"?")
                peer.recv(1)
        server.join()
    return {**asked.facts, "peer": f"127.0.0.1:{port}", "server": about}


def lock(tracer):
    mutex, is_held, about = threading.Lock(), threading.Event(), {}

    def hold():
        with tracer.start_as_current_span("holder") as span, mutex:
            about.update(ids(span), tid=threading.get_native_id())
            is_held.set()
            time.sleep(WAIT_NS / 1e9)

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait()
    with Timed(tracer, "lock") as waited:
        with mutex:
            pass
    holder.join()
    return {**waited.facts, "holder": about}


def pool(tracer):
    """The parent waits for a child on another thread, which sleeps: the sleep is the answer, not the wait."""

    def work():
        with Timed(tracer, "child") as child:
            spin(SPIN_NS)
            time.sleep(WAIT_NS / 1e9)
        return child.facts

    with ThreadPoolExecutor(1) as executor:
        with Timed(tracer, "pool") as parent:
            child = executor.submit(contextvars.copy_context().run, work).result()
    return {"pool": parent.facts, "child": child}


def interleaved(tracer):
    """Two tasks of one loop, each with a trace of its own; one of them blocks the loop."""
    facts = {}

    async def task(name, block, rounds):
        with tracer.start_as_current_span(name) as span:
            facts[name] = {**ids(span), "least": rounds * SPIN_NS}
            for _ in range(rounds):
                spin(SPIN_NS)
                block(WAIT_NS / 1e9)
                await asyncio.sleep(WAIT_NS / 1e9)

    async def both():
        await asyncio.gather(task("awaits", lambda seconds: None, 2), task("blocks", time.sleep, 1))

    began = time.thread_time_ns()
    asyncio.run(both())
    burnt = time.thread_time_ns() - began
    for name, other in (("awaits", "blocks"), ("blocks", "awaits")):
        facts[name]["most"] = burnt - facts[other]["least"]
    return facts


def forked(tracer):
    with Timed(tracer, "forked") as parent:
        child = os.fork()
        if child == 0:
            spin(SPIN_NS)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        with Timed(tracer, "after") as after:
            spin(SPIN_NS)  # longer than a tick, so that it is seen
    return {"forked": parent.facts, "after": after.facts}


STORIES = {story.__name__: story for story in (nested, network, lock, pool, interleaved, forked)}


def service(compression, endpoint):
    provider = trace_to(endpoint, grpc.Compression[compression])
    tracer = provider.get_tracer("subject")
    say("started")
    while (name := wait_for_go()) is not None:
        facts = STORIES[name](tracer)
        assert provider.force_flush()
        say(facts)
    provider.shutdown()


# What the ledgers must say.


def longest_wait(span, reason):
    return max((wait for wait in span["waits"] if wait["reason"] == reason), key=lambda wait: wait["ns"])


def check_waker(span, wait, thread):
    """The other thread ended the wait, in the span that it then carried; the span is linked to it."""
    wakers = [waker for waker in wait["wakers"] if waker["tid"] == thread["tid"]]
    assert wakers and wakers[0]["ns"] >= wait["ns"] * 9 // 10, (thread, wait)
    assert (wakers[0]["trace_id"], wakers[0]["span_id"]) == (thread["trace"], thread["span"]), (thread, wait)
    assert any(link["span_id"] == thread["span"] and link["via"] == "waker" for link in span["links"]), span


def check_nested(spans, facts):
    root, burnt, slept, deeper = (spans[name] for name in ("nested", "spin", "sleep", "deeper"))
    for span in spans.values():
        check_cpu(span, facts[span["name"]])
    check_single_lane(list(spans.values()))
    assert burnt["ledger"]["cpu_ns"] >= SPIN_NS - burnt["ledger"]["uncertain_ns"] - SLACK_NS, burnt
    assert blocked(deeper, "sleep") >= ENOUGH_NS, deeper
    assert blocked(slept, "sleep", "self") >= ENOUGH_NS, slept
    assert blocked(slept, "sleep") >= 2 * ENOUGH_NS and blocked(root, "sleep") >= 2 * ENOUGH_NS, root
    assert longest_wait(slept, "sleep")["decided_by"] == "syscall clock_nanosleep", slept


def check_network(spans, facts):
    span = spans["network"]
    check_cpu(span, facts)
    # The wait begins late where this thread had no CPU: that time is runnable.
    assert blocked(span, "net") + span["ledger"]["runnable_ns"] >= ENOUGH_NS, span
    wait = longest_wait(span, "net")
    assert wait["target"].endswith(facts["peer"]) and wait["decided_by"] == "syscall recvfrom", wait
    check_waker(span, wait, facts["server"])


def check_lock(spans, facts):
    span = spans["lock"]
    check_cpu(span, facts)
    # The wait begins late where this thread had no CPU: that time is runnable.
    assert blocked(span, "lock") + span["ledger"]["runnable_ns"] >= ENOUGH_NS, span
    wait = longest_wait(span, "lock")
    assert wait["lock"]["address"].startswith("0x") and wait["decided_by"] == "syscall futex", wait
    check_waker(span, wait, facts["holder"])


def check_pool(spans, facts):
    parent, child = spans["pool"], spans["child"]
    check_cpu(child, facts["child"])
    slack = parent["ledger"]["uncertain_ns"] + SLACK_NS
    lanes = [facts["pool"], facts["child"]]
    assert parent["ledger"]["cpu_ns"] >= sum(lane["least"] for lane in lanes) - slack, (facts, parent)
    assert parent["ledger"]["cpu_ns"] <= sum(lane["most"] for lane in lanes) + slack, (facts, parent)
    assert blocked(child, "sleep") >= ENOUGH_NS, child
    assert blocked(parent, "sleep") >= blocked(child, "sleep") - slack, (parent, child)
    assert blocked(parent, "sleep", "self") <= slack, parent


def check_interleaved(spans, facts):
    """What one task did is none of the other's, or is said to be uncertain."""
    for name, span in spans.items():
        slack = span["ledger"]["uncertain_ns"] + SLACK_NS
        check_cpu(span, facts[name])
        assert blocked(span, "poll") <= slack, span
        assert span["ledger"]["elsewhere_ns"] >= ENOUGH_NS - slack, span
    assert blocked(spans["blocks"], "sleep") >= ENOUGH_NS, spans["blocks"]
    assert blocked(spans["awaits"], "sleep") <= spans["awaits"]["ledger"]["uncertain_ns"] + SLACK_NS, spans


def check_forked(spans, facts):
    parent, after = spans["forked"], spans["after"]
    check_cpu(parent, facts["forked"])
    check_cpu(after, facts["after"])
    assert blocked(parent, "child") > 0, parent
    assert longest_wait(parent, "child")["decided_by"] == "syscall wait4", parent
    slack = parent["ledger"]["uncertain_ns"] + SLACK_NS
    assert parent["ledger"]["forked_cpu_ns"] >= SPIN_NS - slack, parent
    assert after["ledger"]["forked_cpu_ns"] == 0, after


CHECKS = {name: globals()["check_" + name] for name in STORIES}


def traces_of(facts):
    if "trace" in facts:
        return {facts["trace"]}
    return {part["trace"] for part in facts.values()}


UNSURE = ("inferred", "partial")


def told_surely(daemon, subject, name, tries=5):
    """The story, told again where a busy machine took the CPU between a span's start and its attach: such a span was
    never seen, and is honestly inferred; or where the kernel left out a switch, which the counters say."""
    for _ in range(tries):
        before = daemon.status()["kernel"]["lost"]
        subject.go(name)
        facts = subject.told()
        spans = {}
        for trace in traces_of(facts):
            spans.update(settled_spans(daemon, trace))
        if all(span["ledger"]["grade"] not in UNSURE for span in spans.values()):
            break
        if any(span["ledger"]["grade"] == "partial" for span in spans.values()):
            assert daemon.status()["kernel"]["lost"] != before, spans
    return spans, facts


def main():
    daemon = daemon_with_kernel("--settle-ms=300")
    for compression in ("NoCompression", "Gzip"):
        with Service(daemon, compression) as subject:
            for name, check in CHECKS.items():
                spans, facts = told_surely(daemon, subject, name)
                for span in spans.values():
                    # turns that no tag shows may leave no bound on a crowded machine
                    check_span(span, ("exact", "bounded") + (name == "interleaved") * ("inferred",))
                check(spans, facts)
                print(f"{name}: " + ", ".join(
                    f"{span['name']} {span['ledger']['grade']} +-{span['ledger']['uncertain_ns']} ns"
                    for span in spans.values()))
    assert daemon.stop() == 0, daemon.log()


if len(sys.argv) > 1:
    service(*sys.argv[1:])
else:
    run(main)
