# SPDX-License-Identifier: Apache-2.0
"""One export request as the Python SDK makes it, with the places of what must be new each time: for load.c.

Traces of five spans (a server span, two client spans, two internal ones) with eight attributes each, all of the semantic
conventions: about 400 bytes a span. The file: two counts (spans, bytes), six offsets for each span (trace id, span id, parent
id or 2^32 - 1, start, end, number of its trace's first span), then the request.
"""

import struct

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, set_span_in_context

SPANS_PER_TRACE = 5
START = 0x5354_4152_5400_0000
RESOURCE = {"service.name": "bench-shop", "process.pid": 4242, "host.name": "bench"}
SERVER = {
    "http.request.method": "GET", "http.route": "/orders/{id}", "http.response.status_code": 200, "server.address": "shop.example.org",
    "server.port": 8443, "url.path": "/orders/4711/lines", "thread.id": 140737352000000,
    "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
}
CLIENT = {
    "db.system.name": "postgresql", "db.namespace": "orders", "db.operation.name": "SELECT", "db.collection.name": "order_lines",
    "db.query.text": "SELECT id, sku, amount, price FROM order_lines WHERE order_id = $1 ORDER BY id", "server.address": "10.0.0.5", "server.port": 5432,
    "thread.id": 140737352000000,
}
INTERNAL = {
    "code.function.name": "shop.pricing.rules.apply_discounts", "code.file.path": "/srv/shop/lib/shop/pricing/rules.py", "code.line.number": 217,
    "shop.customer.tier": "gold", "shop.cart.lines": 12, "shop.discount.total": 17.25, "thread.id": 140737352000000, "thread.name": "worker-3",
}
KINDS = [("GET /orders/{id}", SpanKind.SERVER, SERVER), ("SELECT order_lines", SpanKind.CLIENT, CLIENT),
         ("apply discounts", SpanKind.INTERNAL, INTERNAL), ("SELECT orders", SpanKind.CLIENT, CLIENT), ("render", SpanKind.INTERNAL, INTERNAL)]


def finished_spans(count, resource):
    """In the order in which a service ends them, but a trace's root first: load.c copies its ids."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create(resource))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("bench", "1.0")
    for first in range(0, count, SPANS_PER_TRACE):
        name, kind, attributes = KINDS[0]
        root = tracer.start_span(name, kind=kind, attributes=attributes, start_time=START + 2 * first)
        context = set_span_in_context(root)
        root.end(START + 2 * first + 1)
        for number in range(first + 1, min(first + SPANS_PER_TRACE, count)):
            name, kind, attributes = KINDS[number - first]
            span = tracer.start_span(name, context, kind, attributes, start_time=START + 2 * number)
            span.end(START + 2 * number + 1)
    return memory.get_finished_spans()


def places_of(body, message):
    """The offsets of each span, in the order of the bytes."""
    at, roots = 0, {}
    for part in message.resource_spans:
        for scope in part.scope_spans:
            for number, span in enumerate(scope.spans):
                trace = body.index(span.trace_id, at)
                own = body.index(span.span_id, trace)
                parent = body.index(span.parent_span_id, own) if span.parent_span_id else 2**32 - 1
                start = body.index(struct.pack("<Q", span.start_time_unix_nano), own)
                end = body.index(struct.pack("<Q", span.end_time_unix_nano), start)
                at = end
                yield trace, own, parent, start, end, roots.setdefault(span.trace_id, number)


def write(path, count, resource=None):
    """Returns how many bytes a span has."""
    message = encode_spans(finished_spans(count, resource or RESOURCE))
    body = message.SerializeToString()
    places = list(places_of(body, message))
    assert len(places) == count, (len(places), count)
    with open(path, "wb") as file:
        file.write(struct.pack("<II", count, len(body)))
        for place in places:
            file.write(struct.pack("<6I", *place))
        file.write(body)
    return len(body) / count
