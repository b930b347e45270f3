# SPDX-License-Identifier: Apache-2.0
"""Is memory flat, and below the limit? Spans and tagged switches at a steady rate; anonymous memory of all
processes and the BPF maps, every ten seconds. Run it by `tests/bench/memory/run`.
"""

import argparse
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from daemon import RELEASE, Daemon  # noqa: E402
from span_source import EXPORT, SpanSource, attribute  # noqa: E402

SERVICE = "bench-switches"


class Load:
    """Exports the spans of the switching program as they end, and others up to the rate."""

    def __init__(self, daemon, arguments):
        program = arguments.build / "tests/bench/memory/bench_memory_switches"
        self.program = subprocess.Popen([program, str(arguments.switches), str(arguments.seconds), SERVICE],
                                        stdout=subprocess.PIPE, text=True)
        self.channel = grpc.insecure_channel(daemon.grpc)
        self.export = self.channel.unary_unary(EXPORT)
        self.others = arguments.spans
        self.sent = self.refused = 0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.own), threading.Thread(target=self.rest)]
        for thread in self.threads:
            thread.start()

    def send(self, body, spans):
        try:
            self.export(body, timeout=30)
            self.sent += spans
        except grpc.RpcError:
            self.refused += spans

    def own(self):
        request = trace_service_pb2.ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        resource.resource.attributes.append(attribute("service.name", SERVICE))
        scope = resource.scope_spans.add()
        for line in self.program.stdout:
            trace_id, span_id, start, end = line.split()
            scope.spans.add(trace_id=bytes.fromhex(trace_id), span_id=bytes.fromhex(span_id), name="burst", kind=1,
                            start_time_unix_nano=int(start), end_time_unix_nano=int(end))
            if len(scope.spans) == 500:
                self.send(request.SerializeToString(), len(scope.spans))
                scope.ClearField("spans")

    def rest(self):
        """A thousand spans a second are the program's; these are the others."""
        batch = max(8, (self.others - 1000) // 10)
        source, due = SpanSource(batch), time.monotonic()
        while not self.stopping.is_set():
            self.send(source.batch(), batch)
            due += 0.1
            time.sleep(max(0, due - time.monotonic()))

    def stop(self):
        self.program.wait(60)
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        self.channel.close()


def mib(count):
    return f"{count / (1 << 20):8.1f}"


def sample(daemon, load, start):
    status = daemon.get("/api/v1/status")
    anonymous, maps = daemon.anonymous_bytes(), status["memory"]["bpf_map_bytes"]
    total = anonymous + maps
    kernel, model = status["kernel"], status["correlator"]
    print(f"{time.monotonic() - start:6.0f} {load.sent:10} {load.refused:8} {kernel['records']:11} "
          f"{sum(kernel['lost'].values()):8} {mib(anonymous)} {mib(maps)} {mib(total)} {model['traces_pending']:8} "
          f"{model['ledgers']['partial']:8}", flush=True)
    return total, status["memory"]["limit_bytes"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=RELEASE)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--spans", type=int, default=5000, help="a second")
    parser.add_argument("--switches", type=int, default=50000, help="tagged, a second")
    arguments = parser.parse_args()
    with Daemon(arguments.build) as daemon:
        load, start, totals = Load(daemon, arguments), time.monotonic(), []
        print(f"{'s':>6} {'spans':>10} {'refused':>8} {'records':>11} {'lost':>8} {'anon':>8} {'maps':>8} {'MiB':>8} "
              f"{'pending':>8} {'partial':>8}")
        while load.program.poll() is None:
            try:
                load.program.wait(10)
            except subprocess.TimeoutExpired:
                pass
            total, limit = sample(daemon, load, start)
            totals.append(total)
        load.stop()
    half = totals[len(totals) // 2 :] or totals
    growth = (half[-1] - half[0]) / max(1, half[0])
    print(f"most {max(totals) / (1 << 20):.1f} MiB of {limit / (1 << 20):.0f}; second half: {growth:+.1%}")
    sys.exit(1 if max(totals) > limit else 0)


if __name__ == "__main__":
    main()
