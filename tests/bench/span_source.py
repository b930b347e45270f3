# SPDX-License-Identifier: Apache-2.0
"""Export requests that cost nearly nothing to make: one is serialised, then only ids and times change."""

import os
import struct
import time

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
SPANS_PER_TRACE = 8
WALL_NS = 5_000_000


def attribute(key, value):
    kind = "int_value" if isinstance(value, int) else "string_value"
    return KeyValue(key=key, value=AnyValue(**{kind: value}))


ATTRIBUTES = [
    attribute("http.request.method", "GET"), attribute("http.route", "/items/{id}"),
    attribute("http.response.status_code", 200), attribute("server.address", "shop.example"),
    attribute("url.path", "/items/4711"), attribute("user_agent.original", "bench/1.0"),
]


class SpanSource:
    """Batches of spans in traces of eight: a server span and seven children."""

    def __init__(self, spans, service="bench-source"):
        self.spans = spans
        request = trace_service_pb2.ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        resource.resource.attributes.append(attribute("service.name", service))
        scope = resource.scope_spans.add()
        scope.scope.name = "bench"
        for number in range(spans):
            root = number % SPANS_PER_TRACE == 0
            scope.spans.add(
                trace_id=self._mark(b"T", number // SPANS_PER_TRACE, 16), span_id=self._mark(b"S", number, 8),
                parent_span_id=b"" if root else self._mark(b"S", number // SPANS_PER_TRACE * SPANS_PER_TRACE, 8),
                name=f"GET /items/{number % 16}", kind=2 if root else 1, attributes=ATTRIBUTES,
                start_time_unix_nano=0x5354415254000000 + number, end_time_unix_nano=0x454E440000000000 + number)
        self.template = bytearray(request.SerializeToString())
        self.places = [self._find(number) for number in range(spans)]

    @staticmethod
    def _mark(letter, number, size):
        return (letter * 2 + struct.pack(">I", number)).ljust(size, letter)

    def _find(self, number):
        """Offsets of trace id, span id, parent id, start and end: all ids of a span stand before its start."""
        start = self.template.index(struct.pack("<Q", 0x5354415254000000 + number))
        end = self.template.index(struct.pack("<Q", 0x454E440000000000 + number))
        before = lambda mark: self.template.rindex(mark, 0, start)  # noqa: E731
        first = number // SPANS_PER_TRACE * SPANS_PER_TRACE
        parent = before(self._mark(b"S", first, 8)) if number != first else None
        trace = before(self._mark(b"T", number // SPANS_PER_TRACE, 16))
        return trace, before(self._mark(b"S", number, 8)), parent, start, end

    def batch(self):
        """A request whose ids nobody has seen, and whose spans end now."""
        body, random, now = bytearray(self.template), os.urandom(24 * self.spans), time.time_ns()
        start, end = struct.pack("<Q", now - WALL_NS), struct.pack("<Q", now)
        for number, (trace_at, span_at, parent_at, start_at, end_at) in enumerate(self.places):
            first = number // SPANS_PER_TRACE * SPANS_PER_TRACE
            body[trace_at : trace_at + 16] = random[first * 24 : first * 24 + 16]
            body[span_at : span_at + 8] = random[number * 24 + 16 : number * 24 + 24]
            if parent_at is not None:
                body[parent_at : parent_at + 8] = random[first * 24 + 16 : first * 24 + 24]
            body[start_at : start_at + 8] = start
            body[end_at : end_at + 8] = end
        return bytes(body)
