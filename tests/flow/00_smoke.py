# SPDX-License-Identifier: Apache-2.0
"""A span from the unmodified SDK comes in, is stored, settled, and found again."""

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import grpc

from daemon import Daemon, run, wait_for


def main():
    daemon = Daemon("--settle-ms=300")
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(BatchSpanProcessor(
        OTLPSpanExporter(endpoint=daemon.grpc, insecure=True, compression=grpc.Compression.Gzip)))
    tracer = provider.get_tracer("smoke")
    with tracer.start_as_current_span("GET /report") as root:
        with tracer.start_as_current_span("query"):
            pass
    assert provider.force_flush()
    trace = format(root.get_span_context().trace_id, "032x")

    # Acknowledged is stored: no waiting here.
    names = sorted(span["name"] for span in daemon.trace(trace)["spans"])
    assert names == ["GET /report", "query"], names
    settled = wait_for(lambda: daemon.settled(trace), "the trace to settle")
    assert all(span["ledger"]["grade"] for span in settled["spans"])

    assert daemon.get("/healthz")[0] == 200
    assert daemon.get("/readyz")[0] == 200
    assert daemon.metric("spanwise_receiver_accepted_spans_total") == 2
    status = daemon.status()
    assert status["ready"] and status["services"][0]["service"] == "shop", status
    provider.shutdown()
    assert daemon.stop() == 0, daemon.log()
    assert daemon.has_logged("everything that was acknowledged is on disk")


run(main)
