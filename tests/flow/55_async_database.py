# SPDX-License-Identifier: Apache-2.0
"""A service with a real PostgreSQL: in an event loop, where no thread waits for it, the call has the time, in the request's
ledger and in its own, and what waits for a connection of the pool has not; in a thread, the socket has it, of the query
and of a row that somebody else has locked: the server's process ended it, and who let go of the row was behind that."""

import asyncio
import atexit
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

from cli import spanwise
from daemon import daemon_with_kernel, run, skip, temporary_folder
from ledgers import blocked, check_span, measured_spans
from service import Service, ids, say, spin, trace_to, wait_for_go

POSTGRES = Path(__file__).parents[2] / "deploy/demo/private_postgres"
QUERY_S = 0.15
CONNECTIONS, REQUESTS = 2, 3
MOSTLY = 0.7  # on a busy machine


def start_postgres():
    folder = temporary_folder()
    started = subprocess.run([POSTGRES, "start", folder], capture_output=True, text=True)
    if started.returncode:
        skip(started.stderr.strip())
    atexit.register(subprocess.run, [POSTGRES, "stop", folder])
    return started.stdout.strip()


# The service.


def call(tracer, name, port):
    from opentelemetry.trace import SpanKind

    return tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes={
        "server.address": "orders.db", "server.port": port})


async def order(tracer, pool, port):
    with tracer.start_as_current_span("GET /order") as root:
        spin(1_000_000)
        async with pool.acquire() as connection:
            with call(tracer, "SELECT orders", port):
                await connection.fetch(f"SELECT pg_sleep({QUERY_S})")
    return ids(root)


async def orders(tracer, url, port):
    import asyncpg

    async with asyncpg.create_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
        return await asyncio.gather(*(order(tracer, pool, port) for _ in range(REQUESTS)))


def let_go(tracer, theirs, about):
    time.sleep(QUERY_S)
    with tracer.start_as_current_span("POST /count") as span:
        about.update(ids(span), tid=threading.get_native_id())
        theirs.commit()


def stock(tracer, url, port):
    """Somebody else has the row for a while."""
    import psycopg2

    with psycopg2.connect(url) as ours, psycopg2.connect(url) as theirs:
        us, them = ours.cursor(), theirs.cursor()
        them.execute("CREATE TABLE stock (number int); INSERT INTO stock VALUES (1)")
        theirs.commit()
        them.execute("SELECT * FROM stock FOR UPDATE")
        with tracer.start_as_current_span("POST /stock") as root:
            with call(tracer, "SELECT prices", port):
                us.execute(f"SELECT pg_sleep({QUERY_S})")
            about = {}
            release = threading.Thread(target=let_go, args=(tracer, theirs, about))
            release.start()
            with call(tracer, "UPDATE stock", port):
                us.execute("UPDATE stock SET number = 2")
        release.join()
        theirs_pid, ours_pid = theirs.info.backend_pid, ours.info.backend_pid
    return [{**ids(root), "release": about, "backend": ours_pid, "backend_of_release": theirs_pid}]


def shop(url, endpoint):
    provider = trace_to(endpoint, name="shop")
    tracer = provider.get_tracer("shop")
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    say("started")
    while (word := wait_for_go()) is not None:
        facts = asyncio.run(orders(tracer, url, port)) if word == "orders" else stock(tracer, url, port)
        assert provider.force_flush()
        say(facts)
    provider.shutdown()


# What must come out.


def check_order(daemon, facts, peer):
    """How long it waited for a connection, about."""
    spans = measured_spans(daemon, facts["trace"])
    root, query = spans["GET /order"], spans["SELECT orders"]
    for span in (root, query):
        check_span(span, grades=("exact", "bounded", "inferred"))
    own = max(query["ledger"]["elsewhere"], key=lambda item: item["ns"])
    assert (own["kind"], own["span_id"], own["peer"]) == ("answer", query["span_id"], peer), query
    assert own["ns"] >= QUERY_S * 1e9 * MOSTLY, query
    assert "awaiting the answer of " + peer in query["verdict"]["text"], query
    items = {item["kind"]: item for item in root["ledger"]["elsewhere"]}
    assert (items["child"]["span_id"], items["child"]["peer"]) == (query["span_id"], peer), root
    assert abs(items["child"]["ns"] - own["ns"]) <= root["ledger"]["uncertain_ns"] + query["ledger"]["uncertain_ns"], spans
    waited = items.get("uncovered", {"ns": 0})["ns"]
    if items["child"]["ns"] > waited:
        assert f" in the call SELECT orders to {peer}" in root["verdict"]["text"], root
    return waited


def check_stock(daemon, facts, port):
    spans = measured_spans(daemon, facts["trace"])
    for name in ("SELECT prices", "UPDATE stock"):
        span = spans[name]
        check_span(span)
        assert blocked(span, "net") >= QUERY_S * 1e9 * MOSTLY, span
        longest = max(span["waits"], key=lambda wait: wait["ns"])
        assert (longest["reason"], longest["target"]) == ("net", f"127.0.0.1:{port}"), span
        assert {waker["kind"] for waker in longest["wakers"]} <= {"network"}, span
        assert re.search(rf"for the network \(127\.0\.0\.1:{port}\)", span["verdict"]["text"]), span
    check_row(spans["UPDATE stock"], facts)
    status, said, failure = spanwise("trace", facts["trace"], api=daemon.api)
    assert status == 0, failure
    print(said)
    assert "which waited for postgres/" in said, said


def check_row(span, facts):
    """The one that had the row, and the span that made it let go."""
    longest = max(span["waits"], key=lambda wait: wait["ns"])
    release = (facts["release"]["trace"], facts["release"]["span"])
    assert [waker["pid"] for waker in longest["wakers"]] == [facts["backend"]], (facts, longest)
    assert [holder["kind"] for holder in longest["holders"]] == ["behind"], (facts, longest)
    holder = longest["holders"][0]
    assert holder["pid"] == facts["backend_of_release"], (facts, longest)
    assert (holder["trace_id"], holder["span_id"]) == release, (facts, longest)
    assert holder["ns"] >= QUERY_S * 1e9 * MOSTLY, longest
    assert [(link["trace_id"], link["span_id"]) for link in span["links"] if link["via"] == "chain"] == [release], span
    assert ", woken by postgres, which waited for postgres" in span["verdict"]["text"], span


def main():
    url = start_postgres()
    port = url.rsplit(":", 1)[1].split("/")[0]
    daemon = daemon_with_kernel("--settle-ms=300")
    with Service(daemon, "shop", url) as client:
        waited = [check_order(daemon, facts, f"orders.db:{port}") for facts in client.ask("orders")]
        assert max(waited) >= QUERY_S * 1e9 * MOSTLY, waited
        for facts in client.ask("stock"):
            check_stock(daemon, facts, port)
    assert daemon.stop() == 0, daemon.log()


if len(sys.argv) > 2:
    shop(*sys.argv[2:])
else:
    run(main)
