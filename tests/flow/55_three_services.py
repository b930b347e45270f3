# SPDX-License-Identifier: Apache-2.0
"""Three services over HTTP with connections that are kept: `shop`, in a thread, asks a replica of `orders` that never
answers, gives up, and asks another one, an event loop, which asks `stock`, where a thread of a pool reads from the disk for
half a second. Why was it slow? From the first span on, `spanwise trace` says: so long timed out, and of the rest so long
the last one was itself blocked on the disk, as long as it says it was."""

import asyncio
import http.client
import http.server
import mmap
import os
import queue
import re
import socket
import sys
import tempfile
import threading
import time

from cli import spanwise
from daemon import daemon_with_kernel, run
from ledgers import blocked, check_span, measured_spans
from service import Service, ids, say, trace_to, wait_for_go

DISK_S, TIMEOUT_S = 0.5, 0.1
TABLE_BYTES, READ_BYTES = 32 << 20, 8 << 20
MOSTLY = 0.5  # on a busy machine
TRIES = 8  # where it is so busy that the last one waits for a CPU
ROUNDED = 0.005  # to three digits
SKEW_NS = 2000000  # of two processes' clocks
PARENT = "traceparent"
ANY = ("exact", "bounded", "inferred")


def call_in(tracer, name, port):
    from opentelemetry.trace import SpanKind

    return tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes={
        "server.address": "127.0.0.1", "server.port": port})


def serve_in(tracer, name, headers):
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind

    return tracer.start_as_current_span(name, context=extract(headers), kind=SpanKind.SERVER)


def headers_of_span():
    from opentelemetry.propagate import inject

    headers = {}
    inject(headers)
    return headers


# stock: a pool of threads, each with a connection.


def read_table(folder):
    """Past the page cache. How long it took."""
    start = time.monotonic()
    file = os.open(os.path.join(folder, "table"), os.O_RDONLY | os.O_DIRECT)
    with mmap.mmap(-1, READ_BYTES) as into:
        at = 0
        while time.monotonic() < start + DISK_S:
            assert os.preadv(file, [into], at) == READ_BYTES
            at = (at + READ_BYTES) % TABLE_BYTES
    os.close(file)
    return time.monotonic() - start


def write_table(folder):
    with open(os.path.join(folder, "table"), "wb") as file:
        file.write(os.urandom(1 << 20) * (TABLE_BYTES >> 20))
        os.fsync(file.fileno())


def stock(tracer, folder):
    took = []
    write_table(folder)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            with serve_in(tracer, "serve stock", self.headers):
                if self.path == "/stock":
                    with tracer.start_as_current_span("read table"):
                        took.append(read_table(folder))
                self.send_response(204)
                self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say("started")
    say(server.server_address[1])
    while wait_for_go() is not None:
        assert tracer.provider.force_flush()
        say(took[-1])


# orders: an event loop, with one connection to stock.


async def read_head(reader):
    """The first line, and the headers."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    return lines[0], dict(line.lower().split(": ", 1) for line in lines[1:] if line)


class Pool:
    def __init__(self, tracer, port):
        self.tracer, self.port, self.free = tracer, port, []

    async def get(self, path):
        with call_in(self.tracer, "GET " + path, self.port):
            reader, writer = self.free.pop() if self.free else await asyncio.open_connection("127.0.0.1", self.port)
            headers = "".join(f"{name}: {value}\r\n" for name, value in headers_of_span().items())
            writer.write(f"GET {path} HTTP/1.1\r\nhost: stock\r\n{headers}\r\n".encode())
            await read_head(reader)
            self.free.append((reader, writer))


def orders(tracer, port):
    pool = Pool(tracer, int(port))

    async def answer(reader, writer):
        while True:
            try:
                line, headers = await read_head(reader)
            except asyncio.IncompleteReadError:
                return
            with serve_in(tracer, "serve orders", headers):
                await pool.get(line.split()[1])
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async def serve():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        say("started")
        say(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    threading.Thread(target=asyncio.run, args=(serve(),), daemon=True).start()
    while wait_for_go() is not None:
        assert tracer.provider.force_flush()
        say("told")


# shop: a thread, a pool of connections, and a replica that never answers.


def get(tracer, name, pool, port, path):
    with call_in(tracer, name, port):
        connection = pool.get()
        connection.request("GET", path, headers=headers_of_span())
        try:
            connection.getresponse().read()
        except TimeoutError:
            connection.close()
            return False
        pool.put(connection)
        return True


def shop(tracer, port):
    from opentelemetry.trace import SpanKind

    pools = [queue.SimpleQueue(), queue.SimpleQueue()]
    say("started")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ports = silent.getsockname()[1], int(port)
        for each, to, timeout in zip(pools, ports, (TIMEOUT_S, None)):
            each.put(http.client.HTTPConnection("127.0.0.1", to, timeout=timeout))
        say(ports[0])
        while (path := wait_for_go()) is not None:
            with tracer.start_as_current_span("POST /order", kind=SpanKind.SERVER) as root:
                if path == "/stock":
                    assert not get(tracer, "GET first", pools[0], ports[0], path)
                assert get(tracer, "GET second", pools[1], ports[1], path)
            assert tracer.provider.force_flush()
            say(ids(root))


def service(name, about, endpoint):
    provider = trace_to(endpoint, name=name)
    tracer = provider.get_tracer(name)
    tracer.provider = provider
    {"shop": shop, "orders": orders, "stock": stock}[name](tracer, about)
    provider.shutdown()


# What must come out.


def link_ns(span, other, via):
    return sum(link["ns"] for link in span["links"] if (link["span_id"], link["via"]) == (other["span_id"], via))


def overlap_ns(a, b):
    starts, ends = zip(*((int(span["start_unix_ns"]), int(span["start_unix_ns"]) + span["wall_ns"]) for span in (a, b)))
    return min(ends) - max(starts)


def check_calls(spans, ports):
    """Each call leads to the span that answered it, for as long as that took."""
    for call, answer in (("GET second", "serve orders"), ("GET /stock", "serve stock")):
        call, answer = spans[call], spans[answer]
        assert abs(link_ns(call, answer, "parent") - overlap_ns(call, answer)) <= SKEW_NS, (call, answer)
    second = spans["GET second"]
    assert blocked(second, "net") >= second["wall_ns"] * MOSTLY, second
    assert max(second["waits"], key=lambda wait: wait["ns"])["target"] == f"127.0.0.1:{ports['orders']}", second
    assert link_ns(second, spans["serve orders"], "waker") >= blocked(second, "net") * MOSTLY, second
    awaited = max(spans["serve orders"]["ledger"]["elsewhere"], key=lambda item: item["ns"])
    assert (awaited["name"], awaited["peer"]) == ("GET /stock", f"127.0.0.1:{ports['stock']}"), awaited
    assert awaited["server_span_id"] == spans["serve stock"]["span_id"], (awaited, spans["serve stock"])


def check_disk(spans, took_s):
    """The program's own clock, around the reads: what it had a CPU for, or waited for one, was no wait for the disk."""
    disk = blocked(spans["read table"], "disk")
    ledger = spans["read table"]["ledger"]
    left = took_s * 1e9 - ledger["running_ns"] - ledger["runnable_ns"]
    assert abs(disk - left) <= took_s * 1e9 * 0.05 + ledger["uncertain_ns"], (took_s, spans["read table"])
    longest = max(spans["read table"]["waits"], key=lambda wait: wait["ns"])
    assert re.fullmatch("file table [0-9]+ on [0-9:]+", longest["target"]), longest
    assert {waker["kind"] for waker in longest["wakers"]} <= {"disk", "kernel", "thread"}, longest
    return disk


