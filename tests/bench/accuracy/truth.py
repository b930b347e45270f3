# SPDX-License-Identifier: Apache-2.0
"""The same truth from the unmodified Python SDK: truth.py TURNS SERVICE. Spans are exported by the SDK;
what they cost is printed, in the format of truth_scenarios."""

import hashlib
import json
import random
import sys
import time

import spanwise_context

spanwise_context.install()

from opentelemetry import trace  # noqa: E402
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: E402
from opentelemetry.sdk.resources import Resource  # noqa: E402
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: E402


def edge():
    """The exported time between two readings of the CPU clock; taken again when something came in between."""
    for _ in range(3):
        before = time.thread_time_ns()
        real = time.time_ns()
        after = time.thread_time_ns()
        if after - before < 1000:
            break
    return real, (before + after) // 2, (after - before + 1) // 2


def make_provider(service, exporter=None):
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter(insecure=True)))
    return provider


def wait_until_found():
    """New processes are not what is measured: a line on stdin says when to begin."""
    sys.stdin.readline()


class Truth:
    def __init__(self, service):
        provider = make_provider(service)
        self.provider, self.tracer = provider, provider.get_tracer("truth")
        self.spans, self.open = [], []

    def span(self, name, work):
        real, cpu, slack = edge()
        span = self.tracer.start_span(name, start_time=real)
        record = {"name": name, "start_ns": real, "waited_ns": 0}
        parent = self.open[-1]["span_id"] if self.open else ""
        of = span.get_span_context()
        record.update(trace_id=f"{of.trace_id:032x}", span_id=f"{of.span_id:016x}", parent_id=parent)
        self.open.append(record)
        with trace.use_span(span):
            work()
        self.open.pop()
        real, end_cpu, end_slack = edge()
        span.end(end_time=real)
        record.update(end_ns=real, cpu_ns=end_cpu - cpu, cpu_slack_ns=slack + end_slack)
        self.spans.append(record)

    def sleep(self, seconds):
        real, cpu = time.monotonic_ns(), time.thread_time_ns()
        time.sleep(seconds)
        waited = time.monotonic_ns() - real - (time.thread_time_ns() - cpu)
        for record in self.open:
            record["waited_ns"] += max(0, waited)


def main():
    turns, truth = int(sys.argv[1]), Truth(sys.argv[2])
    numbers = random.Random(42)

    def spin():
        end = time.thread_time_ns() + int(50e3 * 400 ** numbers.random())
        while time.thread_time_ns() < end:
            hashlib.sha256(b"spanwise").digest()

    def request():
        spin()
        truth.span("child", spin)
        truth.sleep(0.00005 * 400 ** numbers.random())
        truth.span("child", lambda: (spin(), truth.sleep(0.001)))
        spin()

    wait_until_found()
    for _ in range(turns):
        truth.span("request", request)
    truth.provider.shutdown()
    print("{}")
    for record in truth.spans:
        print(json.dumps(record))


if __name__ == "__main__":
    main()
