# SPDX-License-Identifier: Apache-2.0
"""Programs under observation, and the Python service among them from both sides.

A scenario starts itself again as the service: `Service(daemon, "spin")` runs `SCENARIO.py spin ENDPOINT`.
The two talk in lines: the scenario says what to do, the service says what it knows about itself as JSON.
"""

import atexit
import json
import os
import queue
import subprocess
import sys
import threading
import time

import grpc
from daemon import PATIENCE_S, wait_for


class Subject:
    """A program that says "started", obeys lines, and answers each with a line of JSON."""

    def __init__(self, *command, environment=None):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **(environment or {})})
        self.pid = self.process.pid
        self.lines = queue.SimpleQueue()
        atexit.register(self.process.kill)
        threading.Thread(target=self._read, daemon=True).start()
        assert self.told() == "started"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def go(self, word=""):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def told(self):
        """The next thing the service says."""
        line = self.lines.get(timeout=PATIENCE_S)
        if not line:
            raise AssertionError(f"the service ended with {self.process.wait(timeout=PATIENCE_S)}")
        return json.loads(line)

    def ask(self, word):
        self.go(word)
        return self.told()


class Service(Subject):
    """The scenario itself, started again with `arguments` and the daemon's endpoint."""

    def __init__(self, daemon, *arguments, publishes=True, environment=None):
        super().__init__(sys.executable, sys.argv[0], *arguments, daemon.grpc, environment=environment)
        if publishes:
            wait_until_published(daemon, self.pid)


def wait_until_published(daemon, pid, by=""):
    """Until the daemon has found out that this process publishes, from an executable named like `by`."""

    def is_known():
        return any(process["pid"] == pid and process["executable"].endswith(by)
                   for process in daemon.status()["probe"]["publishing"])

    wait_for(is_known, f"process {pid} to be seen publishing")


# In the service.


def trace_to(endpoint, compression=grpc.Compression.NoCompression, writer=True, name="subject"):
    """The unmodified SDK, exporting to `endpoint`, with the writer of deploy/instrument/python or without."""
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if writer:
        import spanwise_context

        assert spanwise_context.install()
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(
        OTLPSpanExporter(endpoint=endpoint, insecure=True, compression=compression, timeout=PATIENCE_S)))
    return provider


def say(value):
    print(json.dumps(value), flush=True)


def wait_for_go():
    """The word that came, or None at the end."""
    line = sys.stdin.readline()
    return line.strip() if line else None


def spin(cpu_ns):
    end = time.thread_time_ns() + cpu_ns
    while time.thread_time_ns() < end:
        pass


def ids(span):
    of = span.get_span_context()
    return {"trace": format(of.trace_id, "032x"), "span": format(of.span_id, "016x")}


class Timed:
    """A span that is current inside the block, and the CPU time of its thread: `least` was burnt inside the
    span for sure, `most` is all that can have been."""

    def __init__(self, tracer, name, **options):
        self.context = tracer.start_as_current_span(name, **options)

    def __enter__(self):
        self.outer = time.thread_time_ns()
        self.span = self.context.__enter__()
        self.inner = time.thread_time_ns()
        return self

    def __exit__(self, *failure):
        least = time.thread_time_ns() - self.inner
        self.context.__exit__(*failure)
        most = time.thread_time_ns() - self.outer
        self.facts = {**ids(self.span), "least": least, "most": most, "tid": threading.get_native_id(),
                      "pid": os.getpid()}
