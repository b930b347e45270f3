# SPDX-License-Identifier: Apache-2.0
"""What an acknowledged span costs the server: CPU of all its processes and threads, latency, memory; and the OpenTelemetry
Collector beside it, in the same run, when there is one. Run it by `tests/bench/ingest/run`.

Spans of a real SDK (span_template.py), ids and times new in every batch, sent over gRPC by load.c. Columns: batch size, plain or
gzip; CPU ns a span until the last acknowledgement, and until all is settled (ledgers computed, less what the idle daemon takes);
spans a second; acknowledgement p50 and p99 in ms; batches refused (UNAVAILABLE, to be sent again); peak RSS of the server in MiB.
spanwise has stored, indexed and synced what it acknowledges; the Collector drops it (nop exporter).
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import span_template  # noqa: E402
from daemon import RELEASE, TICK_NS, Daemon  # noqa: E402

IDLE_S, PATIENCE_S = 2, 60
COLLECTOR = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:%d", max_recv_msg_size_mib: 64}}}}
processors: {batch: {}}
exporters: {nop: {}}
service: {telemetry: {metrics: {level: none}, logs: {level: error}}, pipelines: {traces: {receivers: [otlp], processors: [batch], exporters: [nop]}}}
"""


class Spanwise:
    name = "spanwise"

    def __init__(self, build, options):
        self.daemon = Daemon(build, options)

    def __enter__(self):
        self.daemon.__enter__()
        self.grpc, self.cpu_ns = self.daemon.grpc, self.daemon.cpu_ns
        return self

    def __exit__(self, *_):
        self.daemon.__exit__()

    def pids(self):
        return self.daemon.pids()

    def settle(self):
        deadline = time.monotonic() + PATIENCE_S
        while self.daemon.get("/api/v1/status")["correlator"]["traces_pending"] and time.monotonic() < deadline:
            time.sleep(0.2)


class Collector:
    name = "collector"

    def __init__(self, binary, port):
        self.binary, self.grpc = binary, f"127.0.0.1:{port}"
        self.config = tempfile.NamedTemporaryFile("w", suffix=".yaml")
        self.config.write(COLLECTOR % port)
        self.config.flush()

    def __enter__(self):
        self.process = subprocess.Popen([self.binary, "--config", self.config.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        host, port = self.grpc.split(":")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection((host, int(port))).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)

    def pids(self):
        return [self.process.pid]

    def cpu_ns(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK_NS

    def settle(self):
        pass


def peak_rss_mib(server):
    total = 0
    for pid in server.pids():
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            total += int(line.split()[1]) if line.startswith("VmHWM:") else 0
    return total / 1024


def send(arguments, template, server, **options):
    command = [arguments.build / "tests/bench/ingest/bench_ingest_load", template, server.grpc]
    done = subprocess.run([*command, *(f"{key}={value}" for key, value in options.items())], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{server.name}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def idle_cpu_share(server):
    start, cpu = time.monotonic(), server.cpu_ns()
    time.sleep(IDLE_S)
    return (server.cpu_ns() - cpu) / (time.monotonic() - start) / 1e9


def measure(arguments, template, server, size, gzip):
    batches = max(64, min(arguments.spans // size, 20000))
    options = {"connections": arguments.connections, "streams": arguments.streams if size < 8192 else 2, "gzip": int(gzip),
               "rate": arguments.rate}
    send(arguments, template, server, **options, batches=32)  # warm: pages, pools, connections
    server.settle()
    idle = idle_cpu_share(server)
    start, cpu = time.monotonic(), server.cpu_ns()
    result = send(arguments, template, server, **options, batches=batches)
    acknowledged = server.cpu_ns() - cpu
    server.settle()
    settled = server.cpu_ns() - cpu - idle * (time.monotonic() - start) * 1e9
    spans = max(result["acknowledged_spans"], 1)
    print(f"{server.name:10} {size:6} {'gzip' if gzip else 'plain':6} {acknowledged / spans:9.0f} {settled / spans:9.0f}"
          f" {spans / result['seconds']:12,.0f} {result['p50_ms']:8.2f} {result['p99_ms']:8.2f} {result['refused_batches']:7}"
          f" {peak_rss_mib(server):7.0f}", flush=True)


def servers(arguments):
    yield Spanwise(arguments.build, [f"--probe={arguments.probe}"])
    if arguments.collector:
        yield Collector(arguments.collector, 24517)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=RELEASE)
    parser.add_argument("--sizes", default="1,100,512,8192", help="spans in a batch")
    parser.add_argument("--spans", type=int, default=500_000, help="about so many for each line")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--streams", type=int, default=8, help="in flight on each connection")
    parser.add_argument("--rate", type=int, default=0, help="spans a second; 0: as fast as they are acknowledged")
    parser.add_argument("--encodings", default="plain,gzip")
    parser.add_argument("--probe", default="off", help="on: with the kernel's records, as root")
    parser.add_argument("--collector", default=os.environ.get("OTELCOL", ""), help="a binary of the Collector; tests/interop/otlp_tools builds one")
    arguments = parser.parse_args()
    print(f"{'server':10} {'batch':>6} {'':6} {'acked ns':>9} {'settled':>9} {'spans/s':>12} {'p50 ms':>8} {'p99 ms':>8} {'refused':>7} {'RSS MiB':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for size in map(int, arguments.sizes.split(",")):
            template = os.path.join(folder, f"{size}.spans")
            span_template.write(template, size)
            for encoding in arguments.encodings.split(","):
                for server in servers(arguments):
                    with server:
                        measure(arguments, template, server, size, encoding == "gzip")


if __name__ == "__main__":
    main()
