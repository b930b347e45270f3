# SPDX-License-Identifier: Apache-2.0
"""A proxy that publishes nothing, or carries no span, between callers and a server of several threads, each request in a trace of its own: a
caller's wait leads through it to the span that worked on its request. Where several answers are at hand at once, and it
passes all of them on in one go, nobody's wait leads to the span of another one's answer."""

import queue
import selectors
import socket
import struct
import sys
import threading
import time

from daemon import daemon_with_kernel, run
from ledgers import check_span, measured_spans
from service import Service, Subject, ids, say, trace_to, wait_for_go, wait_until_published

CALLERS = 4
WORK_S = 0.06
ANSWER_S = 0.02  # from the first answer on, the proxy lets others come
MOSTLY = 0.5  # on a busy machine
TRIES = 5


def receive(peer, count):
    data = b""
    while len(data) < count:
        more = peer.recv(count - len(data))
        if not more:
            return None
        data += more
    return data


def connect(port):
    peer = socket.create_connection(("127.0.0.1", int(port)))
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def in_background(work, *arguments):
    threading.Thread(target=work, args=arguments, daemon=True).start()


def store(endpoint):
    """A thread for each connection."""
    from opentelemetry import trace

    provider = trace_to(endpoint, name="store")
    tracer = provider.get_tracer("store")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(peer):
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while (number := receive(peer, 4)) is not None:
            with tracer.start_as_current_span(f"serve {struct.unpack('>I', number)[0]}", kind=trace.SpanKind.SERVER):
                time.sleep(WORK_S)
                peer.send(number)

    def accept():
        while True:
            in_background(serve, listener.accept()[0])

    in_background(accept)
    say("started")
    say(listener.getsockname()[1])
    while wait_for_go() is not None:
        assert provider.force_flush()
        say("told")
    provider.shutdown()


def pass_on(selector, peers, port, answers):
    for key, _ in selector.select():
        if key.fileobj not in peers:
            one, other = key.fileobj.accept()[0], connect(port)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peers.update({one: other, other: one})
            answers.add(other)
            for peer in (one, other):
                selector.register(peer, selectors.EVENT_READ)
            continue
        if key.fileobj in answers:
            until = time.monotonic() + ANSWER_S
            while time.monotonic() < until:
                pass
        data = key.fileobj.recv(65536)
        if data:
            peers[key.fileobj].send(data)
        else:
            selector.unregister(key.fileobj)


def proxy(publishes, port, endpoint):
    if publishes:
        trace_to(endpoint, name="proxy")
    listener, selector = socket.create_server(("127.0.0.1", 0)), selectors.EpollSelector()
    selector.register(listener, selectors.EVENT_READ)
    say("started")
    say(listener.getsockname()[1])

    def loop():
        peers, answers = {}, set()
        while True:
            pass_on(selector, peers, port, answers)

    in_background(loop)
    wait_for_go()


def shop(port, endpoint):
    """As many calls at once as each word says; their numbers and traces."""
    from opentelemetry import trace

    provider = trace_to(endpoint, name="shop")
    tracer = provider.get_tracer("shop")
    todo, done = [queue.Queue() for _ in range(CALLERS)], queue.Queue()

    def call(peer, number):
        with tracer.start_as_current_span(f"call {number}", kind=trace.SpanKind.CLIENT) as span:
            peer.send(struct.pack(">I", number))
            receive(peer, 4)
        done.put((number, ids(span)["trace"]))

    def work(numbers):
        peer = connect(port)
        while True:
            call(peer, numbers.get())

    for numbers in todo:
        in_background(work, numbers)
    say("started")
    count = 0
    while (word := wait_for_go()) is not None:
        for numbers in todo[:int(word)]:
            numbers.put(count)
            count += 1
        told = [done.get() for _ in range(int(word))]
        assert provider.force_flush()
        say(told)
    provider.shutdown()


def links(daemon, number, trace):
    """ns of a call's links to spans that served, by whether it was its own."""
    span, found = measured_spans(daemon, trace)[f"call {number}"], {True: 0, False: 0}
    check_span(span)
    for link in span["links"]:
        name = daemon.get(f"/api/v1/spans/{link['trace_id']}/{link['span_id']}")[1]["name"]
        if name.startswith("serve"):
            found[name == f"serve {number}"] += link["ns"]
    print(number, span["wall_ns"], found)
    return found, span["wall_ns"]


def ask(daemon, server, client, count):
    told = client.ask(str(count))
    server.ask("tell")
    return [links(daemon, number, trace) for number, trace in told]


def check(daemon, publishes):
    with Service(daemon, "store") as server, \
            Subject(sys.executable, sys.argv[0], "proxy", publishes, str(server.told()), daemon.grpc) as between, \
            Service(daemon, "shop", str(between.told())) as client:
        if publishes:
            wait_until_published(daemon, between.pid)
        ask(daemon, server, client, CALLERS)  # it is known as a server from now on
        alone = [ask(daemon, server, client, 1)[0] for _ in range(TRIES)]
        assert any(found[True] >= wall_ns * MOSTLY for found, wall_ns in alone), alone
        assert not any(found[False] for found, _ in alone), alone
        together = [each for _ in range(TRIES) for each in ask(daemon, server, client, CALLERS)]
        assert not any(found[False] for found, _ in together), together
        assert any(found[True] for found, _ in together), together


def main():
    daemon = daemon_with_kernel("--settle-ms=500")
    check(daemon, "")
    check(daemon, "publishes")
    assert daemon.stop() == 0, daemon.log()


ROLES = {"store": store, "proxy": proxy, "shop": shop}

if len(sys.argv) > 2:
    ROLES[sys.argv[1]](*sys.argv[2:])
else:
    run(main)
