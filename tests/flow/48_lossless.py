# SPDX-License-Identifier: Apache-2.0
"""What goes in comes out: every field of every message of OTLP traces, in both encodings, through the official types; fields that
nobody knows yet too; and spans as real clients send them, wrong times and all."""

import http.client
import math

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from daemon import PATIENCE_S, Daemon, export, run
from otlp_json import from_otlp_json

TRACE = bytes(range(16))
DEPTH = 30
ANSWER = {}


def unknown(number, text):
    """A field of a later version of OTLP: tag, length, text."""
    key = number << 3 | 2
    return bytes([key & 0x7F | 0x80, key >> 7, len(text)]) + text


def values():
    """All members of AnyValue, their edges, and nesting."""
    yield "empty", AnyValue()
    for text in ("", "x", "ü€😀", "\0\x01\n\"\\", "y" * 100_000):
        yield "text", AnyValue(string_value=text)
    for flag in (False, True):
        yield "bool", AnyValue(bool_value=flag)
    for number in (0, -1, 2**53 + 1, 2**63 - 1, -(2**63)):
        yield "int", AnyValue(int_value=number)
    for number in (0.0, -0.0, 0.1, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan):
        yield "double", AnyValue(double_value=number)
    yield "bytes", AnyValue(bytes_value=bytes(range(256)))
    yield "bytes", AnyValue(bytes_value=b"")
    mixed = AnyValue()
    mixed.array_value.values.extend([AnyValue(), AnyValue(int_value=7), AnyValue(string_value="z")])
    yield "array", mixed
    empty = AnyValue()
    empty.kvlist_value.SetInParent()
    yield "kvlist", empty
    nested = AnyValue(int_value=1)
    for level in range(DEPTH):
        outer = AnyValue()
        if level % 2:
            outer.array_value.values.append(nested)
        else:
            outer.kvlist_value.values.add(key="in").value.CopyFrom(nested)
        nested = outer
    yield "deep", nested


def attributes():
    found = [KeyValue(key=f"{kind}.{number}", value=value) for number, (kind, value) in enumerate(values())]
    return [*found, KeyValue(key="twice", value=AnyValue(int_value=1)), KeyValue(key="twice", value=AnyValue(int_value=2)),
            KeyValue(key="", value=AnyValue(string_value="no key")), KeyValue(key="no value")]


def add_span(scope, number, start, end):
    span = scope.spans.add(
        trace_id=TRACE, span_id=number.to_bytes(8, "big"), trace_state="a=1,b=2", parent_span_id=b"" if number == 1 else b"\0\0\0\0\0\0\0\1",
        name=f"span {number}", kind=number % 6, start_time_unix_nano=start, end_time_unix_nano=end, attributes=attributes(),
        dropped_attributes_count=3, dropped_events_count=4, dropped_links_count=2**32 - 1, flags=0x301)
    span.status.code, span.status.message = number % 3, "why"
    for time in (5, 3, 2**64 - 1, 0):  # their order is theirs
        span.events.add(time_unix_nano=time, name=f"event {time}", attributes=attributes()[:4], dropped_attributes_count=1)
    span.links.add(trace_id=bytes(range(16, 32)), span_id=bytes(range(8)), trace_state="c=3", attributes=attributes()[-4:],
                   dropped_attributes_count=9, flags=0x101)
    span.links.add()


def everything():
    message = ExportTraceServiceRequest()
    for number in range(2):
        part = message.resource_spans.add(schema_url=f"https://schema/{number}")
        part.resource.attributes.extend([KeyValue(key="service.name", value=AnyValue(string_value=f"s{number}")), *attributes()])
        part.resource.dropped_attributes_count = 7
        part.resource.entity_refs.add(schema_url="e", type="service", id_keys=["service.name"], description_keys=["a", "b"])
        scope = part.scope_spans.add(schema_url="https://scope")
        scope.scope.name, scope.scope.version, scope.scope.dropped_attributes_count = "lib", "1.2", 5
        scope.scope.attributes.extend(attributes()[:3])
        add_span(scope, 3 * number + 1, 1_700_000_000_000_000_000, 1_700_000_000_000_000_001)
        add_span(scope, 3 * number + 2, 0, 0)
        add_span(scope, 3 * number + 3, 1_700_000_000_000_000_000, 1_600_000_000_000_000_000)  # ends before it starts
    return message


def with_unknown_fields(message):
    """Each Span, Resource and scope gets a field that this version does not know."""
    for part in message.resource_spans:
        part.resource.MergeFromString(unknown(500, b"resource"))
        for scope in part.scope_spans:
            scope.scope.MergeFromString(unknown(501, b"scope"))
            for span in scope.spans:
                span.MergeFromString(unknown(502, b"span"))
                span.status.MergeFromString(unknown(503, b"status"))
    return message


def ask(daemon, accept):
    host, port = daemon.api.rsplit(":", 1)
    client = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
    client.request("GET", f"/api/v1/traces/{TRACE.hex()}?format=otlp", headers={"Accept": accept})
    answer = client.getresponse()
    assert answer.status == 200, answer.read()
    return answer.read()


def spans_of(message):
    """What each span is, with all that it belongs to, by its id: grouping is free."""
    found = {}
    for part in message.resource_spans:
        for scope in part.scope_spans:
            for span in scope.spans:
                found[span.span_id] = [piece.SerializeToString(deterministic=True) for piece in (part.resource, scope.scope, span)]
                found[span.span_id] += [part.schema_url, scope.schema_url]
    return found


def post_json(daemon, text):
    host, port = daemon.http.rsplit(":", 1)
    client = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
    client.request("POST", "/v1/traces", text, {"Content-Type": "application/json"})
    answer = client.getresponse()
    body = answer.read()
    assert (answer.status, body) == (200, b"{}"), (answer.status, body)


def main():
    sent = with_unknown_fields(everything())
    daemon = Daemon("--probe=off")
    with daemon.channel() as channel:
        assert not export(channel, sent).HasField("partial_success")
    back = TracesData.FromString(ask(daemon, "application/x-protobuf"))
    assert spans_of(back) == spans_of(sent)
    text = ask(daemon, "application/json")
    assert daemon.stop() == 0, daemon.log()

    known = spans_of(everything())  # JSON has no place for the others
    assert spans_of(from_otlp_json(text)) == known
    daemon = Daemon("--probe=off")
    post_json(daemon, text)
    back = TracesData.FromString(ask(daemon, "application/x-protobuf"))
    assert spans_of(back) == known
    assert ask(daemon, "application/json") == text
    assert daemon.stop() == 0, daemon.log()


run(main)
