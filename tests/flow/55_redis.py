# SPDX-License-Identifier: Apache-2.0
"""A real Redis, which publishes nothing, behind two threads of a service: who waits for an element of a list waits for the
span that pushed it; who waits while the server itself is slow waits for nobody else's, whoever asked meanwhile."""

import atexit
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

from daemon import daemon_with_kernel, run, skip, temporary_folder, wait_for
from ledgers import blocked, check_span, measured_spans
from service import Service, ids, say, trace_to, wait_for_go

WAIT_S = 0.15
MOSTLY = 0.7  # on a busy machine


def start_redis():
    path = os.path.join(temporary_folder(), "redis.sock")
    server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no",
                               "--enable-debug-command", "yes"], stdout=subprocess.DEVNULL)
    atexit.register(server.kill)
    wait_for(lambda: os.path.exists(path), "redis")
    return server, path


# The service: two threads, each with a connection.


def ask(connection, *words):
    connection.sendall(f"*{len(words)}\r\n".encode() + b"".join(f"${len(word)}\r\n{word}\r\n".encode() for word in words))
    answer = connection.recv(4096)
    assert answer and not answer.startswith(b"-"), answer


def connect(path):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    ask(connection, "DEBUG", "SLEEP", "0.05")  # waited for, so from now on it is known as a server
    return connection


def two_requests(tracer, path, first, second):
    about, ours, theirs = {}, connect(path), connect(path)

    def other():
        time.sleep(WAIT_S)
        with tracer.start_as_current_span("second") as span:
            about["second"] = ids(span)
            ask(theirs, *second)

    thread = threading.Thread(target=other)
    thread.start()
    with tracer.start_as_current_span("first") as span:
        about["first"] = ids(span)
        ask(ours, *first)
    thread.join()
    return about


WORDS = {"list": (("BLPOP", "jobs", "0"), ("RPUSH", "jobs", "1")),
         "slow": (("DEBUG", "SLEEP", str(2 * WAIT_S)), ("PING",))}


def service(path, endpoint):
    provider = trace_to(endpoint)
    tracer = provider.get_tracer("subject")
    say("started")
    while (word := wait_for_go()) is not None:
        facts = two_requests(tracer, path, *WORDS[word])
        assert provider.force_flush()
        say(facts)
    provider.shutdown()


# What must come out.


def first_of(daemon, facts, pid):
    span = measured_spans(daemon, facts["first"]["trace"])["first"]
    check_span(span)
    assert blocked(span, "net") >= WAIT_S * 1e9 * MOSTLY, span
    wait = max(span["waits"], key=lambda wait: wait["ns"])
    assert max(wait["wakers"], key=lambda waker: waker["ns"])["pid"] == pid, span["waits"]
    return [(link["trace_id"], link["span_id"]) for link in span["links"] if link["via"] == "chain"]


def main():
    if not shutil.which("redis-server"):
        skip("no redis-server here")
    daemon = daemon_with_kernel("--settle-ms=300")
    server, path = start_redis()
    with Service(daemon, path) as client:
        facts = client.ask("list")
        assert first_of(daemon, facts, server.pid) == [(facts["second"]["trace"], facts["second"]["span"])], facts
        facts = client.ask("slow")
        assert first_of(daemon, facts, server.pid) == [], facts
    server.kill()
    assert daemon.stop() == 0, daemon.log()


if len(sys.argv) == 3:
    service(*sys.argv[1:])
else:
    run(main)
