# SPDX-License-Identifier: Apache-2.0
"""The real daemon, for scenarios: started on free ports, asked over its API, stopped.

A scenario calls run(main): what it starts is stopped, also when it fails. Nothing sleeps for a fixed
time: wait_for() polls a condition until a deadline that only a broken daemon reaches.
"""

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.request

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

BINARY = os.environ.get("SPANWISE") or sys.exit("SPANWISE must name the binary")
PATIENCE_S = float(os.environ.get("FLOW_PATIENCE_S", 300))  # longer on an emulated machine
ATTEMPTS = 4
LAST_LINES = 40
started = []


def skip(reason):
    print("skipped:", reason)
    sys.exit(77)


def wait_for(condition, what, patience_s=PATIENCE_S):
    """The first true value of condition(), or a failure that names `what`."""
    deadline = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("waited in vain for " + what)
        time.sleep(0.02)


def temporary_folder():
    path = tempfile.mkdtemp(prefix="spanwise-flow-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


class Daemon:
    def __init__(self, *arguments, data=None, prefix=(), command=("serve",), wait=True, environment=None):
        self.data = data or os.path.join(temporary_folder(), "data")
        self.lines = []
        self.process = subprocess.Popen(
            [*prefix, BINARY, *command, "--grpc=127.0.0.1:0", "--http=127.0.0.1:0",
             "--api=127.0.0.1:0", "--data=" + self.data, *arguments],
            stderr=subprocess.PIPE, text=True, errors="replace", env={**os.environ, **(environment or {})})
        atexit.register(self.kill)
        started.append(self)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if wait:
            self.wait_ready()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def log(self):
        return "\n".join(self.lines)

    def has_logged(self, part):
        return any(part in line for line in self.lines)

    def _ready_line(self):
        for line in list(self.lines):
            if line.startswith("ready "):
                return dict(pair.split("=", 1) for pair in line.split()[1:])
        if self.process.poll() is not None:
            raise AssertionError("the daemon ended:\n" + self.log())
        return None

    def wait_ready(self):
        ready = wait_for(self._ready_line, "the line `ready`")
        self.grpc, self.http, self.api = ready["grpc"], ready["http"], ready["api"]

    def get(self, path):
        """(status, parsed JSON or text)"""
        try:
            with urllib.request.urlopen(f"http://{self.api}{path}", timeout=PATIENCE_S) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        try:
            return status, json.loads(body)
        except ValueError:
            return status, body.decode()

    def status(self):
        return self.get("/api/v1/status")[1]

    def trace(self, trace_id):
        status, body = self.get("/api/v1/traces/" + trace_id)
        return body if status == 200 else None

    def settled(self, trace_id):
        trace = self.trace(trace_id)
        return trace if trace and trace["settled"] else None

    def metric(self, name, label=""):
        """The sum over all lines that have this label."""
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            if line.split("{")[0].split(" ")[0] == name and label in line:
                total += float(line.rsplit(" ", 1)[1])
        return total

    def tell(self):
        """What it said last, and what it knows: for whoever reads why a scenario failed."""
        print("its log:", *self.lines[-LAST_LINES:], sep="\n")
        if self.process.poll() is None and getattr(self, "api", None):
            print("its status:", json.dumps(self.status()))

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self):
        status = self.process.wait(timeout=PATIENCE_S)
        self.reader.join(timeout=PATIENCE_S)
        return status

    def channel(self):
        return grpc.insecure_channel(self.grpc, options=[("grpc.enable_retries", 0)])


def daemon_with_kernel(*arguments, **options):
    """A daemon that follows the kernel; without root or eBPF the test is skipped, and says why. On an emulated machine
    the probe may take longer than the daemon waits for it, which does without until then."""
    if os.geteuid() != 0:
        skip("needs root for eBPF")
    daemon = Daemon(*arguments, **options)

    def said():
        kernel = daemon.status()["kernel"]
        has_failed = kernel["error"] and "has not said" not in kernel["error"]
        return kernel if kernel["available"] or has_failed else None

    kernel = wait_for(said, "the probe to say whether it works")
    if not kernel["available"]:
        skip("no eBPF here: " + str(kernel["error"]))
    return daemon


def request(spans, service="flow", **resource):
    """An ExportTraceServiceRequest of (trace_id, span_id, parent_id, name, start_ns, end_ns)."""
    message = trace_service_pb2.ExportTraceServiceRequest()
    part = message.resource_spans.add()
    for key, value in {"service.name": service, **resource}.items():
        attribute = part.resource.attributes.add(key=key)
        attribute.value.string_value = value
    scope = part.scope_spans.add()
    for trace_id, span_id, parent_id, name, start, end in spans:
        scope.spans.add(trace_id=trace_id, span_id=span_id, parent_span_id=parent_id, name=name,
                        start_time_unix_nano=start, end_time_unix_nano=end, kind=2)
    return message


def one_span(number, name="GET /"):
    """A root span of its own trace, told apart by `number`."""
    now = time.time_ns()
    return (number.to_bytes(16, "big"), number.to_bytes(8, "big"), b"", name, now - 1000000, now)


def trace_id(number):
    return number.to_bytes(16, "big").hex()


def export(channel, message, **options):
    stub = trace_service_pb2_grpc.TraceServiceStub(channel)
    return stub.Export(message, timeout=PATIENCE_S, **options)


def expect_error(code, call):
    """Runs `call`, which must fail with this gRPC code; returns the error."""
    try:
        call()
    except grpc.RpcError as error:
        if error.code() != code:
            raise AssertionError(f"{error.code()} {error.details()} in place of {code}") from error
        return error
    raise AssertionError(f"it succeeded in place of {code}")


def kept_back():
    """How many wakings and switches the kernel has kept from the daemons that run, as they count them."""
    lost = [daemon.status()["kernel"]["lost"] for daemon in started
            if daemon.process.poll() is None and getattr(daemon, "api", None)]
    return sum(one["waking"] + one["switch_in"] + one["switch_out"] for one in lost)


def run(main):
    """Some kernels hide a process from all tracepoints, and with it whatever an interrupt does while one
    of its threads is current. A scenario that failed while the daemon counted such losses is played again.
    """
    for left in reversed(range(ATTEMPTS)):
        try:
            main()
            return print("passed")
        except Exception:
            traceback.print_exc()
            for daemon in started:
                daemon.tell()
            lost = kept_back()
            if not left or not lost:
                sys.exit(1)
        print(f"the kernel kept {lost} wakings or switches back: once more")
        for daemon in started:
            daemon.kill()
        started.clear()
