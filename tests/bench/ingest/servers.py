# SPDX-License-Identifier: Apache-2.0
"""The servers that ingest.py compares: spanwise, and the OpenTelemetry Collector, started and stopped as context managers."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import namedtuple
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "tests" / "bench"), str(ROOT / "tests" / "interop")]
import otelcol  # noqa: E402
from daemon import Daemon, cpu_ns_of  # noqa: E402

IDLE_S, PATIENCE_S, LOOK_EVERY_S = 2, 60, 0.05
RECEIVER = 'receivers: {otlp: {protocols: {grpc: {endpoint: "%s", max_recv_msg_size_mib: 64}}}}'
QUIET = "telemetry: {metrics: {level: none}, logs: {level: error}}"
DROPS = f"""
{RECEIVER}
processors: {{batch: {{}}}}
exporters: {{nop: {{}}}}
service: {{{QUIET}, pipelines: {{traces: {{receivers: [otlp], processors: [batch], exporters: [nop]}}}}}}
"""
KEEPS = f"""
{RECEIVER}
extensions: {{file_storage: {{directory: "%s", fsync: true}}}}
exporters: {{otlp: {{endpoint: "%s", tls: {{insecure: true}}, sending_queue: {{storage: file_storage, queue_size: 100000}}}}}}
service: {{{QUIET}, extensions: [file_storage], pipelines: {{traces: {{receivers: [otlp], exporters: [otlp]}}}}}}
"""


class Times(namedtuple("Times", "cpu_ns wall_ns")):
    def __sub__(self, other):
        return Times(self.cpu_ns - other.cpu_ns, self.wall_ns - other.wall_ns)


class Server:
    def publishing(self):
        return 0

    def times(self):
        return Times(sum(map(cpu_ns_of, self.pids())), time.monotonic_ns())


class Spanwise(Server):
    name = "spanwise"

    def __init__(self, build, options):
        self.build, self.options = build, options

    def __enter__(self):
        self.daemon = Daemon(self.build, self.options)
        self.daemon.__enter__()
        self.grpc = self.daemon.grpc
        return self

    def __exit__(self, *_):
        self.daemon.__exit__()

    def pids(self):
        return self.daemon.pids()

    def publishing(self):
        """How many processes of this node publish a context."""
        return len(self.daemon.get("/api/v1/status")["probe"].get("publishing") or [])

    def settle(self):
        deadline, idle = time.monotonic() + PATIENCE_S, 0
        while idle < 2 and time.monotonic() < deadline:
            time.sleep(0.3)
            idle = 0 if self.daemon.unsettled() else idle + 1


class Collector(Server):
    """Drops everything; with a `sink` (another one) it keeps it on disk, and sends it there."""

    def __init__(self, binary, sink=None):
        self.binary, self.sink = binary, sink
        self.name = "collector file" if sink else "collector nop"

    def __enter__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.grpc = f"127.0.0.1:{free.getsockname()[1]}"
        self.folder = Path(tempfile.mkdtemp(prefix="otelcol-bench."))
        text = DROPS % self.grpc
        if self.sink:
            self.sink.__enter__()
            text = KEEPS % (self.grpc, self.folder, self.sink.grpc)
        (self.folder / "config.yaml").write_text(text)
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen([self.binary, "--config", self.folder / "config.yaml"], stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while not self.listens():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{self.name}: {(self.folder / 'log').read_text()}")
            time.sleep(0.05)
        return self

    def listens(self):
        host, port = self.grpc.split(":")
        try:
            socket.create_connection((host, int(port))).close()
            return True
        except OSError:
            return False

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.sink:
            self.sink.__exit__()

    def pids(self):
        return [self.process.pid]

    def settle(self):
        """Until it is idle: it does not say how much is queued."""
        deadline = time.monotonic() + PATIENCE_S
        while idle_cpu_share(self, 0.5) > 0.02 and time.monotonic() < deadline:
            pass


def idle_cpu_share(server, seconds=IDLE_S):
    start = server.times()
    time.sleep(seconds)
    passed = server.times() - start
    return passed.cpu_ns / passed.wall_ns


class Memory:
    """The most that a server had, of all its processes together, while it was looked at; in MiB."""

    def __init__(self, server):
        self.server, self.anonymous, self.total = server, 0, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def __enter__(self):
        self.pids = self.server.pids()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def look(self):
        sums = {"RssAnon": 0, "VmRSS": 0}
        for pid in self.pids:
            try:
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            except OSError:
                continue
            for line in lines:
                name, _, value = line.partition(":")
                if name in sums:
                    sums[name] += int(value.split()[0]) / 1024
        self.anonymous, self.total = max(self.anonymous, sums["RssAnon"]), max(self.total, sums["VmRSS"])

    def watch(self):
        while not self.over.wait(LOOK_EVERY_S):
            self.look()


def collectors(which):
    """Those to be compared with; none when it is not there and cannot be built."""
    if which == "none":
        return []
    try:
        binary = otelcol.build() if which == "build" else which
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"without the Collector: {error}")
        return []
    assert os.access(binary, os.X_OK), binary
    return [Collector(binary), Collector(binary, Collector(binary))]
