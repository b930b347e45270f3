# SPDX-License-Identifier: Apache-2.0
"""A server that publishes nothing and answers whom it can, in one loop: a request that had to wait for somebody else's is
told by whose it was ended; one that the server itself took its time for is nobody's, whoever asked meanwhile."""

import selectors
import socket
import sys
import threading
import time

from daemon import daemon_with_kernel, run
from ledgers import blocked, check_span, measured_spans
from service import Service, Subject, ids, say, trace_to, wait_for_go

WAIT_S = 0.15
MOSTLY = 0.7  # on a busy machine
OWN_WORK_S = 0.005
RECVFROM = "45 "


# The server, in a process of its own: b"t" takes what b"p" puts, b"l" is answered later, b"n" at once.


class Server:
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.loop = selectors.DefaultSelector()
        self.loop.register(self.listener, selectors.EVENT_READ)
        self.takers, self.later = [], []

    def ask(self, connection):
        word = connection.recv(1)
        if not word:
            self.loop.unregister(connection)
            connection.close()
        elif word == b"t":
            self.takers.append(connection)
        elif word == b"l":
            self.later.append((time.monotonic() + WAIT_S, connection))
        else:
            if word == b"p":
                self.takers.pop().send(b"x")
            connection.send(b"x")

    def serve(self):
        say("started")
        say(self.listener.getsockname()[1])
        while True:
            now = time.monotonic()
            for due, connection in [one for one in self.later if one[0] <= now]:
                self.later.remove((due, connection))
                # What it takes its time for: a timer ends that, also where somebody's question had it woken for this.
                time.sleep(OWN_WORK_S)
                connection.send(b"x")
            for key, _ in self.loop.select(self.later[0][0] - now if self.later else None):
                if key.fileobj is self.listener:
                    self.loop.register(self.listener.accept()[0], selectors.EVENT_READ)
                else:
                    self.ask(key.fileobj)


# The service: two threads, each with a connection.


def ask(port, word):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.send(word)
        assert connection.recv(1) == b"x"


def is_receiving(tid):
    with open(f"/proc/self/task/{tid}/syscall") as file:
        return file.read().startswith(RECVFROM)


def two_requests(tracer, port, first, second):
    about, tid = {}, threading.get_native_id()

    def other():
        while not is_receiving(tid):
            time.sleep(0.001)
        time.sleep(WAIT_S / 2)
        with tracer.start_as_current_span("second") as span:
            about["second"] = ids(span)
            ask(port, second)

    ask(port, b"l")  # waited for, so from now on it is known as a server
    thread = threading.Thread(target=other)
    thread.start()
    with tracer.start_as_current_span("first") as span:
        about["first"] = ids(span)
        ask(port, first)
    thread.join()
    return about


def service(port, endpoint):
    provider = trace_to(endpoint)
    tracer = provider.get_tracer("subject")
    say("started")
    while (words := wait_for_go()) is not None:
        facts = two_requests(tracer, int(port), *words.encode().split())
        assert provider.force_flush()
        say(facts)
    provider.shutdown()


# What must come out.


def first_of(daemon, facts):
    span = measured_spans(daemon, facts["first"]["trace"])["first"]
    check_span(span)
    assert blocked(span, "net") >= WAIT_S / 2 * 1e9 * MOSTLY, span
    print(facts, span["waits"], span["links"])
    return [(link["trace_id"], link["span_id"]) for link in span["links"] if link["via"] == "chain"]


def main():
    daemon = daemon_with_kernel("--settle-ms=300")
    server = Subject(sys.executable, sys.argv[0], "serve")
    with Service(daemon, str(server.told())) as client:
        facts = client.ask("t p")
        assert first_of(daemon, facts) == [(facts["second"]["trace"], facts["second"]["span"])], facts
        facts = client.ask("l n")
        assert first_of(daemon, facts) == [], facts
    server.process.kill()
    assert daemon.stop() == 0, daemon.log()


if len(sys.argv) > 1 and sys.argv[1] == "serve":
    Server().serve()
elif len(sys.argv) == 3:
    service(*sys.argv[1:])
else:
    run(main)
