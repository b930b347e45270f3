# SPDX-License-Identifier: Apache-2.0
"""Forwarding, over HTTP and gRPC: everything received arrives at another endpoint, unchanged; whatever that one answers or does
not, receiving goes on; nothing is lost over a kill -9, and what retention drops is counted."""

import concurrent.futures
import gzip
import http.server
import os
import threading

import grpc
from google.protobuf import unknown_fields
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from certificates import make_ca, make_certificate
from daemon import Daemon, export, one_span, request, run, temporary_folder, trace_id, wait_for


TOKEN = "a-token-of-some-length-0123456789"


class Sink:
    """Another OTLP endpoint, which answers what the scenario wants."""

    def __init__(self):
        self.status, self.spans, self.messages, self.largest, self.most, self.headers = 200, {}, [], 0, 0, {}
        self.serve()

    def take(self, body):
        message = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
        spans = [span for part in message.resource_spans for scope in part.scope_spans for span in scope.spans]
        if self.status == 413 and len(spans) == 1:
            self.status = 200
        if self.status != 200:
            return self.status
        self.largest, self.most = max(self.largest, len(body)), max(self.most, len(spans))
        self.messages.append(message)
        for span in spans:
            self.spans[int.from_bytes(span.trace_id, "big")] = span
        return 200


class HttpSink(Sink):
    def serve(self):
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Encoding"] == "gzip" and self.path == "/v1/traces"
                assert self.headers["Content-Type"] == "application/x-protobuf"
                sink.headers = {name.lower(): value for name, value in self.headers.items()}
                self.send_response(sink.take(gzip.decompress(body)))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1/traces"


class GrpcSink(Sink):
    CODES = {503: grpc.StatusCode.UNAVAILABLE, 400: grpc.StatusCode.INVALID_ARGUMENT, 413: grpc.StatusCode.RESOURCE_EXHAUSTED}

    def __init__(self, credentials=None, port=0):
        self.credentials, self.port = credentials, port
        super().__init__()

    def serve(self):
        handler = grpc.unary_unary_rpc_method_handler(self.export, request_deserializer=bytes, response_serializer=bytes)
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", 4 << 20)])
        self.server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(
            "opentelemetry.proto.collector.trace.v1.TraceService", {"Export": handler})])
        if self.credentials:
            self.url = f"grpcs://localhost:{self.server.add_secure_port('localhost:0', self.credentials)}"
        else:
            self.url = f"grpc://127.0.0.1:{self.server.add_insecure_port(f'127.0.0.1:{self.port}')}"
        self.server.start()

    def export(self, body, context):
        self.headers = dict(context.invocation_metadata())
        assert 5 < context.time_remaining() <= 10, context.time_remaining()
        status = self.take(body)
        if status == 200:
            return b""
        details = [error_details_pb2.RetryInfo()] if status == 503 else []
        message = status_pb2.Status(code=self.CODES[status].value[0], message="not now")
        for each in details:
            each.retry_delay.FromMilliseconds(300)
            message.details.add().Pack(each)
        context.set_trailing_metadata([("grpc-status-details-bin", message.SerializeToString())])
        context.abort(self.CODES[status], "not now")


def rich(number):
    message = request([one_span(number)], **{"host.name": "here"})
    part = message.resource_spans[0]
    part.schema_url = "https://example/1"
    part.scope_spans[0].scope.name = "flow"
    span = part.scope_spans[0].spans[0]
    span.trace_state, span.flags, span.dropped_links_count = "a=b", 0x101, 3
    span.events.add(name="begun", time_unix_nano=5).attributes.add(key="e").value.bytes_value = b"\0\1"
    span.links.add(trace_id=b"\2" * 16, span_id=b"\3" * 8, trace_state="c=d")
    span.attributes.add(key="list").value.array_value.values.add().int_value = -1
    span.attributes.add(key="empty")
    return trace_service_pb2.ExportTraceServiceRequest.FromString(
        message.SerializeToString())


def send(daemon, numbers, size=0):
    with daemon.channel() as channel:
        for number in numbers:
            export(channel, request([one_span(number, "x" * size if size else "GET /")]))


def unchanged(daemon, sink):
    message = rich(1)
    # A field that nobody knows yet, in the span.
    raw = message.resource_spans[0].scope_spans[0].spans[0].SerializeToString() + b"\xc2\x3e\x03new"
    message.resource_spans[0].scope_spans[0].spans[0].ParseFromString(raw)
    with daemon.channel() as channel:
        export(channel, message)
    wait_for(lambda: 1 in sink.spans, "the first span at the other end")
    assert sink.messages[0] == message, (sink.messages[0], message)
    assert len(unknown_fields.UnknownFieldSet(sink.spans[1])) == 1


def while_it_fails(daemon, sink):
    sink.status = 503
    send(daemon, range(10, 20))
    wait_for(lambda: daemon.metric("spanwise_forward_retries_total") > 0, "a retry")
    assert daemon.trace(trace_id(19)), "receiving does not wait"
    sink.status = 200
    wait_for(lambda: all(number in sink.spans for number in range(10, 20)), "what waited")
    sink.status = 400
    send(daemon, [20])
    wait_for(lambda: daemon.metric("spanwise_forward_spans_total", 'result="refused"') == 1, "a refusal for good")
    sink.status = 413
    with daemon.channel() as channel:
        export(channel, request([one_span(number) for number in range(30, 38)]))
    wait_for(lambda: all(number in sink.spans for number in range(30, 38)), "a batch in smaller pieces")
    assert 20 not in sink.spans