def told_ms(text):
    number, unit = text.split()
    return float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]


def check_story(said, spans, ports, disk_ns):
    """What is asked of the first span, and what it says. False: on a busy machine it was the CPU that was waited for."""
    TIME = r"([0-9.]+ [um]?s)"
    story = said[said.index("\nPOST /order (shop)"):].split("\n\n")[0]
    assert re.search(rf"net +127\.0\.0\.1:{ports['first']} .*  timed out\n", story), story
    served = spans["serve stock"]
    found = re.search(rf"{TIME} +\d+ %  by serve stock in stock(?:, taken up .* after the call began)?: (.*)", story)
    assert found and found.group(2) == served["verdict"]["text"], (story, served["verdict"])
    answered_ms = link_ns(spans["GET /stock"], served, "parent") / 1e6
    assert abs(told_ms(found.group(1)) - answered_ms) <= 1 + answered_ms * ROUNDED, (story, answered_ms)
    if served["verdict"]["kind"] != "waiting":
        return False
    of_disk = re.search(rf"{TIME} \(\d+ %\) for the disk \((?:mostly )?file table [0-9]+ on [0-9:]+\)", found.group(2))
    assert of_disk and abs(told_ms(of_disk.group(1)) - disk_ns / 1e6) <= 1 + disk_ns / 1e6 * ROUNDED, (story, disk_ns)
    return True


def play(daemon, shop, others):
    facts = shop.ask("/stock")
    took_s, _ = (other.ask("told") for other in others)
    return facts["trace"], took_s


def check(daemon, trace_id, took_s, ports):
    spans = measured_spans(daemon, trace_id)
    for span in spans.values():
        check_span(span, grades=ANY)
    check_calls(spans, ports)
    first = spans["GET first"]
    assert blocked(first, "net") >= TIMEOUT_S * 1e9 * MOSTLY, first
    assert ", until it timed out;" in first["verdict"]["text"], first["verdict"]
    disk_ns = check_disk(spans, took_s)
    status, said, failure = spanwise("trace", trace_id, api=daemon.api)
    assert status == 0, failure
    print(said)
    return check_story(said, spans, ports, disk_ns)


def main():
    daemon = daemon_with_kernel("--settle-ms=500")
    with tempfile.TemporaryDirectory() as folder, Service(daemon, "stock", folder) as stock:
        ports = {"stock": stock.told()}
        with Service(daemon, "orders", str(ports["stock"])) as orders:
            ports["orders"] = orders.told()
            with Service(daemon, "shop", str(ports["orders"])) as shop:
                ports["first"] = shop.told()
                shop.ask("/warm")  # the connections are made
                assert any(check(daemon, *play(daemon, shop, (stock, orders)), ports) for _ in range(TRIES))
    assert daemon.stop() == 0, daemon.log()


if len(sys.argv) == 4:
    service(*sys.argv[1:])
else:
    run(main)
