# SPDX-License-Identifier: Apache-2.0
"""Questions about a week of spans while 20,000 a second come in: how long they take by HTTP, and what they do to the time until
an acknowledgement. Run it by `tests/bench/storage/run`.

    beside.py FOLDER TRACES HOURS [--packing] [--rounds N]        a week that bench_week made and kept

Phases with and without questions alternate, in one daemon with its defaults (but for the age of what it keeps): so what the
machine does otherwise meets both. The questions are asked one after the other, PER_SECOND of them, as a dashboard and some
people would. A part is not over while this runs: packing one takes the disk and a CPU for half a minute, and would meet some of
the phases and not others. --packing leaves that to chance, as it is by default, with one each 25 s.
"""

import argparse
import json
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "ingest")]
import span_template  # noqa: E402
from daemon import RELEASE, Daemon  # noqa: E402

START_S, HOUR_S = 1763798400, 3600
SPANS_A_S, BATCH, PHASE_S, ROUNDS, PER_SECOND = 20_000, 100, 12, 4, 20
SINGLE_EVERY = 8  # as sample.h
MAX_AGE_H = "87840"  # the week is long ago
WARM_TRACES = 2000
COST_QUESTIONS = 200
HUGE_MIB = 400_000  # a part is closed at a sixteenth of it
SERVICE = "report-demo"
MASK = 2**64 - 1


def mix(value):
    value = (value + 0x9E3779B97F4A7C15) & MASK
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & MASK
    return value ^ value >> 31


def trace_id(number):
    """As sample_trace_id()."""
    return b"".join(mix(2 * number + half).to_bytes(8, "little") for half in (0, 1)).hex()


class Client:
    """As lean as can be, so that it is the daemon that is measured."""

    def __init__(self, api):
        host, _, port = api.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path):
        """The status."""
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        heard = b""
        while b"\r\n\r\n" not in heard:
            heard += self.socket.recv(1 << 20)
        head, _, body = heard.partition(b"\r\n\r\n")
        left = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]) - len(body)
        while left > 0:
            left -= len(self.socket.recv(1 << 20))
        return int(head.split()[1])


class Questions:
    def __init__(self, arguments):
        self.traces, self.hours = arguments.traces, arguments.hours
        self.random = random.Random(1)
        self.kinds = {
            "nothing: what machine and client take": (None, lambda: "/healthz"),
            "a trace by its id": (2, lambda: f"/api/v1/traces/{trace_id(self.random.randrange(self.traces))}"),
            "a trace of one span": (2, lambda: f"/api/v1/traces/{trace_id(self.single())}"),
            "a trace that is not there": (2, lambda: f"/api/v1/traces/{self.random.randbytes(16).hex()}"),
            "an hour by two conditions": (50, lambda: self.hour("spans", min_wall_ms=100, max_ratio=0.02, limit=20)),
            "the most blocked on the net, an hour": (50, lambda: self.hour(
                "spans", operation="POST /order", reason="net", sort="blocked", limit=20)),
            "operations of 24 hours": (50, self.day),
            "p99 waits of an operation, an hour": (200, lambda: self.hour("waits", operation="GET /report", quantile=0.99)),
        }
        self.took_ms = {kind: [] for kind in self.kinds}

    def single(self):
        return self.random.randrange(self.traces) // SINGLE_EVERY * SINGLE_EVERY

    def hour(self, what, **conditions):
        start = START_S + self.random.randrange(self.hours - 1) * HOUR_S
        return f"/api/v1/{what}?" + urlencode(
            {"service": SERVICE, "from": start * 10**9, "to": (start + HOUR_S) * 10**9, **conditions})

    def day(self):
        start = START_S + self.random.randrange(max(self.hours - 24, 1) * 60) * 60
        return "/api/v1/operations?" + urlencode({"from": start * 10**9, "to": (start + 24 * HOUR_S) * 10**9})

    def ask(self, api, seconds, keep):
        client = Client(api)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for kind, (_, path) in self.kinds.items():
                path, start = path(), time.monotonic()
                status = client.get(path)
                took = time.monotonic() - start
                if status != (404 if "not there" in kind else 200):
                    raise SystemExit(f"{path}: {status}")
                if keep:
                    self.took_ms[kind].append(took * 1000)
                time.sleep(max(0, 1 / PER_SECOND - took))

    def warm(self, api):
        """As a daemon is that people use: it knows the names of most stacks."""
        client = Client(api)
        for _ in range(WARM_TRACES):
            client.get(self.kinds["a trace by its id"][1]())
        self.ask(api, 5, keep=False)

    def cost(self, daemon):
        """What each kind takes of a CPU in the daemon, asked one right after the other with nothing else going on."""
        client = Client(daemon.api)
        for kind, (_, path) in self.kinds.items():
            before = daemon.cpu_ns()
            for _ in range(COST_QUESTIONS):
                client.get(path())
            print(f"  {kind:38} {(daemon.cpu_ns() - before) / COST_QUESTIONS / 1e6:7.2f} ms of CPU")

    def print(self):
        for kind, (limit_ms, _) in self.kinds.items():
            took = sorted(self.took_ms[kind])
            print(f"  {kind:38} p50 {took[len(took) // 2]:7.2f}, p99 {took[len(took) * 99 // 100]:7.2f} ms of {len(took)}"
                  + (f" (wanted: p99 <= {limit_ms} ms)" if limit_ms else ""))


def load(arguments, daemon, template):
    done = subprocess.run(
        [arguments.build / "tests/bench/ingest/bench_ingest_load", template, daemon.grpc, "connections=4", "streams=8",
         f"rate={SPANS_A_S}", f"batches={SPANS_A_S * PHASE_S // BATCH}"], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    return result["p50_ms"], result["p99_ms"], result["acknowledged_spans"] / result["seconds"]


def middle(values):
    return sorted(values)[len(values) // 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("traces", type=int)
    parser.add_argument("hours", type=int)
    parser.add_argument("--packing", action="store_true")
    parser.add_argument("--cost", action="store_true", help="only: what each kind of question takes of a CPU")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--build", type=Path, default=RELEASE)
    arguments = parser.parse_args()
    questions, alone, beside = Questions(arguments), [], []
    options = ["--data", arguments.folder, "--max-age-h", MAX_AGE_H, *([] if arguments.packing else ["--max-data-mib", str(HUGE_MIB)])]
    with tempfile.NamedTemporaryFile() as template, Daemon(arguments.build, options) as daemon:
        span_template.write(template.name, BATCH)
        load(arguments, daemon, template.name)
        questions.warm(daemon.api)
        if arguments.cost:
            return questions.cost(daemon)
        for _ in range(arguments.rounds):
            alone.append(load(arguments, daemon, template.name))
            asking = threading.Thread(target=questions.ask, args=(daemon.api, PHASE_S - 1, True))
            asking.start()
            beside.append(load(arguments, daemon, template.name))
            asking.join()
    print(f"{PER_SECOND} questions a second while {middle([rate for _, _, rate in beside]):,.0f} spans a second come in:")
    questions.print()
    for i, name in enumerate(("p50", "p99")):
        quiet, busy = middle([phase[i] for phase in alone]), middle([phase[i] for phase in beside])
        print(f"  acknowledgement, {name}: {quiet:.2f} ms alone, {busy:.2f} ms beside the questions: {100 * (busy / quiet - 1):+.0f} %"
              + (" (wanted: < +20 %)" if name == "p99" else "") + f"; medians of {arguments.rounds} phases")


if __name__ == "__main__":
    main()
