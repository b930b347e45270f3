# SPDX-License-Identifier: Apache-2.0
"""Every limit that has a name in the configuration, on every way in: what is at the limit passes, what is beyond it is told so and
takes nothing else along."""

import gzip
import http.client
import json

from daemon import PATIENCE_S, Daemon, one_span, request, run, trace_id, wait_for
from frames import DATA, END_STREAM, Peer, call_fields, frame, message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

HEADERS, HEADER_BYTES, RATIO, SPANS, ATTRIBUTES, NESTING, STREAMS, REQUEST_MIB = 20, 2000, 20, 3, 130, 2, 4, 1
PROTOBUF = {"content-type": "application/x-protobuf"}
next_trace = iter(range(1, 1000000))


class Grpc:
    """Each way in: ask() gives "ok", "rejected" or the error."""

    own_headers, too_many_headers, too_large = 6, "8", "8"

    def __init__(self, daemon):
        self.address = daemon.grpc

    def ask(self, body, headers=(), packed=False):
        with Peer(self.address) as peer:
            fields = call_fields(**({"grpc_encoding": "gzip"} if packed else {})) + list(headers)
            peer.large_call(1, message(gzip.compress(body), 1) if packed else message(body), fields)
            answer = peer.finish(1)
        if answer.status()[1] != "0":
            return answer.status()[1]
        return "rejected" if len(answer.data) > 5 else "ok"


class Http2:
    own_headers, too_many_headers, too_large = 5, "431", "413"

    def __init__(self, daemon):
        self.address = daemon.http

    def ask(self, body, headers=(), packed=False):
        with Peer(self.address) as peer:
            fields = call_fields(path="/v1/traces", content=PROTOBUF["content-type"], te=None)
            fields += [("content-encoding", "gzip")] * packed + list(headers)
            peer.large_call(1, gzip.compress(body) if packed else body, fields)
            answer = peer.finish(1)
        if answer.status()[0] != "200":
            return answer.status()[0]
        return "rejected" if answer.data else "ok"


class Http1:
    own_headers, too_many_headers, too_large = 4, "431", "413"  # Host, Accept-Encoding, Content-Length, Content-Type

    def __init__(self, daemon):
        self.address = daemon.http

    def ask(self, body, headers=(), packed=False):
        client = http.client.HTTPConnection(*self.address.rsplit(":", 1), timeout=PATIENCE_S)
        client.request("POST", "/v1/traces", gzip.compress(body) if packed else body,
                       {**PROTOBUF, **({"content-encoding": "gzip"} if packed else {}), **dict(headers)})
        answer = client.getresponse()
        body = answer.read()
        client.close()
        if answer.status != 200:
            return str(answer.status)
        return "rejected" if body else "ok"


def spans(count):
    return request([one_span(next(next_trace)) for _ in range(count)])


def headers(way):
    def some(count, size=1):
        return [(f"x-{i:02}", "y" * size) for i in range(count)]

    body = spans(1).SerializeToString()
    assert way.ask(body, some(HEADERS - way.own_headers)) == "ok"
    assert way.ask(body, some(HEADERS - way.own_headers + 1)) == way.too_many_headers
    assert way.ask(body, some(1, HEADER_BYTES - 700)) == "ok"
    assert way.ask(body, some(1, HEADER_BYTES)) == way.too_many_headers


def sizes(way):
    def filled(count):
        part = spans(1)
        part.resource_spans[0].scope_spans[0].spans[0].name = "n" * count
        return part.SerializeToString()

    assert way.ask(filled((REQUEST_MIB << 20) - 1000)) == "ok"
    assert way.ask(filled(REQUEST_MIB << 20)) == way.too_large
    assert way.ask(filled(REQUEST_MIB << 20), packed=True) == way.too_large


def counts(way):
    assert way.ask(spans(SPANS).SerializeToString()) == "ok"
    assert way.ask(spans(SPANS + 1).SerializeToString()) == way.too_large


def of_span(part):
    return part.resource_spans[0].scope_spans[0].spans[0]


