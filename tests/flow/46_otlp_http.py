# SPDX-License-Identifier: Apache-2.0
"""OTLP/HTTP as its specification says it: both encodings, every compression, chunked and pipelined bodies, the right
refusals, over HTTP/1.1 and HTTP/2, and what is acknowledged is there."""

import gzip
import http.client
import json
import re
import socket
import struct
import zlib

import h2.connection
import h2.events
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from daemon import PATIENCE_S, Daemon, one_span, request, run, trace_id
from frames import Peer

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}


def host_of(daemon):
    host, port = daemon.http.rsplit(":", 1)
    return host, int(port)


def post(daemon, body, headers=None, path="/v1/traces", method="POST", **options):
    """(status, headers, body)"""
    client = http.client.HTTPConnection(*host_of(daemon), timeout=PATIENCE_S)
    client.request(method, path, body, {**PROTOBUF, **(headers or {})}, **options)
    answer = client.getresponse()
    result = answer.status, answer.headers, answer.read()
    client.close()
    return result


def body_of(number):
    return request([one_span(number)]).SerializeToString()


def json_of(number):
    """As OTLP/JSON has it: ids in hex, which protobuf's own JSON does not."""
    document = MessageToDict(request([one_span(number)]))
    for span in document["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        span["traceId"], span["spanId"], span["kind"] = trace_id(number), number.to_bytes(8, "big").hex(), 2
    return document


def stored(daemon, number):
    trace = daemon.trace(trace_id(number))
    assert trace and len(trace["spans"]) == 1 and trace["spans"][0]["name"] == "GET /", (number, trace)


def encodings(daemon):
    document = json.dumps(json_of(2)).encode()
    plain = body_of(1)
    cases = [
        (1, plain, {}),
        (2, document, JSON),
        (3, gzip.compress(body_of(3)), {"Content-Encoding": "GZIP"}),
        (4, zlib.compress(body_of(4)), {"Content-Encoding": "deflate"}),
        (5, iter([body_of(5)[:7], body_of(5)[7:]]), {}),
        (6, gzip.compress(json.dumps(json_of(6)).encode()),
         {"Content-Type": "application/json; charset=utf-8", "Content-Encoding": "gzip"}),
    ]
    for number, body, headers in cases:
        status, answer_headers, answer = post(daemon, body, headers)
        kind = headers.get("Content-Type", "application/x-protobuf").split(";")[0]
        assert (status, answer_headers["Content-Type"]) == (200, kind), (number, status, answer)
        assert answer == (b"{}" if "json" in kind else b""), answer
        stored(daemon, number)
    assert post(daemon, body_of(7), path="/")[0] == 200
    assert post(daemon, body_of(8), path="/v1/traces/?x=1")[0] == 200
    stored(daemon, 8)


def partial(daemon):
    message = request([one_span(10), (b"short", b"\1" * 8, b"", "bad", 1, 2)])
    status, _, body = post(daemon, message.SerializeToString())
    answer = trace_service_pb2.ExportTraceServiceResponse.FromString(body)
    assert status == 200 and answer.partial_success.rejected_spans == 1 and answer.partial_success.error_message
    stored(daemon, 10)
    document = json_of(11)
    document["resourceSpans"][0]["scopeSpans"][0]["spans"].append({"traceId": "xx", "name": "bad"})
    status, _, body = post(daemon, json.dumps(document), JSON)
    assert status == 200 and json.loads(body)["partialSuccess"]["rejectedSpans"] == "1", body
    stored(daemon, 11)


def refusals(daemon):
    for path in ("/v1/logs", "/v1/metrics", "/v1development/profiles", "/nowhere"):
        assert post(daemon, b"", path=path)[0] == 404, path
    status, headers, _ = post(daemon, None, method="GET")
    assert status == 405 and headers["Allow"] == "POST"
    assert post(daemon, b"x", {"Content-Type": "text/plain"})[0] == 415
    status, headers, _ = post(daemon, b"x", {"Content-Encoding": "br"})
    assert status == 415 and "gzip" in headers["Accept-Encoding"]
    status, headers, body = post(daemon, b"\xff\xff", {})
    assert status == 400 and headers["Content-Type"] == "application/x-protobuf" and body[:2] == b"\x08\x03", body
    status, headers, body = post(daemon, b'{"resourceSpans":[{]}', JSON)
    assert status == 400 and json.loads(body)["code"] == 3 and "byte" in json.loads(body)["message"], body
    assert post(daemon, b"not gzip", {"Content-Encoding": "gzip"})[0] == 400
    assert post(daemon, b"x", {"Content-Length": str(4 << 30)})[0] == 413
    bomb = gzip.compress(b"\n" * (40 << 20))
    assert post(daemon, bomb, {"Content-Encoding": "gzip"})[0] == 413
    status, headers, _ = post(daemon, body_of(20), {"Origin": "https://evil.example"})
    assert status == 200 and "Access-Control-Allow-Origin" not in headers


def talk(daemon, text, whole=True):
    """What comes back until the server closes, or the first piece of it."""
    with socket.create_connection(host_of(daemon), timeout=PATIENCE_S) as client:
        client.sendall(text)
        answer = client.recv(65536)
        while whole and (piece := client.recv(65536)):
            answer += piece
        return answer.decode()


def head(*lines, length=None):
    framing = [] if length is None else [f"Content-Length: {length}"]
    return "\r\n".join(["POST /v1/traces HTTP/1.1", "Host: x", "Content-Type: application/x-protobuf",
                        *framing, *lines, "", ""]).encode()


def wire(daemon):
    body = body_of(30)
    text = talk(daemon, head("Expect: 100-continue", length=len(body)), whole=False)
    assert text.startswith("HTTP/1.1 100 Continue\r\n\r\n"), text
    text = talk(daemon, head("Expect: 100-continue", length=4 << 30))
    assert text.startswith("HTTP/1.1 413 ") and "100" not in text.split("\r\n")[0], text
    pipelined = b"".join(head(length=len(body_of(number))) + body_of(number) for number in range(31, 51))
    text = talk(daemon, pipelined + head("Connection: close", length=0))
    assert len(re.findall("HTTP/1.1 200 OK", text)) == 21, text
    for number in range(31, 51):
        stored(daemon, number)
    for bad in (
            head("Transfer-Encoding: chunked", length=3) + b"0\r\n\r\n",
            head("Content-Length: 4", length=3) + b"abcd",
            head("Transfer-Encoding: xchunked"), head("Transfer-Encoding : chunked"),
            head("X: a", " folded", length=0), head("X: a\nY: b", length=0),
            head("Transfer-Encoding: chunked") + b"3\nabc\r\n0\r\n\r\n",
            head("Transfer-Encoding: chunked") + b"3\r\nabcd\r\n0\r\n\r\n",
            head("X: " + "x" * 20000, length=0), head(*(f"X{i}: 1" for i in range(70)), length=0),
            b"POST /v1/traces HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"POST /v1/traces HTTP/1.1\r\nHost: a b\r\n\r\n",
            b"POST http:///v1/traces HTTP/1.1\r\nHost: x\r\n\r\n", b"POST http://a@b/v1/traces HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST  /v1/traces HTTP/1.1\r\nHost: x\r\n\r\n",
            head("Transfer-Encoding: chunked") + b"3 x\r\nabc\r\n0\r\n\r\n"):
        text = talk(daemon, bad + head(length=0))
        assert re.match("HTTP/1.1 (400|431|501) ", text) and text.count("HTTP/1.1") == 1, (bad[:80], text)


    for twice in (["Content-Type: application/json"], ["Content-Encoding: gzip"] * 2, ["Authorization: a"] * 2):
        text = talk(daemon, head("Connection: close", *twice, length=0))
        assert text.startswith("HTTP/1.1 400 ") and "twice" in text, text
    assert talk(daemon, b"\x16\x03\x01\x02\x00") == "", "a client that begins TLS is not left waiting"
    text = talk(daemon, head(length=0) + b"garbage\r\n\r\n")
    assert re.findall(r"HTTP/1.1 (\d+)", text) == ["200", "400"], "who spoke HTTP before is told what is wrong"


def half_closed(daemon):
    """A client that has said all, and closes its side, still gets its answers."""
    absolute = head(length=len(body_of(72))).replace(b"/v1/traces", b"http://x/v1/traces") + body_of(72)
    for text, count in ((head(length=len(body_of(70))) + body_of(70), 1),
                        (head(length=len(body_of(71))) + body_of(71) + absolute, 2)):
        with socket.create_connection(host_of(daemon), timeout=PATIENCE_S) as client:
            client.sendall(text)
            client.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := client.recv(65536):
                answer += piece
        assert answer.count(b"HTTP/1.1 200 OK") == count, answer
    for number in (70, 71, 72):
        stored(daemon, number)


def http2(daemon):
    refused = daemon.metric("spanwise_http_replies_total", 'code="404"')
    client = socket.create_connection(host_of(daemon), timeout=PATIENCE_S)
    peer = h2.connection.H2Connection()
    peer.initiate_connection()

    def send(stream, body, *fields, path="/v1/traces"):
        peer.send_headers(stream, [(":method", "POST"), (":path", path), (":scheme", "http"), (":authority", "x"),
                                   *fields])
        peer.send_data(stream, body, end_stream=True)

    document = json.dumps(json_of(61)).encode()
    frame = body_of(62)
    send(1, body_of(60), ("content-type", "application/x-protobuf"))
    send(3, gzip.compress(document), ("content-type", "application/json"), ("content-encoding", "gzip"))
    send(5, struct.pack(">BI", 0, len(frame)) + frame, ("content-type", "application/grpc"),
         path="/opentelemetry.proto.collector.trace.v1.TraceService/Export")
    send(7, b"", ("content-type", "application/x-protobuf"), path="/v1/logs")
    client.sendall(peer.data_to_send())
    status, ended = {}, set()
    while len(ended) < 4:
        for event in peer.receive_data(client.recv(65536)):
            if isinstance(event, h2.events.ResponseReceived):
                status[event.stream_id] = dict(event.headers)[b":status"]
            if isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                ended.add(event.stream_id)
        client.sendall(peer.data_to_send())
    client.close()
    assert status == {1: b"200", 3: b"200", 5: b"200", 7: b"404"}, status
    assert daemon.metric("spanwise_http_replies_total", 'code="404"') == refused + 1
    for number in (60, 61, 62):
        stored(daemon, number)


def sdk(daemon):
    ids = []
    for compression in (Compression.NoCompression, Compression.Gzip, Compression.Deflate):
        provider = TracerProvider(resource=Resource.create({"service.name": "sdk"}))
        exporter = OTLPSpanExporter(endpoint=f"http://{daemon.http}/v1/traces", compression=compression)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        with provider.get_tracer("flow").start_as_current_span("GET /", attributes={"a": [1, 2]}) as span:
            ids.append(f"{span.get_span_context().trace_id:032x}")
        provider.shutdown()
    for each in ids:
        assert daemon.trace(each)["spans"][0]["service"] == "sdk"


def cors():
    daemon = Daemon("--probe=off", "--cors-origins=https://a.example, https://b.example", "--cors-headers=x-team", "--body-timeout-s=2")
    wish = {"Origin": "https://b.example", "Access-Control-Request-Method": "POST"}
    status, headers, body = post(daemon, None, wish, method="OPTIONS")
    assert (status, body) == (204, b"") and headers["Access-Control-Allow-Origin"] == "https://b.example"
    assert "x-team" in headers["Access-Control-Allow-Headers"] and headers["Vary"] == "Origin", headers
    status, headers, _ = post(daemon, json.dumps(json_of(1)), {**JSON, "Origin": "https://a.example"})
    assert status == 200 and headers["Access-Control-Allow-Origin"] == "https://a.example"
    with Peer(daemon.http) as peer:  # over HTTP/2, stored and refused
        for stream, body, wanted in ((1, body_of(2), "200"), (3, b"\xff\xff", "400")):
            peer.call(stream, body, path="/v1/traces", content=PROTOBUF["Content-Type"], te=None, origin="https://a.example")
            fields = peer.finish(stream).fields()
            assert (fields[":status"], fields["access-control-allow-origin"], fields["vary"]) == (wanted, "https://a.example", "Origin"), fields
        peer.call(5, body_of(3), path="/v1/traces", content=PROTOBUF["Content-Type"], te=None, origin="https://" + 300 * "a")
        assert "access-control-allow-origin" not in peer.finish(5).fields() and peer.finish(5).status()[0] == "200"
        refused = {"path": "/v1/traces", "te": None, "origin": "https://a.example"}  # before the body, and while it comes
        peer.call(7, b"x", ends=False, **{**refused, "content": "text/plain"})
        peer.call(9, b"x", ends=False, **{**refused, "path": "/v1/logs", "content": PROTOBUF["Content-Type"]})
        peer.call(11, b"x", ends=False, **{**refused, "content": PROTOBUF["Content-Type"], "content_length": "99999999"})
        peer.call(13, b"x", ends=False, **{**refused, "content": PROTOBUF["Content-Type"]})
        for stream, wanted in ((7, "415"), (9, "404"), (11, "413"), (13, "503")):
            fields = peer.finish(stream).fields()
            assert fields[":status"] == wanted and fields.get("access-control-allow-origin") == "https://a.example", fields
            assert fields["vary"] == "Origin", fields
        peer.call(15, b"x", ends=False, **{**refused, "content": "text/plain", "origin": "https://c.example"})
        fields = peer.finish(15).fields()
        assert (fields[":status"], fields["vary"]) == ("415", "Origin") and "access-control-allow-origin" not in fields, fields
    status, headers, _ = post(daemon, None, {**wish, "Origin": "https://c.example"}, method="OPTIONS")
    assert status == 405 and "Access-Control-Allow-Origin" not in headers
    assert daemon.stop() == 0, daemon.log()


def refused_on_http2():
    """With the same hints as over HTTP/1: what may be sent instead, when to come again."""
    daemon = Daemon("--probe=off", "--body-timeout-s=1")
    plain = {"path": "/v1/traces", "content": PROTOBUF["Content-Type"], "te": None}
    with Peer(daemon.http) as peer:
        for stream, fields, status, name, value in (
                (1, {":method": "PUT"}, "405", "allow", "POST"), (3, {"content": "text/plain"}, "415", "accept", "application/x-protobuf, application/json"),
                (5, {"content_encoding": "br"}, "415", "accept-encoding", "gzip, zstd, deflate")):
            peer.call(stream, b"", **{**plain, **fields})
            answer = peer.finish(stream).fields()
            assert (answer[":status"], answer.get(name)) == (status, value), answer
        peer.call(7, b"x", ends=False, **plain)
        answer = peer.finish(7)
        assert (answer.status()[0], answer.fields().get("retry-after")) == ("503", "1") and answer.data.startswith(b"\x08\x0e"), answer.fields()
    assert daemon.stop() == 0, daemon.log()


def main():
    daemon = Daemon("--probe=off")
    for part in (encodings, partial, refusals, wire, half_closed, http2, sdk):
        part(daemon)
    assert daemon.metric("spanwise_http_replies_total", 'code="200"') >= 30
    assert daemon.metric("spanwise_receiver_accepted_spans_total", 'transport="http"') >= 30
    assert daemon.stop() == 0, daemon.log()
    cors()
    refused_on_http2()


run(main)
