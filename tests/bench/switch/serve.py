# SPDX-License-Identifier: Apache-2.0
"""What `spanwise serve` costs, with its defaults and all programs attached, beside the same machine without it.

Turns without, with, and with but no stacks alternate; the least of all laps counts (noise only adds), the median
stands beside it. Then the same cost as a busy service sees it: what the ping-pong predicts, and what was measured.
At last the CPU time and the memory of spanwise's own processes. Run it by `tests/bench/switch/run`; root.
"""

import argparse
import contextlib
import statistics
import subprocess
import sys
import time
from pathlib import Path

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "memory"))
from daemon import RELEASE, Daemon, cpu_ns_by_thread  # noqa: E402
from memory import Load  # noqa: E402
from span_source import EXPORT, attribute  # noqa: E402

STATES = {"off": None, "no stacks": ("--stacks-per-s", "0"), "defaults": ()}
# program, game, and what it may cost in ns without stacks and with
GAMES = [("plain", "pipe", 100, 100), ("plain", "futex", 100, 100), ("tagged", "pipe", 350, 500), ("tagged", "futex", 350, 500),
         ("plain", "threads", None, None), ("tagged", "threads", 1000, 1000), ("tagged", "request", None, None)]
SWITCHES_PER_REQUEST = 2
LOSS = {"no stacks": 2.0, "defaults": 4.0}  # % of CPU a request, at most
OWN_CPU, OWN_MIB = 4.0, 64
TIMELINES_PART = 0.85 * 31 / 64  # of the memory limit: what they may have while traces need little


def play(arguments, program, game, work):
    name = {"plain": "bench_switch_plain", "tagged": "bench_switch_service"}[program]
    command = [arguments.build / "tests/bench/switch" / name, game, str(arguments.laps), str(work)]
    return [float(word) for word in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()]


def measure(arguments, work):
    """(program, game, state) -> least and median of all turns."""
    samples = {}
    for _ in range(arguments.turns):
        for state, options in STATES.items():
            with Daemon(arguments.build, options) if options is not None else contextlib.nullcontext():
                for program, game, *_ in GAMES:
                    samples.setdefault((program, game, state), []).append(play(arguments, program, game, work))
    return {key: (min(least for least, _ in both), statistics.median(median for _, median in both))
            for key, both in samples.items()}


def verdict(figure, target, unit):
    return "" if target is None else f"  target {target:g}{unit}: {'held' if figure <= target else 'MISSED'}"


def print_games(figures):
    print(f"{'ns for each':<18} {'state':<10} {'least':>9} {'median':>9} {'+ least':>9} {'+ median':>9}")
    for program, game, *targets in GAMES:
        off = figures[program, game, "off"]
        for state in STATES:
            least, median = figures[program, game, state]
            target = {"off": None, "no stacks": targets[0], "defaults": targets[1]}[state]
            print(f"{program + ' ' + game:<18} {state:<10} {least:9.0f} {median:9.0f} {least - off[0]:9.0f} "
                  f"{median - off[1]:9.0f}{verdict(least - off[0], target, ' ns')}")


def print_loss(figures):
    request = figures["tagged", "request", "off"]
    rate = SWITCHES_PER_REQUEST * 1e9 / request[1]
    print(f"\na service that switches {rate:,.0f} times a second under tags; more CPU for each request:")
    for state in ("no stacks", "defaults"):
        added = [figures["tagged", "pipe", state][i] - figures["tagged", "pipe", "off"][i] for i in range(2)]
        predicted = [100 * SWITCHES_PER_REQUEST * added[i] / request[i] for i in range(2)]
        measured = [100 * (figures["tagged", "request", state][i] / request[i] - 1) for i in range(2)]
        print(f"  {state:<10} predicted {predicted[0]:5.2f} % (median {predicted[1]:5.2f}), measured {measured[0]:5.2f} % "
              f"(median {measured[1]:5.2f}){verdict(measured[0], LOSS[state], ' %')}")


def print_timelines(status):
    """What a cycle takes in the timelines, and how far back the memory for them reaches."""
    kept = status["correlator"]["slices"] - status["correlator"]["slices_folded"]
    each = status["memory"]["parts"]["timelines"] / max(1, kept)
    reach = status["memory"]["limit_bytes"] * TIMELINES_PART / max(each, 1) / 100_000
    print(f"  timelines {each:.1f} bytes a cycle{verdict(each, 24, '')}; in their part of the memory limit {reach:.0f} s at 100,000 "
          f"cycles a second, target 60: {'held' if reach >= 60 else 'MISSED'}")


