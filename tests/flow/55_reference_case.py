# SPDX-License-Identifier: Apache-2.0
"""The report of the incident review, really run: 38 ms on a CPU, 540 ms of the database, 18 ms of a mutex. The verdict is
the database wait, not the mutex, and not the CPU. And the same in an event loop: no thread waits, so what it awaits has a
name, and leads to the span that served it. And in an event loop that the request's own thread runs: it waits for one of
several, and is told which."""

import asyncio
import re
import socket
import struct
import sys
import threading
import time

from cli import spanwise
from daemon import daemon_with_kernel, run
from ledgers import blocked, check_span, measured_spans
from schema import check_trace, description
from service import Service, ids, say, spin, trace_to, wait_for_go

CPU_NS, DATABASE_S, MUTEX_S = 38_000_000, 0.54, 0.018
MOSTLY = 0.7  # on a busy machine
HEADER = ">16s8s"


# The database: answers each connection after a while.


def answer(tracer, peer):
    from opentelemetry import trace

    with peer:
        trace_id, span_id = struct.unpack(HEADER, peer.recv(struct.calcsize(HEADER)))
        above = trace.SpanContext(int.from_bytes(trace_id, "big"), int.from_bytes(span_id, "big"), True,
                                  trace.TraceFlags(1))
        context = trace.set_span_in_context(trace.NonRecordingSpan(above))
        with tracer.start_as_current_span("scan table", context=context, kind=trace.SpanKind.SERVER):
            time.sleep(DATABASE_S)
        peer.send(b"x")