def nested(levels):
    value = AnyValue(int_value=1)
    for _ in range(levels):
        outer = AnyValue()
        outer.array_value.values.append(value)
        value = outer
    return value


def attributes(way):
    """In a span, an event, a link, a scope, a resource: beyond the limit its spans go, and the others of the request stay."""
    owners = (of_span, lambda part: of_span(part).events.add(), lambda part: of_span(part).links.add(),
              lambda part: part.resource_spans[0].scope_spans[0].scope, lambda part: part.resource_spans[0].resource)
    for owner in owners:
        for count, levels in ((ATTRIBUTES, NESTING), (ATTRIBUTES + 1, 0), (1, NESTING + 1)):
            part, other = spans(1), spans(1)
            of_whom = owner(part)
            del of_whom.attributes[:]
            for i in range(count):
                of_whom.attributes.add(key=f"k{i}").value.CopyFrom(nested(levels))
            bad, good = (of_span(each).trace_id.hex() for each in (part, other))
            part.MergeFrom(other)
            is_fine = count <= ATTRIBUTES and levels <= NESTING
            assert way.ask(part.SerializeToString()) == ("ok" if is_fine else "rejected"), (owner, count, levels)
            assert way.daemon.trace(good) and bool(way.daemon.trace(bad)) == is_fine, (owner, count, levels)


def ratio(daemon):
    """Of what is larger than a MiB."""
    large = Daemon("--probe=off", f"--max-inflate-ratio={RATIO}")
    for way in (Grpc(large), Http2(large), Http1(large)):
        for name, wanted in (("n" * (2 << 20), way.too_large), ("n" * 500000, "ok")):
            part = spans(1)
            of_span(part).name = name
            assert way.ask(part.SerializeToString(), packed=True) == wanted
    assert large.stop() == 0, large.log()


def streams(daemon):
    """One too many is refused alone, whether its client has read our SETTINGS or not; the others are served."""
    for address, knows in ((daemon.grpc, False), (daemon.grpc, True), (daemon.http, False), (daemon.http, True)):
        refused_before = daemon.metric("spanwise_receiver_streams_refused_total")
        with Peer(address, answers=knows) as peer:
            peer.read_until(lambda: peer.settings, "SETTINGS")
            assert peer.settings[3] == STREAMS and peer.settings[6] == HEADER_BYTES, peer.settings
            for i in range(2 * STREAMS):
                peer.call(2 * i + 1, b"", ends=False)
            for i in range(STREAMS, 2 * STREAMS):
                refused = peer.finish(2 * i + 1)
                assert refused.reset == 7 and not refused.blocks, (refused.reset, refused.blocks)  # REFUSED_STREAM: may come again
            assert not peer.answer(1).is_over() and not peer.goaways
            for i in range(STREAMS):
                peer.send(frame(DATA, END_STREAM, 2 * i + 1, message(b"")))
                assert peer.finish(2 * i + 1).status() == ("200", "0"), peer.answer(2 * i + 1).fields()
            peer.call(2 * STREAMS * 2 + 1)
            assert peer.finish(2 * STREAMS * 2 + 1).status() == ("200", "0")
        wait_for(lambda: daemon.metric("spanwise_receiver_streams_refused_total") == refused_before + STREAMS, "the refusals to be counted")


def main():
    daemon = Daemon("--probe=off", f"--max-headers={HEADERS}", f"--max-header-bytes={HEADER_BYTES}", f"--max-spans={SPANS}",
                    f"--max-attributes={ATTRIBUTES}", f"--max-nesting={NESTING}", f"--max-streams={STREAMS}", f"--max-request-mib={REQUEST_MIB}")
    for way in (Grpc(daemon), Http2(daemon), Http1(daemon)):
        way.daemon = daemon
        for part in (headers, sizes, counts, attributes):
            part(way)
    assert daemon.metric("spanwise_receiver_rejected_spans_total", 'reason="too_large"') == 15
    assert daemon.metric("spanwise_receiver_rejected_spans_total", 'reason="too_deep"') == 15
    streams(daemon)
    assert daemon.stop() == 0, daemon.log()
    ratio(daemon)


run(main)
