# SPDX-License-Identifier: Apache-2.0
"""Limits hold, and what waits behind them gets through when there is room: connections, descriptors, bytes."""

import shutil
import socket
import threading
import time

import grpc

from daemon import PATIENCE_S, Daemon, export, one_span, request, run, trace_id, wait_for
from frames import END_HEADERS, HEADERS, call_fields, frame, literal

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def connect(daemon):
    host, port = daemon.grpc.rsplit(":", 1)
    client = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
    client.sendall(PREFACE)
    return client


def connections(threads):
    """The limit is one for all threads: a place that comes free on one is taken on another."""
    daemon = Daemon("--probe=off", "--max-connections=3", f"--network-threads={threads}")
    idle = [connect(daemon) for _ in range(3)]
    for client in idle:
        assert client.recv(9)  # our SETTINGS: it has been accepted
    answers = []
    with daemon.channel() as channel:
        waiting = threading.Thread(
            target=lambda: answers.append(export(channel, request([one_span(1)]), wait_for_ready=True)),
            daemon=True)
        waiting.start()
        wait_for(lambda: daemon.has_logged("max_connections reached"), "the fourth to wait")
        assert not answers
        idle.pop().close()
        waiting.join(timeout=PATIENCE_S)
        assert answers
    assert daemon.trace(trace_id(1))
    for client in idle:
        client.close()
    assert daemon.stop() == 0, daemon.log()


def silent_ones():
    """All places are of clients who were served and said nothing since, and as many more of the kind wait: who comes behind them does not
    wait for one after the other."""
    daemon = Daemon("--probe=off", "--max-connections=128")
    host, port = daemon.http.rsplit(":", 1)

    def ask():
        client = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
        client.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n")
        return client

    silent = [ask() for _ in range(240)]
    last = ask()
    assert last.recv(4096).startswith(b"HTTP/1.1 200 "), "the last one is served"
    for client in [*silent, last]:
        client.close()
    assert daemon.stop() == 0, daemon.log()


def other_port():
    """All places are taken by strangers at one port, and more of them wait there: who comes to the other port gets in."""
    daemon = Daemon("--probe=off", "--max-connections=16", "--body-timeout-s=600")
    crowd = [connect(daemon) for _ in range(32)]
    for client in crowd:  # a call that does not go on
        client.sendall(frame(HEADERS, END_HEADERS, 1, literal(call_fields())))
    host, port = daemon.http.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    for client in crowd:
        client.close()
    assert daemon.stop() == 0, daemon.log()


def descriptors():
    if not shutil.which("prlimit"):
        return
    daemon = Daemon("--probe=off", prefix=["prlimit", "--nofile=240"])
    assert daemon.has_logged("max_connections: 60 in place of 512"), daemon.log()
    crowd = [connect(daemon) for _ in range(300)]
    wait_for(lambda: daemon.has_logged("max_connections reached"), "some to wait")
    assert daemon.get("/healthz")[0] == 200
    for client in crowd:
        client.close()
    with daemon.channel() as channel:
        export(channel, request([one_span(2)]), wait_for_ready=True)
    assert daemon.trace(trace_id(2))
    assert daemon.stop() == 0, daemon.log()


def send_until_taken(daemon, number, refused):
    message = request([one_span(number, "x" * 900000)])
    with daemon.channel() as channel:
        while True:
            try:
                export(channel, message)
                return
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.UNAVAILABLE, error
                assert b"RetryInfo" in dict(error.trailing_metadata())["grpc-status-details-bin"], error
                refused.append(number)
                time.sleep(0.05)


def bytes_in_flight():
    daemon = Daemon("--probe=off", "--max-request-mib=1", "--max-in-flight-mib=1", "--memory-limit-mib=128")
    refused = []
    clients = [threading.Thread(target=send_until_taken, args=(daemon, number, refused), daemon=True)
               for number in range(10, 34)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(timeout=PATIENCE_S)
        assert not client.is_alive()
    for number in range(10, 34):
        assert len(daemon.trace(trace_id(number))["spans"]) == 1
    print(f"{len(refused)} requests were sent away and came again")
    assert daemon.metric("spanwise_memory_part_bytes", 'part="in_flight"') == 0
    assert daemon.stop() == 0, daemon.log()


def main():
    connections(threads=1)
    connections(threads=3)
    silent_ones()
    other_port()
    descriptors()
    bytes_in_flight()


run(main)