def over_a_kill(daemon, sink, options):
    sink.status = 503
    send(daemon, range(40, 60))
    daemon.kill()
    sink.status = 200
    daemon = Daemon(*options, data=daemon.data)
    wait_for(lambda: all(number in sink.spans for number in range(40, 60)), "what was stored before the kill")
    return daemon


def dropped(daemon, sink):
    """The disk's share is used up while nobody takes anything: the oldest go, and are counted."""
    sent = daemon.metric("spanwise_forward_spans_total", 'result="sent"')
    sink.status, sink.most = 503, 0
    numbers = range(100, 140)
    send(daemon, numbers, size=1 << 20)
    wait_for(lambda: daemon.status()["storage"]["spans"] < 30, "old parts to be dropped")
    sink.status = 200
    wait_for(lambda: 139 in sink.spans, "the newest")
    arrived = [number for number in numbers if number in sink.spans]
    lost = daemon.metric("spanwise_forward_spans_total", 'result="dropped"')
    assert lost > 0 and daemon.has_logged("dropped by retention")
    wait_for(lambda: daemon.metric("spanwise_forward_spans_total", 'result="sent"') - sent >= len(arrived), "what arrived to be counted")
    # Those that were read, for one request, when their part went may both arrive and count as dropped.
    assert len(numbers) <= len(arrived) + lost <= len(numbers) + sink.most, (len(arrived), lost, sink.most)
    assert sink.most <= 3, "of a MiB each"
    print(f"{len(arrived)} arrived, {lost:.0f} dropped, of {len(numbers)}")
    assert sink.largest < 4 << 20


def tls():
    """grpcs, checked by an authority of its own, with a certificate of ours."""
    folder = temporary_folder()
    make_ca(folder, "ca")
    for name in ("server", "client"):
        make_certificate(folder, name, "ca")

    def read(name):
        with open(os.path.join(folder, name), "rb") as file:
            return file.read()

    sink = GrpcSink(grpc.ssl_server_credentials([(read("server.key"), read("server.pem"))], read("ca.pem"), True))
    files = [f"--forward-tls-{option}={folder}/{name}" for option, name in
             (("ca", "ca.pem"), ("cert", "client.pem"), ("key", "client.key"))]
    daemon = Daemon("--probe=off", "--forward=" + sink.url, *files)
    for number in (1, 2, 3):  # on one connection
        send(daemon, [number])
        wait_for(lambda number=number: number in sink.spans, "a span over mTLS")
    assert daemon.metric("spanwise_forward_retries_total") == 0, daemon.log()
    assert daemon.stop() == 0, daemon.log()
    daemon = Daemon("--probe=off", "--forward=" + sink.url)
    send(daemon, [4])
    wait_for(lambda: daemon.has_logged("certificate"), "a refusal of what an unknown authority signed")
    assert 4 not in sink.spans and daemon.stop() == 0, daemon.log()


def credentials(sink):
    """A token, read again when its file changes, and other headers."""
    path = os.path.join(temporary_folder(), "token")

    def write(text):
        with open(path + ".new", "w") as file:
            file.write(text + "\n")
        os.rename(path + ".new", path)

    write(TOKEN)
    daemon = Daemon("--probe=off", "--forward=" + sink.url, "--forward-token=" + path, "--forward-headers=x-scope-orgid=a, x-b=c d")
    send(daemon, [900])
    wait_for(lambda: 900 in sink.spans, "a span with a token")
    assert sink.headers["authorization"] == "Bearer " + TOKEN and sink.headers["user-agent"].startswith("OTel-OTLP-Exporter-spanwise/")
    assert (sink.headers["x-scope-orgid"], sink.headers["x-b"]) == ("a", "c d"), sink.headers
    write(TOKEN[::-1])
    send(daemon, [901])
    wait_for(lambda: 901 in sink.spans, "a span with the new token")
    assert sink.headers["authorization"] == "Bearer " + TOKEN[::-1]
    assert daemon.stop() == 0, daemon.log()


def absent(sink):
    """Nobody listens where it goes to; then somebody does."""
    sink.server.stop(0).wait()
    daemon = Daemon("--probe=off", "--forward=" + sink.url)
    send(daemon, [950])
    wait_for(lambda: daemon.metric("spanwise_forward_retries_total") > 0, "a retry")
    again = GrpcSink(port=int(sink.url.rsplit(":", 1)[1]))
    wait_for(lambda: 950 in again.spans, "what waited for somebody to listen")
    assert daemon.stop() == 0, daemon.log()


def refusals():
    for value, text in (("10.0.0.9:4317", "is no endpoint"), ("grpc://", "is no endpoint"), ("ftp://x", "is no endpoint")):
        daemon = Daemon("--probe=off", "--forward=" + value, wait=False)
        assert daemon.wait() != 0 and daemon.has_logged(text), daemon.log()
    daemon = Daemon("--probe=off", "--forward=grpc://localhost:1", "--forward-headers=no equals sign", wait=False)
    assert daemon.wait() != 0 and daemon.has_logged("name=value"), daemon.log()


def main():
    for sink in (HttpSink(), GrpcSink()):
        options = ("--probe=off", "--forward=" + sink.url, "--max-data-mib=16", "--settle-ms=300")
        daemon = Daemon(*options)
        unchanged(daemon, sink)
        while_it_fails(daemon, sink)
        daemon = over_a_kill(daemon, sink, options)
        dropped(daemon, sink)
        assert daemon.stop() == 0, daemon.log()
        credentials(sink)
    absent(sink)
    tls()
    refusals()


run(main)
