# SPDX-License-Identifier: Apache-2.0
"""A request that one process sends and another one answers, which spends its time on the disk: the caller's wait for
the network leads to the span that answered, in the API and in `spanwise trace`, and that one says what it did."""

import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time

from daemon import BINARY, PATIENCE_S, daemon_with_kernel, run
from ledgers import blocked, check_span, measured_spans
from service import Service, ids, say, trace_to, wait_for_go

DISK_S = 0.2
# of the server's time, on a busy machine
MOSTLY = 0.5
SKEW_NS = 2000000  # of two processes' clocks, and of what is told in whole ms


def write_for_a_while(folder):
    """Each write must reach the disk."""
    with open(os.path.join(folder, "rows"), "wb") as file:
        end = time.monotonic() + DISK_S
        while time.monotonic() < end:
            file.seek(0)
            file.write(b"x" * (1 << 20))
            file.flush()
            os.fsync(file.fileno())


def answer(tracer, folder, peer):
    """The context comes as 24 bytes."""
    from opentelemetry import trace

    trace_id, span_id = struct.unpack(">16s8s", peer.recv(24))
    above = trace.SpanContext(int.from_bytes(trace_id, "big"), int.from_bytes(span_id, "big"), True, trace.TraceFlags(1))
    context = trace.set_span_in_context(trace.NonRecordingSpan(above))
    with tracer.start_as_current_span("SELECT rows", context=context, kind=trace.SpanKind.SERVER):
        write_for_a_while(folder)
        peer.send(b"x")


def database(folder, endpoint):
    provider = trace_to(endpoint, name="database")
    tracer = provider.get_tracer("database")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        say("started")
        say(listener.getsockname()[1])
        while wait_for_go() is not None:
            with listener.accept()[0] as peer:
                answer(tracer, folder, peer)
            assert provider.force_flush()
            say("done")
    provider.shutdown()


def shop(port, endpoint):
    from opentelemetry import trace

    provider = trace_to(endpoint, name="shop")
    tracer = provider.get_tracer("shop")
    say("started")
    while wait_for_go() is not None:
        with tracer.start_as_current_span("GET /report", kind=trace.SpanKind.SERVER) as root:
            with tracer.start_as_current_span("query", kind=trace.SpanKind.CLIENT) as span:
                of = span.get_span_context()
                with socket.create_connection(("127.0.0.1", int(port))) as peer:
                    peer.send(of.trace_id.to_bytes(16, "big") + of.span_id.to_bytes(8, "big"))
                    peer.recv(1)
        assert provider.force_flush()
        say(ids(root))
    provider.shutdown()


def start(span):
    return int(span["start_unix_ns"])


def end(span):
    return start(span) + span["wall_ns"]


def check_links(spans):
    root, query, select = (spans[name] for name in ("GET /report", "query", "SELECT rows"))
    for span in spans.values():
        check_span(span)
    # of the disk it sees no more than modules of its own that it reads
    assert blocked(root, "net") >= query["wall_ns"] * MOSTLY > 4 * blocked(root, "disk"), root
    # on a busy machine it also waits for a CPU, and runs slowly
    rest = select["wall_ns"] - select["ledger"]["runnable_ns"] - select["ledger"]["running_ns"]
    assert blocked(select, "disk") >= max(1, rest * MOSTLY), select
    links = {link["via"]: link for link in query["links"] if link["span_id"] == select["span_id"]}
    # the server's time within the call, which may end before it; and it is the server that woke the caller
    within = min(end(query), end(select)) - max(start(query), start(select))
    assert abs(links["parent"]["ns"] - within) <= SKEW_NS, (query, select)
    assert links["waker"]["ns"] >= blocked(query, "net") * MOSTLY, (query, select)


def check_story(daemon, trace_id, spans):
    """Below the caller's waits: who answered, how long, and what that did all the while."""
    said = subprocess.run([BINARY, "trace", trace_id, "--api=" + daemon.api], capture_output=True, text=True, check=True,
                          timeout=PATIENCE_S).stdout
    print(said)
    for name in ("GET /report", "query"):
        story = said[said.index(f"\n{name} ("):].split("\n\n")[0]
        found = re.search(r"answered +([0-9.]+) ms +[0-9.]+ % +by SELECT rows in database(?:, taken up .* after the call began)?: (.*)", story)
        assert found and found.group(2) == spans["SELECT rows"]["verdict"]["text"], story
        answered = next(link["ns"] for link in spans["query"]["links"] if link["via"] == "parent")
        assert abs(float(found.group(1)) - answered / 1e6) <= 1, story
    story = said[said.index("\nSELECT rows ("):].split("\n\n")[0]
    assert re.search(r"blocked +disk +file rows", story), story


def main():
    daemon = daemon_with_kernel("--settle-ms=500")
    with tempfile.TemporaryDirectory() as folder, Service(daemon, "database", folder) as server:
        port = server.told()
        with Service(daemon, "shop", str(port)) as client:
            server.go()
            facts = client.ask("go")
            assert server.told() == "done"
            spans = measured_spans(daemon, facts["trace"])
            check_links(spans)
            check_story(daemon, facts["trace"], spans)
    assert daemon.stop() == 0, daemon.log()


if len(sys.argv) == 4:
    {"database": database, "shop": shop}[sys.argv[1]](*sys.argv[2:])
else:
    run(main)
