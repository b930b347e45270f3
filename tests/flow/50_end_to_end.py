# SPDX-License-Identifier: Apache-2.0
"""The unmodified SDK, the writer for Python, the real kernel: where a span's wall time went adds up, and agrees
with what the thread itself knows."""

import os
import subprocess
import sys
import threading
import time

from daemon import daemon_with_kernel, run, temporary_folder, wait_for

SPIN_NS = 30_000_000
SLEEP_S = 0.05


def subject(endpoint):
    """The service; prints trace id and its own CPU time within the root span."""
    import spanwise_context
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "subject"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=True)))
    spanwise_context.install()
    tracer = provider.get_tracer("subject")
    sys.stdin.readline()  # the daemon knows us by now
    lock = threading.Lock()
    for _ in range(10):
        with tracer.start_as_current_span("GET /report") as root:
            began = time.thread_time_ns()
            with tracer.start_as_current_span("render"):
                spun_from = time.thread_time_ns()
                while time.thread_time_ns() - spun_from < SPIN_NS:
                    pass
            with tracer.start_as_current_span("query"):
                time.sleep(SLEEP_S)
            with lock:
                cpu = time.thread_time_ns() - began
        print(format(root.get_span_context().trace_id, "032x"), cpu, flush=True)
    provider.force_flush()
    provider.shutdown()


def total(split):
    return (split["running_ns"] + split["runnable_ns"] + sum(split["blocked_ns"].values())
            + split["elsewhere_ns"])


def check(trace, own_cpu_ns):
    spans = {span["name"]: span for span in trace["spans"]}
    for span in trace["spans"]:
        ledger = span["ledger"]
        # The root's own code runs for less than a tick: it may never have been seen itself.
        grades = ("exact", "bounded", "inferred") if span["name"] == "GET /report" else ("exact", "bounded")
        assert ledger["grade"] in grades, (span["name"], ledger)
        assert total(ledger) + ledger["unknown_ns"] == span["wall_ns"], span
    root, render, query = (spans[name] for name in ("GET /report", "render", "query"))
    # What the thread measured lies inside the span, between its start and its end.
    assert root["ledger"]["cpu_ns"] + root["ledger"]["uncertain_ns"] + 2000 >= own_cpu_ns, (own_cpu_ns, root)
    assert render["ledger"]["cpu_ns"] + render["ledger"]["uncertain_ns"] + 2000 >= SPIN_NS, render
    asleep = query["ledger"]["blocked_ns"]["sleep"]
    # Its timer runs from the call on, which is before the thread has left its CPU.
    assert asleep + query["ledger"]["running_ns"] + query["ledger"]["uncertain_ns"] >= SLEEP_S * 1e9, query
    assert root["ledger"]["blocked_ns"]["sleep"] >= asleep, root
    # A busy machine may keep a thread that has slept its time waiting for longer than it slept.
    assert query["verdict"]["kind"] in ("waiting", "starved"), query["verdict"]


def main():
    recording = os.path.join(temporary_folder(), "recording")
    daemon = daemon_with_kernel("--settle-ms=500", command=("record", recording))
    with subprocess.Popen([sys.executable, __file__, daemon.grpc], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as service:
        wait_for(lambda: any(process["pid"] == service.pid
                             for process in daemon.status()["probe"]["publishing"]),
                 "the service to be seen publishing")
        service.stdin.write("go\n")
        service.stdin.flush()
        told = [line.split() for line in service.stdout]
    assert len(told) == 10, told
    for trace_id, own_cpu_ns in told:
        check(wait_for(lambda: daemon.settled(trace_id), "a trace to settle"), int(own_cpu_ns))
    counted = {service["service"]: service for service in daemon.status()["services"]}
    assert counted["subject"]["spans"] == 30 and counted["subject"]["ledgers"]["none"] == 0, counted
    assert daemon.stop() == 0, daemon.log()
    done = subprocess.run([os.environ["SPANWISE"], "replay", recording], capture_output=True, text=True)
    assert done.returncode == 0 and "equal" in done.stderr, done.stderr


if len(sys.argv) > 1:
    subject(sys.argv[1])
else:
    run(main)