def database(endpoint):
    provider = trace_to(endpoint, name="database")
    tracer = provider.get_tracer("database")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            threading.Thread(target=answer, args=(tracer, listener.accept()[0]), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    say("started")
    say(listener.getsockname()[1])
    while wait_for_go() is not None:
        assert provider.force_flush()
        say("done")
    provider.shutdown()


# The service.


def header_of(span):
    of = span.get_span_context()
    return of.trace_id.to_bytes(16, "big") + of.span_id.to_bytes(8, "big")


def query_context(tracer, port):
    from opentelemetry.trace import SpanKind

    with tracer.start_as_current_span("QueryContext", kind=SpanKind.CLIENT) as span:
        with socket.create_connection(("127.0.0.1", port)) as peer:
            peer.send(header_of(span))
            peer.recv(1)


def lock_mutex(tracer, mutex):
    """Somebody else has it."""
    is_held, may_go = threading.Event(), threading.Event()

    def hold():
        with mutex:
            is_held.set()
            may_go.wait()
            time.sleep(MUTEX_S)

    other = threading.Thread(target=hold)
    other.start()
    is_held.wait()
    with tracer.start_as_current_span("Mutex.Lock"):
        may_go.set()
        with mutex:
            pass
    other.join()


def report(tracer, port):
    with tracer.start_as_current_span("GET /report") as root:
        spin(CPU_NS // 2)
        query_context(tracer, port)
        lock_mutex(tracer, threading.Lock())
        spin(CPU_NS // 2)
    return [ids(root)]


async def order(tracer, port):
    from opentelemetry.trace import SpanKind

    with tracer.start_as_current_span("GET /order") as root:
        with tracer.start_as_current_span("SELECT order", kind=SpanKind.CLIENT, attributes={
                "server.address": "orders.db", "server.port": port}) as span:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(header_of(span))
            await reader.readexactly(1)
            writer.close()
    return ids(root)


async def orders(tracer, port):
    return await asyncio.gather(*(order(tracer, port) for _ in range(3)))


async def ask(span, port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(header_of(span))
    await reader.readexactly(1)
    writer.close()


def digest(tracer, port):
    """A loop within a span, as frameworks that are not asynchronous themselves run one."""
    with tracer.start_as_current_span("GET /digest") as root:
        asyncio.run(ask(root, port))
    return [ids(root)]


def shop(port, endpoint):
    provider = trace_to(endpoint, name="shop")
    tracer = provider.get_tracer("shop")
    say("started")
    while (word := wait_for_go()) is not None:
        if word == "orders":
            facts = asyncio.run(orders(tracer, int(port)))
        else:
            facts = {"report": report, "digest": digest}[word](tracer, int(port))
        assert provider.force_flush()
        say(facts)
    provider.shutdown()


# What must come out.


def story_of(said, name):
    return said[said.index(f"\n{name} (shop)"):].split("\n\n")[0]


def draw(daemon, trace_id):
    status, said, failure = spanwise("trace", trace_id, api=daemon.api)
    assert status == 0, failure
    print(said)
    check_trace(daemon, description(daemon), trace_id)
    return said


def percent(part, whole):
    return int(part * 100 / whole + 0.5)


def check_report(daemon, facts, port):
    spans = measured_spans(daemon, facts["trace"])
    root, query, mutex = (spans[name] for name in ("GET /report", "QueryContext", "Mutex.Lock"))
    for span in spans.values():
        check_span(span)
    assert root["ledger"]["cpu_ns"] >= CPU_NS - root["ledger"]["uncertain_ns"], root
    assert blocked(query, "net") >= DATABASE_S * 1e9 * MOSTLY, query
    assert blocked(mutex, "lock") + mutex["ledger"]["runnable_ns"] >= MUTEX_S * 1e9 * MOSTLY, mutex
    net, wall = blocked(root, "net"), root["wall_ns"]
    waiting = sum(root["ledger"]["blocked_ns"].values())
    assert root["verdict"]["kind"] == "waiting", root
    said = re.fullmatch(rf"(\d+) % waiting: (\d+) ms \((\d+) %\) for the network \(127\.0\.0\.1:{port}\)(.*); "
                        "leave the CPU code alone", root["verdict"]["text"])
    assert said, root["verdict"]
    assert [int(said.group(i)) for i in (1, 3)] == [percent(waiting, wall), percent(net, wall)], (said, root)
    assert abs(int(said.group(2)) * 1e6 - net) <= 1e6, (said, root)
    assert "utex" not in said.group(4), said
    if any("query_context" in frame for frame in root["waits"][0]["stack"]):  # tables take their time
        assert "query_context" in said.group(4), (said, root["waits"][0])
    story = story_of(draw(daemon, facts["trace"]), "GET /report")
    assert re.search(r"answered +\d+ ms +\d+ %  by scan table in database(, taken up .*)?: \d+ % waiting: .* in sleeps", story), story


def check_order(daemon, facts):
    spans = measured_spans(daemon, facts["trace"])
    root, query, server = (spans[name] for name in ("GET /order", "SELECT order", "scan table"))
    check_span(root, grades=("exact", "bounded", "inferred"))
    elsewhere = root["ledger"]["elsewhere_ns"]
    assert elsewhere >= DATABASE_S * 1e9 * MOSTLY, root
    item = max(root["ledger"]["elsewhere"], key=lambda item: item["ns"])
    assert (item["kind"], item["name"], item["peer"].split(":")[0]) == ("child", "SELECT order", "orders.db"), root
    assert (item["span_id"], item["server_span_id"]) == (query["span_id"], server["span_id"]), root
    assert item["ns"] >= elsewhere * MOSTLY, root
    own = max(query["ledger"]["elsewhere"], key=lambda item: item["ns"])
    assert (own["kind"], own["span_id"], own["server_span_id"]) == ("answer", query["span_id"], server["span_id"]), query
    assert query["verdict"]["kind"] == "queued" and " awaiting the answer of orders.db" in query["verdict"]["text"], query
    assert root["verdict"]["kind"] == "queued" and " in the call SELECT order to orders.db" in root["verdict"]["text"], root
    story = story_of(draw(daemon, facts["trace"]), "GET /order")
    assert re.search(rf"elsewhere +\d+ ms +\d+ %  in SELECT order to orders.db.* \(served by span {server['span_id']}\)",
                     story), story
    assert re.search(r"answered +\d+ ms +\d+ %  by scan table in database(, taken up .*)?: \d+ % waiting", story), story


def check_digest(daemon, facts, port):
    root = measured_spans(daemon, facts["trace"])["GET /digest"]
    check_span(root, grades=("exact", "bounded", "inferred"))
    longest = max(root["waits"], key=lambda wait: wait["ns"])
    assert (longest["reason"], longest["target"]) == ("poll", f"127.0.0.1:{port}"), root
    assert longest["ns"] >= DATABASE_S * 1e9 * MOSTLY, root
    assert re.search(rf" for events \((mostly )?127\.0\.0\.1:{port}\)", root["verdict"]["text"]), root
    story = story_of(draw(daemon, facts["trace"]), "GET /digest")
    assert re.search(rf"blocked +poll +127\.0\.0\.1:{port} ", story), story


def main():
    daemon = daemon_with_kernel("--settle-ms=500")
    with Service(daemon, "database") as server:
        port = server.told()
        with Service(daemon, "shop", str(port)) as client:
            asked = {word: client.ask(word) for word in ("report", "orders", "digest")}
            assert server.ask("go") == "done"
            check_report(daemon, asked["report"][0], port)
            check_digest(daemon, asked["digest"][0], port)
            for facts in asked["orders"]:
                check_order(daemon, facts)
    assert daemon.stop() == 0, daemon.log()


if len(sys.argv) > 2:
    {"database": database, "shop": shop}[sys.argv[1]](*sys.argv[2:])
else:
    run(main)
