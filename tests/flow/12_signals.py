# SPDX-License-Identifier: Apache-2.0
"""SIGTERM waits for requests that run, but not for ever; a second signal does not wait at all."""

import signal
import socket

from daemon import PATIENCE_S, Daemon, run, wait_for

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def literal(name, value):
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


HEADERS = (literal(b":method", b"POST") + literal(b":authority", b"x") + literal(b":scheme", b"http")
           + literal(b":path", b"/opentelemetry.proto.collector.trace.v1.TraceService/Export")
           + literal(b"content-type", b"application/grpc"))


def half_a_request(daemon):
    host, port = daemon.grpc.rsplit(":", 1)
    client = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
    client.sendall(PREFACE + len(HEADERS).to_bytes(3, "big") + b"\x01\x04\x00\x00\x00\x01" + HEADERS)
    assert client.recv(9)
    return client


def main():
    daemon = Daemon("--probe=off")
    client = half_a_request(daemon)
    assert daemon.stop() == 0, daemon.log()
    assert daemon.has_logged("1 clients did not end in time"), daemon.log()
    client.close()

    daemon = Daemon("--probe=off")
    client = half_a_request(daemon)
    daemon.process.send_signal(signal.SIGTERM)
    wait_for(lambda: daemon.has_logged("stopping"), "the first signal")
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.wait() == -signal.SIGTERM
    client.close()

    daemon = Daemon("--probe=off")
    daemon.process.send_signal(signal.SIGINT)
    assert daemon.wait() == 0, daemon.log()


run(main)
