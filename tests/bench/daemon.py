# SPDX-License-Identifier: Apache-2.0
"""A `spanwise serve` for one bench: free ports, a temporary data folder, defaults otherwise."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RELEASE = ROOT / "build" / "release"
PAGE, TICK_NS = os.sysconf("SC_PAGE_SIZE"), 10**9 // os.sysconf("SC_CLK_TCK")


def cpu_ns_of(pid):
    """CPU time of all its threads; to the nanosecond where schedstat is."""
    total = 0
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except (OSError, IndexError):
            try:
                fields = (task / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            total += (int(fields[11]) + int(fields[12])) * TICK_NS
    return total


def cpu_ns_by_thread(pid):
    """name -> CPU time."""
    times = {}
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            name = (task / "comm").read_text().strip()
            times[name] = times.get(name, 0) + int((task / "schedstat").read_text().split()[0])
        except (OSError, IndexError):
            continue
    return times


class Daemon:
    def __init__(self, build=RELEASE, options=(), data=None):
        if not (build / "spanwise").exists():
            raise SystemExit(f"{build}/spanwise is missing: use the bench's `run`, which builds it")
        self.folder = Path(tempfile.mkdtemp(prefix="spanwise-bench."))
        self.log = self.folder / "serve.log"
        command = [build / "spanwise", "serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0",
                   "--data", data or self.folder / "data", *options]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.grpc = self.http = self.api = None

    def __enter__(self):
        deadline = time.monotonic() + 60
        while not self.api:
            if self.process.poll() is not None or time.monotonic() > deadline:
                text = self.log.read_text()
                self.__exit__()
                raise SystemExit(f"spanwise serve did not get ready:\n{text}")
            for line in self.log.read_text().splitlines():
                if line.startswith("ready "):
                    pairs = dict(pair.split("=", 1) for pair in line.split()[1:])
                    self.grpc, self.http, self.api = pairs["grpc"], pairs["http"], pairs["api"]
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def get(self, path):
        with urllib.request.urlopen(f"http://{self.api}{path}", timeout=30) as answer:
            return json.load(answer)

    def text(self, path):
        with urllib.request.urlopen(f"http://{self.api}{path}", timeout=30) as answer:
            return answer.read().decode()

    def pids(self):
        """The daemon and all its descendants."""
        parents = {}
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = entry.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.parent.name)] = int(fields[1])
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def cpu_ns(self):
        return sum(map(cpu_ns_of, self.pids()))

    def unsettled(self):
        """Whether something that was acknowledged has no ledger on disk yet. Figures may be 0.25 s old: ask twice."""
        status = self.get("/api/v1/status")
        storage = status["storage"]
        return (status["correlator"]["traces_pending"] or status["memory"]["parts"]["in_flight"] or storage["queued_ledgers"]
                or storage["queued_batches"])

    def anonymous_bytes(self):
        """Anonymous memory, without LMDB's pages and without what the kernel can drop. What the processes have shared
        since one was forked from the other is there once, and counts once."""
        total = 0
        for pid in self.pids():
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss_Anon:"))
        return total
