# SPDX-License-Identifier: Apache-2.0
"""Three times what can be stored, for half a minute: what becomes of memory, and of every batch. Part of ingest.py (--only overload).

One CPU cannot send three times what the other stores, so the disk is made slow (slow_disk.py); it syncs as ever. First it is seen how
much is stored at full speed; then three times as much is due, half of it over gRPC, half over HTTP, each on 1,024 streams. What is due
when all streams wait is held back by flow control; the rest is acknowledged or refused. Afterwards the daemon is killed and started
again, and every acknowledged span must be there.
"""

import json
import subprocess
import time
from pathlib import Path

from daemon import Daemon
from servers import Memory, Spanwise
from slow_disk import SlowDisk

TIMES, SIZE, SECONDS, CAPACITY_S = 3, 512, 30, 10
DISK_BYTES_A_S = 24 << 20
COUNTED_AFTER_S = 1.5  # sessions hand in what they counted each second
WIDE = {"connections": 16, "streams": 64}
EXPLAINED = ("refused_batches", "unexplained_batches", "failed_batches", "sent_batches", "due_batches", "acknowledged_spans")
BUSY, EXHAUSTED = ('spanwise_grpc_replies_total{code="UNAVAILABLE"}', 'spanwise_http_replies_total{code="503"}'), 'code="RESOURCE_EXHAUSTED"'


def metric(daemon, name):
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in daemon.text("/metrics").splitlines() if not line.startswith("#") and name in line)


class Timeline(Memory):
    """Memory each second, too: all that is resident, and what the daemon itself counts against its limit."""

    def __init__(self, server):
        super().__init__(server)
        self.seconds, self.counted, self.limit, self.next = [], 0, 0, time.monotonic()

    def look(self):
        last, self.anonymous, self.total = (self.anonymous, self.total), 0, 0
        super().look()
        if time.monotonic() >= self.next:
            self.seconds.append(round(self.total))
            self.next += 1
            memory = self.server.daemon.get("/api/v1/status")["memory"]
            self.counted, self.limit = max(self.counted, memory["used_bytes"] >> 20), memory["limit_bytes"] >> 20
        self.anonymous, self.total = max(self.anonymous, last[0]), max(self.total, last[1])


def start(bench, address, **options):
    words = [f"{key}={value}" for key, value in options.items()]
    return subprocess.Popen([bench.load, bench.template(SIZE), address, *words], stdout=subprocess.PIPE, text=True)


def finish(*loads):
    """The sums of what they report."""
    reports = [json.loads(load.communicate(timeout=200)[0]) for load in loads]
    sums = {key: sum(report[key] for report in reports) for key in EXPLAINED}
    sums["reasons"] = {}
    for report in reports:
        for text, count in report["reasons"].items():
            sums["reasons"][text] = sums["reasons"].get(text, 0) + count
    return sums, reports


def stored(daemon):
    storage = daemon.get("/api/v1/status")["storage"]
    return storage["spans"] + storage["spans_dropped"]


def restarted(bench, server):
    """What is there after kill -9."""
    server.daemon.process.kill()
    server.daemon.process.wait()
    with Daemon(bench.arguments.build, ["--probe=off"], data=server.daemon.folder / "data") as again:
        return stored(again)


def overload(bench, options):
    server = Spanwise(bench.arguments.build, options)
    with server, SlowDisk(server.daemon.process.pid, server.daemon.folder, DISK_BYTES_A_S):
        before, _ = finish(start(bench, server.grpc, seconds=CAPACITY_S, connections=4, streams=8))
        rate = before["acknowledged_spans"] // CAPACITY_S
        print(f"a disk that takes {DISK_BYTES_A_S >> 20} MiB a second stores {rate:,} spans a second")
        half = {"rate": TIMES * rate // 2, "seconds": SECONDS, **WIDE}
        with Timeline(server) as memory:
            sums, reports = finish(start(bench, server.grpc, **half), start(bench, server.daemon.http, http=1, **half))
        time.sleep(COUNTED_AFTER_S)
        refusals = sum(metric(server.daemon, name) for name in BUSY)
        exhausted = metric(server.daemon, EXHAUSTED)
        wanted = before["acknowledged_spans"] + sums["acknowledged_spans"]
        print(f"{TIMES} times as much due for {SECONDS} s: {sums['due_batches']} batches due, {max(0, sums['due_batches'] - sums['sent_batches'])} held"
              f" back, {sums['acknowledged_spans'] // SIZE} acknowledged, {sums['refused_batches']} refused, {sums['failed_batches']} failed")
        print(f"refusals: {refusals} counted by the daemon, {sums['unexplained_batches']} without RetryInfo or Retry-After, {exhausted}"
              f" RESOURCE_EXHAUSTED; what they said: {sums['reasons']}")
        print(f"acknowledgement p50 and p99: gRPC {reports[0]['p50_ms']:.0f} and {reports[0]['p99_ms']:.0f} ms, HTTP"
              f" {reports[1]['p50_ms']:.0f} and {reports[1]['p99_ms']:.0f} ms")
        print(f"memory: at most {memory.counted} of {memory.limit} MiB (anonymous, and BPF maps), {memory.anonymous:.0f} MiB of it anonymous;"
              f" {memory.total:.0f} MiB resident, with mapped files; that each second: {memory.seconds}")
        print(f"resident memory {'stayed below' if memory.total <= memory.limit else 'EXCEEDED'} the limit; pages and holes were given back"
              f" {server.daemon.get('/api/v1/status')['memory']['tidied']} times")
        found = stored(server.daemon)
        again = restarted(bench, server)
        print(f"{wanted} spans acknowledged, {found} there, {again} after kill -9 and a new start")