def print_long(arguments):
    """One span on one thread, longer than timelines reach back: what is its ledger worth?"""
    program = [arguments.build / "tests/bench/switch/bench_switch_service", "long", str(arguments.long)]
    with Daemon(arguments.build) as daemon:
        output = subprocess.run(program, check=True, capture_output=True, text=True).stdout
        trace_id, span_id, start, end = output.split()
        request = trace_service_pb2.ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        resource.resource.attributes.append(attribute("service.name", "bench-long"))
        resource.scope_spans.add().spans.add(trace_id=bytes.fromhex(trace_id), span_id=bytes.fromhex(span_id), name="long", kind=1,
                                             start_time_unix_nano=int(start), end_time_unix_nano=int(end))
        with grpc.insecure_channel(daemon.grpc) as channel:
            channel.unary_unary(EXPORT)(request.SerializeToString(), timeout=30)
        time.sleep(12)
        span = daemon.get(f"/api/v1/spans/{trace_id}/{span_id}")
        folded = daemon.get("/api/v1/status")["correlator"]["slices_folded"]
    ledger = (span.get("span") or span)["ledger"]
    print(f"\na span of {arguments.long} s on one thread, {folded:,} of its slices folded: {ledger['grade']}, uncertain by "
          f"{ledger['uncertain_ns']} ns; CPU {ledger['cpu_ns']} ns, blocked {ledger['blocked_ns']}, unknown {ledger['unknown_ns']}")


def threads_of(daemon):
    """(pid, name) -> CPU time so far."""
    return {(pid, name): ns for pid in daemon.pids() for name, ns in cpu_ns_by_thread(pid).items()}


def print_own(arguments):
    """CPU time and memory of the daemon itself, while a service switches and exports 1,000 spans a second."""
    arguments.spans = 1000
    with Daemon(arguments.build) as daemon:
        load = Load(daemon, arguments)
        time.sleep(arguments.warm_up)
        before = daemon.get("/api/v1/status")
        begin, begin_ns, threads = time.monotonic(), daemon.cpu_ns(), threads_of(daemon)
        time.sleep(arguments.seconds - arguments.warm_up - 5)
        status = daemon.get("/api/v1/status")
        wall = time.monotonic() - begin
        cpu = 100 * (daemon.cpu_ns() - begin_ns) / 1e9 / wall
        own = {key: ns - threads.get(key, 0) for key, ns in threads_of(daemon).items()}
        parts = status["memory"]["parts"]
        beside = daemon.anonymous_bytes() + status["memory"]["bpf_map_bytes"] - parts["timelines"]
        records = status["kernel"]["records"] - before["kernel"]["records"]
        load.stop()
    print(f"\nspanwise's own processes at {records / wall:,.0f} tagged switches and 1,080 spans a second, stored and settled:")
    print(f"  CPU {cpu:.1f} % of one core{verdict(cpu, OWN_CPU, ' %')}")
    print("  of it " + ", ".join(f"{name} {100 * ns / 1e9 / wall:.2f}" for (_, name), ns in sorted(own.items(), key=lambda kv: -kv[1])
                                 if ns > wall * 1e5) + f"; the engine {sum(ns for (_, name), ns in own.items() if name == 'engine') / records:.0f} ns a record")
    print(f"  memory beside the timelines ({parts['timelines'] / (1 << 20):.0f} MiB) {beside / (1 << 20):.0f} MiB, of which BPF maps "
          f"{status['memory']['bpf_map_bytes'] / (1 << 20):.0f}{verdict(beside / (1 << 20), OWN_MIB, ' MiB')}")
    print_timelines(status)
    print("  parts, MiB: " + ", ".join(f"{name} {count / (1 << 20):.1f}" for name, count in parts.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=RELEASE)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--laps", type=int, default=300)
    parser.add_argument("--seconds", type=int, default=30, help="for spanwise's own processes; 0: not")
    parser.add_argument("--warm-up", type=int, default=5, help="seconds of these; timelines are full after some 70")
    parser.add_argument("--switches", type=int, default=200000, help="a second, for spanwise's own processes")
    parser.add_argument("--long", type=int, default=0, metavar="SECONDS", help="one span of that length, too; 600 is of interest")
    arguments = parser.parse_args()
    if arguments.turns:
        work = int(subprocess.run([arguments.build / "tests/bench/switch/bench_switch_plain", "calibrate", "1"], check=True,
                                  capture_output=True, text=True).stdout)
        figures = measure(arguments, work)
        print_games(figures)
        print_loss(figures)
    if arguments.seconds:
        print_own(arguments)
    if arguments.long:
        print_long(arguments)


if __name__ == "__main__":
    main()
