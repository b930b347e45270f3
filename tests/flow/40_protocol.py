# SPDX-License-Identifier: Apache-2.0
"""Clients that do it wrong get an answer that says so; everything else goes on."""

import gzip
import socket

import grpc

from daemon import PATIENCE_S, Daemon, expect_error, export, one_span, request, run, trace_id, wait_for

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def raw(channel, method, body):
    call = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
    return lambda: call(body, timeout=PATIENCE_S)


def unknown_methods(channel):
    for method in ("/opentelemetry.proto.collector.logs.v1.LogsService/Export", "/x", "/a/b"):
        expect_error(grpc.StatusCode.UNIMPLEMENTED, raw(channel, method, b""))


def not_protobuf(channel):
    for body in (b"\xff" * 100, b"\x0a\x05\x01", b"POST / HTTP/1.1"):
        expect_error(grpc.StatusCode.INVALID_ARGUMENT, raw(channel, EXPORT, body))


def too_large(channel):
    error = expect_error(grpc.StatusCode.RESOURCE_EXHAUSTED,
                         raw(channel, EXPORT, b"\x00" * ((1 << 20) + 1)))
    # Without RetryInfo: the same bytes will never pass.
    assert "grpc-status-details-bin" not in dict(error.trailing_metadata() or ()), error


def inflated_too_large(daemon):
    """64 KiB that become 64 MiB."""
    with grpc.insecure_channel(daemon.grpc, compression=grpc.Compression.Gzip) as channel:
        expect_error(grpc.StatusCode.RESOURCE_EXHAUSTED, raw(channel, EXPORT, b"\x00" * (64 << 20)))


def partial_success(channel):
    good, bad = one_span(5), one_span(6)
    bad = (b"\x00" * 16, *bad[1:])
    answer = export(channel, request([good, bad]))
    assert answer.partial_success.rejected_spans == 1, answer
    assert answer.partial_success.error_message == "1 span rejected: trace id is zero (1)", answer


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def connect(daemon):
    host, port = daemon.grpc.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=PATIENCE_S)


def literal(name, value):
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


HEADERS = (literal(b":method", b"POST") + literal(b":authority", b"x") + literal(b":scheme", b"http") + literal(b":path", EXPORT.encode())
           + literal(b"content-type", b"application/grpc") + literal(b"te", b"trailers"))
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")


def bad_gzip(daemon):
    """A message that says it is gzip and is not: answered on that stream alone."""
    body = gzip.compress(b"x" * 100)[:-9] + b"garbage!!"
    message = b"\x01" + len(body).to_bytes(4, "big") + body
    with connect(daemon) as client:
        client.sendall(PREFACE + frame(1, 4, 1, HEADERS + literal(b"grpc-encoding", b"gzip"))
                       + frame(0, 1, 1, message))
        wait_for(lambda: daemon.metric("spanwise_grpc_replies_total", 'code="INTERNAL"') == 1, "an answer")


def vanishing_clients(daemon):
    """Ends in the middle of everything: of the preface, of a frame, of a message."""
    whole = PREFACE + frame(1, 4, 1, HEADERS) + frame(0, 0, 1, b"\x00\x00\x01\x00\x00" + b"x" * 500)
    for length in (0, 5, len(PREFACE), len(PREFACE) + 4, len(whole) - 300, len(whole)):
        with connect(daemon) as client:
            client.sendall(whole[:length])


def http_1(daemon):
    with connect(daemon) as client:
        client.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 4")


def main():
    daemon = Daemon("--max-request-mib=1", "--probe=off", "--settle-ms=300")
    with daemon.channel() as channel:
        unknown_methods(channel)
        not_protobuf(channel)
        too_large(channel)
        inflated_too_large(daemon)
        partial_success(channel)
        bad_gzip(daemon)
        vanishing_clients(daemon)
        http_1(daemon)
        # The empty request is a good one, and the connection has outlived all that.
        assert not export(channel, request([])).partial_success.rejected_spans
        export(channel, request([one_span(7)]))
    assert daemon.trace(trace_id(5)) and daemon.trace(trace_id(7))
    assert daemon.metric("spanwise_receiver_accepted_spans_total") == 2
    assert daemon.metric("spanwise_receiver_rejected_spans_total", 'reason="trace_id_zero"') == 1
    wait_for(lambda: daemon.settled(trace_id(7)), "a ledger without a kernel")
    assert daemon.stop() == 0, daemon.log()


run(main)
