# SPDX-License-Identifier: Apache-2.0
"""What an acknowledged span costs the server: CPU of all its processes and threads, latency, memory; and the OpenTelemetry
Collector beside it, in the same run. Run it by `tests/bench/ingest/run`.

Spans of a real SDK (span_template.py), ids and times new in every batch, sent over gRPC by load.c. spanwise has stored, indexed and
synced what it acknowledges. The Collector once drops it (otlp receiver, batch, nop exporter) and once keeps it in its synced file
queue, from which it sends to the first (otlp receiver, otlp exporter, file storage); there the queue must be empty to be settled.

Columns: spans in a batch, plain or gzip; CPU ns a span until the last acknowledgement, and until all is settled (ledgers computed,
less what the idle server takes); spans a second; acknowledgement p50 and p99 in ms; batches refused (UNAVAILABLE with RetryInfo);
most anonymous memory and most resident memory of all processes in MiB.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import span_template  # noqa: E402
from flood import flood  # noqa: E402
from overload import overload  # noqa: E402
from daemon import RELEASE  # noqa: E402
from servers import Memory, Spanwise, collectors, idle_cpu_share  # noqa: E402

HEAD = (f"{'server':14} {'batch':>6} {'':6} {'acked ns':>9} {'settled':>9} {'spans/s':>11} {'p50 ms':>8} {'p99 ms':>8} {'refused':>7}"
        f" {'anon':>6} {'total':>6}")
PACED_SPANS_A_S, PACED_SIZE, PACED_S = 20_000, 100, 10
FULL_SIZE, FULL_S = 512, 30


@contextlib.contextmanager
def publisher(arguments):
    """A process with spans of its own, which nobody exports. Yields the resource that is its."""
    if not arguments.publisher:
        yield None
        return
    program = [arguments.build / "tests/bench/memory/bench_memory_switches", str(arguments.publisher), "3600", "bench-publisher"]
    with subprocess.Popen(program, stdout=subprocess.DEVNULL) as process:
        try:
            yield {"service.name": "bench-publisher", "process.pid": process.pid}
        finally:
            process.terminate()


class Bench:
    def __init__(self, arguments, folder, resource=None):
        self.arguments, self.folder, self.resource = arguments, folder, resource
        self.load = arguments.build / "tests/bench/ingest/bench_ingest_load"

    def template(self, size):
        path = os.path.join(self.folder, f"{size}.spans")
        if not os.path.exists(path):
            span_template.write(path, size, self.resource)
        return path

    def send(self, server, size, **options):
        words = [f"{key}={value}" for key, value in options.items()]
        done = subprocess.run([self.load, self.template(size), server.grpc, *words], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{server.name}: {done.stdout}{done.stderr}")
        result = json.loads(done.stdout)
        if result["unexplained_batches"]:
            print(f"{server.name}: {result['unexplained_batches']} batches were refused without RetryInfo")
        return result

    def measure(self, server, size, gzip=False, **options):
        """One line. Returns the two costs of a span."""
        options = {"connections": 4, "streams": 64 if size == 1 else 8 if size < 8192 else 2, "gzip": int(gzip), **options}
        warm = {**options, "batches": 64}
        warm.pop("seconds", None)
        self.send(server, size, **warm)  # pages, pools, connections
        server.settle()
        idle, start = idle_cpu_share(server), server.times()
        if server.publishing():
            print(f"{server.publishing()} processes of this node publish a context; these spans are of {'one' if self.resource else 'none'} of them")
        with Memory(server) as memory:
            result = self.send(server, size, **options)
            acknowledged = server.times() - start
            server.settle()
        settled = server.times() - start
        spans = max(result["acknowledged_spans"], 1)
        costs = acknowledged.cpu_ns / spans, (settled.cpu_ns - idle * settled.wall_ns) / spans
        print(f"{server.name:14} {size:6} {'gzip' if gzip else 'plain':6} {costs[0]:9.0f} {costs[1]:9.0f} {spans / result['seconds']:11,.0f}"
              f" {result['p50_ms']:8.2f} {result['p99_ms']:8.2f} {result['refused_batches']:7} {memory.anonymous:6.0f} {memory.total:6.0f}",
              flush=True)
        return costs

    def table(self, servers):
        for size in map(int, self.arguments.sizes.split(",")):
            batches = max(64, min(self.arguments.spans // size, 60_000))
            for encoding in self.arguments.encodings.split(","):
                costs = {}
                for server in servers:
                    with server:
                        costs[server.name] = self.measure(server, size, encoding == "gzip", batches=batches)
                own = costs.pop("spanwise")
                for name, (acknowledged, _) in costs.items():
                    print(f"    {name} took {acknowledged / own[0]:.1f} times the CPU until acknowledged, {acknowledged / own[1]:.1f} times"
                          " what spanwise took until settled")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=RELEASE)
    parser.add_argument("--sizes", default="1,100,512,8192", help="spans in a batch")
    parser.add_argument("--encodings", default="plain,gzip")
    parser.add_argument("--spans", type=int, default=500_000, help="about so many for each line")
    parser.add_argument("--probe", default="on" if os.geteuid() == 0 else "off", help="off: without the kernel's records")
    parser.add_argument("--serve", default="", help="further options of the daemon, as --network-threads=2")
    parser.add_argument("--collector", default="build", help="none; build: from its Go modules, once; or the path of a binary")
    parser.add_argument("--only", default="table,paced,full,overload,flood")
    parser.add_argument("--publisher", type=int, default=0, metavar="SWITCHES",
                        help="a process publishes a context beside it, and switches so often a second")
    parser.add_argument("--own", action="store_true", help="the spans say that they are that process's, and are correlated")
    arguments = parser.parse_args()
    only = arguments.only.split(",")
    spanwise = Spanwise(arguments.build, [f"--probe={arguments.probe}", *arguments.serve.split()])
    with tempfile.TemporaryDirectory() as folder, publisher(arguments) as resource:
        bench = Bench(arguments, folder, resource if arguments.own else None)
        print(HEAD)
        if "table" in only:
            bench.table([spanwise, *collectors(arguments.collector)])
        if "paced" in only:
            print(f"at {PACED_SPANS_A_S:,} spans a second for {PACED_S} s:")
            with spanwise:
                bench.measure(spanwise, PACED_SIZE, rate=PACED_SPANS_A_S, batches=PACED_SPANS_A_S * PACED_S // PACED_SIZE)
        if "full" in only:
            print(f"as fast as it goes, for {FULL_S} s:")
            with spanwise:
                bench.measure(spanwise, FULL_SIZE, seconds=FULL_S)
        if "overload" in only:
            overload(bench, spanwise.options)
        if "flood" in only:
            flood(bench, spanwise.options)


if __name__ == "__main__":
    main()
