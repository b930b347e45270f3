# SPDX-License-Identifier: Apache-2.0
"""One trace of two spans by the Python SDK; prints its id. PROTOCOL: grpc or proto; the rest is told by OTEL_* variables."""

import os
import sys

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, set_span_in_context

if os.environ["PROTOCOL"] == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter


class Strict(OTLPSpanExporter):
    """Says it when something did not arrive."""

    failed = False

    def export(self, spans):
        result = super().export(spans)
        Strict.failed |= result != SpanExportResult.SUCCESS
        return result


provider = TracerProvider(resource=Resource.create({"service.name": "interop"}))
provider.add_span_processor(SimpleSpanProcessor(Strict(timeout=5)))
tracer = provider.get_tracer("interop", "1.0")
link = Link(SpanContext(0x0102030405060708090A0B0C0D0E0F10, 0x0102030405060708, True, TraceFlags(1)))
parent = tracer.start_span("parent", kind=SpanKind.SERVER, links=[link],
                           attributes={"text": "ü", "integer": 42, "double": 0.5, "flag": True, "list": ["a", "b"]})
child = tracer.start_span("child", set_span_in_context(parent), SpanKind.CLIENT)
child.add_event("event", {"n": 1})
child.set_status(Status(StatusCode.ERROR, "broken"))
child.end()
parent.end()
provider.shutdown()
if Strict.failed:
    sys.exit("not exported")
print(f"{parent.get_span_context().trace_id:032x}")
