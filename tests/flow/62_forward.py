# SPDX-License-Identifier: Apache-2.0
"""Forwarding: everything received arrives at another endpoint, unchanged; whatever that one answers or does not, receiving
goes on; nothing is lost over a kill -9, and what retention drops is counted."""

import gzip
import http.server
import threading

from google.protobuf import unknown_fields
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from daemon import Daemon, export, one_span, request, run, trace_id, wait_for


class Sink:
    """Another OTLP/HTTP endpoint, which answers what the scenario wants."""

    def __init__(self):
        self.status, self.spans, self.messages, self.largest = 200, {}, [], 0
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Encoding"] == "gzip" and self.path == "/v1/traces"
                assert self.headers["Content-Type"] == "application/x-protobuf"
                status, answer = sink.take(gzip.decompress(body))
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1/traces"

    def take(self, body):
        message = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
        spans = [span for part in message.resource_spans for scope in part.scope_spans for span in scope.spans]
        if self.status == 413 and len(spans) == 1:
            self.status = 200
        if self.status != 200:
            return self.status, b""
        self.largest = max(self.largest, len(body))
        self.messages.append(message)
        for span in spans:
            self.spans[int.from_bytes(span.trace_id, "big")] = span
        return 200, b""


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
    sink.status = 503
    numbers = range(100, 140)
    send(daemon, numbers, size=1 << 20)
    wait_for(lambda: daemon.status()["storage"]["spans"] < 30, "old parts to be dropped")
    sink.status = 200
    wait_for(lambda: 139 in sink.spans, "the newest")
    arrived = [number for number in numbers if number in sink.spans]
    lost = daemon.metric("spanwise_forward_spans_total", 'result="dropped"')
    assert lost > 0 and daemon.has_logged("dropped by retention")
    now = daemon.metric("spanwise_forward_spans_total", 'result="sent"') - sent
    assert len(arrived) <= now, (len(arrived), now)
    # The one that was read when its part went may both arrive and count as dropped.
    assert len(numbers) <= len(arrived) + lost <= len(numbers) + 1, (len(arrived), lost)
    print(f"{len(arrived)} arrived, {lost:.0f} dropped, of {len(numbers)}")
    assert sink.largest < 4 << 20


def main():
    sink = Sink()
    options = ("--probe=off", "--forward=" + sink.url, "--max-data-mib=16", "--settle-ms=300")
    daemon = Daemon(*options)
    unchanged(daemon, sink)
    while_it_fails(daemon, sink)
    daemon = over_a_kill(daemon, sink, options)
    dropped(daemon, sink)
    assert daemon.stop() == 0, daemon.log()


run(main)
