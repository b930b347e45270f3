# SPDX-License-Identifier: Apache-2.0
"""How far the ledgers are from the truth.

Runs programs that know what their spans cost (scenarios.c, truth.py) against `spanwise serve` with its
defaults, fetches the ledgers by the API and prints the distribution of the errors. Run it by
`tests/bench/accuracy/run`.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from daemon import RELEASE, Daemon  # noqa: E402

TURNS = {"spin": 150, "sleep": 150, "futex": 150, "pipe": 150, "tcp": 150, "nested": 100,
         "back-to-back": 100, "exit": 8, "fan-out": 60, "hand-over": 100, "ends-elsewhere": 100,
         "thread-each": 60, "crowd": 2, "fork": 60, "unexported": 100, "event-loop": 40, "migrating": 100,
         "two-nodes": 100, "pool": 100, "across-threads": 60, "prefork": 40, "fork-exec": 60, "priorities": 25,
         "throttled": 40, "coroutines": 40, "gathered": 40, "root-within": 80, "late-attach": 150, "lent": 80,
         "ping-pong": 60, "stealing": 60, "exits-within": 60, "alarmed": 40, "python": 100,
         "raw-lent": 80, "raw-shared": 60, "raw-thread": 60, "raw-process": 60, "spawned": 60, "exec-within": 60, "exec-away": 60,
         "bursts": 10, "driven": 40, "ended-by-signal": 60, "vfork-burns": 60, "mass": 3, "namespaced": 40, "clock-of-its-own": 40, "twins": 20, "asked": 20, "swapped": 30, "spoiled": 20, "chance": 20,
         "medley": 20, "pools": 20, "relays": 30, "fibers": 30, "polling": 60, "hidden-first": 60}
SLIPS = {"forgotten": 20, "again": 60, "batched": 25, "linked": 25, "given-times": 60, "wrong-order": 25, "two-sdks": 20,
         "handed-back": 40, "jumps": 40, "stopped": 40, "spawns": 30}
TURNS.update(SLIPS)
OUTSIDE = {"replicas": 20, "nameless": 20, "forwarded": 20, "come-in": 20, "self-call": 20, "counted-ids": 20, "recorded": 20,
           "restarted": 20, "libraries": 20, "leaking": 20, "anything": 20, "late-shown": 20, "by-ring": 30}
TURNS.update(OUTSIDE)
TURNS["shared-record"] = 20  # whose writer keeps no log
PLUGINS = {"unloaded": 20, "cut-short": 30}  # whose writer is a library that is closed now and then
TURNS.update(PLUGINS)
PYTHON = "python-"  # before the name of a style: on the unmodified SDK
TURNS.update({PYTHON + name: turns for name, turns in {
    "nested": 40, "back-to-back": 40, "fan-out": 30, "hand-over": 60, "ends-elsewhere": 60, "thread-each": 30, "crowd": 1,
    "fork": 30, "unexported": 50, "event-loop": 25, "migrating": 60}.items()})
SERVERS = {PYTHON + name: turns for name, turns in {
    "executor": 40, "context-threads": 40, "to-thread": 20, "run-in-executor": 20, "nested-loops": 20, "loop-thread": 60,
    "interrupted": 60, "never-current": 60, "forked-job": 20, "pool-fork": 40, "pool-spawn": 40, "prefork": 4,
    "run-program": 20, "nested-executors": 30}.items()}
TURNS.update(SERVERS)
CARELESS = {PYTHON + name: turns for name, turns in {
    "forgotten": 15, "generators": 15, "again": 50, "copied": 40, "batched": 20, "linked": 20, "given-times": 20,
    "handed-back": 30, "outlived": 15, "given-up": 10, "async-generators": 20, "jumps": 30, "stopped": 25, "spawns": 20}.items()}
STAGES = {PYTHON + name: turns for name, turns in {"relays": 4, "polling": 8, "root-within": 40, "greenlets": 20}.items()}
TURNS.update(CARELESS | STAGES)
TURNS[PYTHON + "chance"] = 8
EXACT_MODE = "/exact"  # behind a scenario's name: its writer runs in exact mode
TURNS.update({name + EXACT_MODE: TURNS[name] for name in (
    "event-loop", "hand-over", "ends-elsewhere", "migrating", "back-to-back", "nested", "thread-each", "fork",
    "unexported", "pool", "coroutines", "gathered", "root-within", "lent", "ping-pong", "stealing", "exits-within", "alarmed",
    "bursts", "driven", "ended-by-signal", "vfork-burns", "clock-of-its-own", "twins", "asked", "swapped", "spoiled", "chance", "medley", "pools", "relays",
    "fibers", "polling", "hidden-first",
    "raw-shared", "raw-thread", "raw-process", "exec-within", "unloaded", *SLIPS, *OUTSIDE)})
MARKED = "/marked"  # ... and marks where spans begin and end, as Python's does
TURNS.update({name.replace(EXACT_MODE, MARKED): turns for name, turns in list(TURNS.items()) if name.endswith(EXACT_MODE)})
PLAIN = "/plain"  # Python's is by default; without it
TURNS.update({name + PLAIN: TURNS[name] for name in list(TURNS) if name.startswith("python")})
WRITERS = ("/valid", "/zeros", "/pointer", "/swap")  # as others write the record: writers.c
TURNS.update({name + writer: TURNS[name] for name in ("nested", "back-to-back", "pool", "unexported", "chance", "libraries") for writer in WRITERS})
CLOCKS = ("/ms", "/mixed", "/anchored", "/drifting", "/ticks")  # of an SDK: tell_by; the last one is the program's own
TURNS.update({name + clock: TURNS[name] for name in ("nested", "sleep", "fan-out") for clock in CLOCKS})
DRIFT, DRIFT_FROM_NS = 80e-6, 40_000  # of a clock that goes by the CPU's counter
KINDS = {"internal": 1, "server": 2, "client": 3}
LENGTHS = (50e3, 500e3, 5e6, 50e6, float("inf"))  # ns, up to
TOLERATED_NS = 2000  # beyond uncertain_ns; the truth's own slack comes on top
EXACT = ("exact", "bounded")


def wait_until_found(daemon, process):
    deadline = time.monotonic() + 30
    while not any(one["pid"] == process.pid for one in daemon.get("/api/v1/status")["probe"]["publishing"]):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise SystemExit("the program did not publish a context within 30 s")
        time.sleep(0.02)


def drift(spans):
    first = min(span["start_ns"] for span in spans)
    for span in spans:
        for edge in ("start_ns", "end_ns"):
            span[edge] += int((span[edge] - first) * DRIFT) + DRIFT_FROM_NS


def tell_by(clock, spans):
    """What an SDK makes of its spans' times that reads milliseconds; milliseconds at the start, and adds the length by
    another clock (JavaScript's); milliseconds at a trace's start, to which all its spans are relative (Java 8's);
    the time of day once, and then a counter that is taken to run a little slower than it does."""
    if clock == "/drifting":
        drift(spans)
        return
    anchors = {}
    for span in spans if clock and clock != "/ticks" else ():
        cut = [span[edge] % 10**6 for edge in ("start_ns", "end_ns")]
        if clock in ("/mixed", "/anchored"):
            cut[1] = cut[0]
        if clock == "/anchored":
            cut = anchors.setdefault(span["trace_id"], cut)
        span["start_ns"] -= cut[0]
        span["end_ns"] -= cut[1]


def run_scenario(name, turns, daemon, build):
    """Runs the program and exports what it did. Returns its spans."""
    service = f"truth-{name}"
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{daemon.grpc}",
                   "TRUTH_HTTP": f"http://{daemon.http}/v1/traces"}
    for suffix, mode in ((EXACT_MODE, "1"), (PLAIN, "0")):
        if name.endswith(suffix):
            name = name.removesuffix(suffix)
            environment["SPANWISE_EXACT_MODE"] = mode
    if name.endswith(MARKED):
        name = name.removesuffix(MARKED)
        environment.update(SPANWISE_EXACT_MODE="1", TRUTH_MARKS="1")
    writer = next((writer for writer in WRITERS if name.endswith(writer)), None)
    if writer:
        name = name.removesuffix(writer)
        environment["TRUTH_WRITER"] = writer.removeprefix("/")
    clock = next((clock for clock in CLOCKS if name.endswith(clock)), "")
    name = name.removesuffix(clock)
    if clock == "/ticks":
        environment["TRUTH_COARSE"] = "1"
    if name == "python":
        command = [sys.executable, Path(__file__).with_name("truth.py"), str(turns), service]
    elif name.startswith(PYTHON):
        style = name.removeprefix(PYTHON)
        program = ("truth_servers.py" if name in SERVERS else "truth_slips.py" if name in CARELESS
                   else "truth_stages.py" if name in STAGES else "truth_chance.py" if style == "chance"
                   else "truth_styles.py")
        command = [sys.executable, Path(__file__).with_name(program), style, str(turns), service]
    else:
        program = "truth_plugins" if name in PLUGINS else "truth_writers" if writer else "truth_scenarios"
        command = [build / "tests/bench/accuracy" / program, name, str(turns), service]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        wait_until_found(daemon, process)
        try:
            told, _ = process.communicate("\n", timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    if process.returncode:
        raise SystemExit(f"{name} ended with {process.returncode}")
    header, *spans = map(json.loads, told.splitlines())
    tell_by(clock, spans)
    if not name.startswith("python"):
        for side in {(span["is_foreign"], json.dumps(span.get("resource"))) for span in spans}:
            export(daemon.grpc, service, header["instance_id"], side, [
                span for span in spans if (span["is_foreign"], json.dumps(span.get("resource"))) == side])
    return spans


def export(address, service, instance_id, side, spans):
    is_foreign, told = side[0], json.loads(side[1])
    told = {"service.instance.id": "another-node" if is_foreign else instance_id} if told is None else told
    request = trace_service_pb2.ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    for key, value in {"service.name": service + "-far" * is_foreign, **told}.items():
        value = AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)
        resource.resource.attributes.append(KeyValue(key=key, value=value))
    scope = resource.scope_spans.add()
    for span in spans:
        scope.spans.add(
            trace_id=bytes.fromhex(span["trace_id"]), span_id=bytes.fromhex(span["span_id"]),
            parent_span_id=bytes.fromhex(span["parent_id"]), name=span["name"],
            kind=KINDS[span.get("kind", "internal")],
            start_time_unix_nano=span["start_ns"], end_time_unix_nano=span["end_ns"])
    with grpc.insecure_channel(address) as channel:
        trace_service_pb2_grpc.TraceServiceStub(channel).Export(request, timeout=30)


def ledgers_of(daemon, spans):
    """(trace id, span id) -> the API's span, once its trace has settled."""
    deadline = time.monotonic() + 40
    found = {}
    for trace_id in dict.fromkeys(span["trace_id"] for span in spans):
        while True:
            answer = daemon.get(f"/api/v1/traces/{trace_id}")
            if answer["settled"] or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        found.update(((trace_id, span["span_id"]), span) for span in answer["spans"])
    return found


def ledgers_again(build, recording):
    """The same, of a recording, by the code at hand; the newest revision wins."""
    told = subprocess.run([build / "spanwise", "replay", recording], stdout=subprocess.PIPE, check=False)
    return {(ledger["trace_id"], ledger["span_id"]): ledger for ledger in map(json.loads, told.stdout.splitlines())}


def judge_again(arguments):
    """The truths that were kept against what comes out of the recording now."""
    found, scenarios = ledgers_again(arguments.build, arguments.again), defaultdict(list)
    with open(arguments.keep, encoding="utf-8") as file:
        for line in map(json.loads, file):
            if line["scenario"] in arguments.scenarios:
                scenarios[line["scenario"]].append(line["truth"])
    return [compare(name, spans, found) for name, spans in scenarios.items()]


def sum_of(ledger):
    return (ledger["running_ns"] + ledger["runnable_ns"] + sum(ledger["blocked_ns"].values())
            + ledger["elsewhere_ns"] + ledger["unknown_ns"])


class Result:
    """The errors of one scenario."""

    def __init__(self, name):
        self.name = name
        self.grades, self.residue = Counter(), 0
        self.cpu, self.self_cpu, self.blocked, self.uncertain = [], [], [], []
        self.lies, self.worst, self.judged, self.dodges = 0, None, 0, 0
        self.forked, self.by_length = [], [[] for _ in LENGTHS]

    def add(self, truth, children_cpu_ns, slack_ns, span):
        ledger = span["ledger"]
        self.grades[ledger["grade"]] += 1
        if truth.get("is_foreign"):
            if ledger["grade"] != "none":
                self.lies += 1
            return
        if ledger["cpu_ns"] is None:
            return
        if truth.get("forked_ns"):
            self.forked.append(abs(ledger["forked_cpu_ns"] - truth["forked_ns"]))
        self.residue = max(self.residue, abs(span["wall_ns"] - sum_of(ledger)))
        allowed = ledger["uncertain_ns"] + TOLERATED_NS + slack_ns
        cpu = abs(ledger["cpu_ns"] - truth["cpu_ns"])
        own = abs(ledger["cpu_self_ns"] - truth.get("own_cpu_ns", truth["cpu_ns"] - children_cpu_ns))
        # A span is off the CPU for longer than its waits, being preempted too: only too little is wrong. And
        # a switch to and from the CPU is in no thread's CPU time, but is running to the scheduler.
        off_cpu = ledger["runnable_ns"] + sum(ledger["blocked_ns"].values()) + ledger["elsewhere_ns"]
        unbooked = max(0, ledger["running_ns"] - ledger["cpu_ns"])
        blocked = truth["waited_ns"] - off_cpu - unbooked
        self.cpu.append(cpu)
        self.self_cpu.append(own)
        self.blocked.append(max(0, blocked))
        self.uncertain.append(ledger["uncertain_ns"] / max(1, span["wall_ns"]))
        if ledger["grade"] not in EXACT:
            return
        self.judged += 1
        beyond = max(cpu, own, blocked) - allowed
        dodges = beyond <= 0 and ledger["uncertain_ns"] > 10e3 + 0.1 * span["wall_ns"]
        self.dodges += dodges
        self.lies += beyond > 0
        if beyond > 0 and (not self.worst or beyond > self.worst[0]):
            self.worst = (beyond, span["trace_id"], span["span_id"])
        row = next(i for i, most in enumerate(LENGTHS) if span["wall_ns"] <= most)
        self.by_length[row].append((beyond > 0, dodges, self.uncertain[-1], cpu))


def compare(name, spans, found):
    result = Result(name)
    children = defaultdict(lambda: [0, 0])
    for span in spans:
        if span.get("is_entry"):
            continue  # of another process than its parent
        above = children[span["trace_id"], span.get("above_id", span["parent_id"])]
        above[0] += span["cpu_ns"]
        above[1] += span["cpu_slack_ns"]
    missing = 0
    for span in spans:
        got = found.get((span["trace_id"], span["span_id"]))
        if not got:
            missing += 1
            continue
        got["trace_id"] = span["trace_id"]
        cpu_ns, slack_ns = children[span["trace_id"], span["span_id"]]
        result.add(span, cpu_ns, span["cpu_slack_ns"] + span.get("own_slack_ns", slack_ns), got)
    if missing:
        result.grades["missing"] = missing
    return result


def at(values, part):
    return sorted(values)[min(len(values) - 1, int(part * len(values)))] if values else float("nan")


def us(ns):
    return f"{ns / 1000:.1f}"


def report(results):
    print(f"{'scenario':15}{'spans':>6} {'residue':>8} {'|cpu error| us: p50':>20}{'p99':>8}{'max':>9}"
          f"{'self p99':>10}{'off p99':>9}{'lies':>11}{'dodges':>7}{'uncertain':>10}  grades")
    for result in results:
        n = sum(result.grades.values())
        grades = " ".join(f"{grade} {count}" for grade, count in result.grades.most_common())
        print(f"{result.name:15}{n:6} {result.residue:5} ns {us(at(result.cpu, .5)):>20}{us(at(result.cpu, .99)):>8}"
              f"{us(max(result.cpu, default=0)):>9}{us(at(result.self_cpu, .99)):>10}{us(at(result.blocked, .99)):>9}"
              f"{result.lies:5}/{result.judged:<5}{result.dodges:7}{at(result.uncertain, .5):10.2%}  {grades}")
    for result in results:
        if result.forked:
            print(f"  {result.name}: |forked cpu error| us: p50 {us(at(result.forked, .5))}, p99 {us(at(result.forked, .99))}")
        if result.worst:
            beyond, trace_id, span_id = result.worst
            print(f"  worst lie of {result.name}: {us(beyond)} us beyond what it admits, trace {trace_id} span {span_id}")
    print("  uncertain: median share of the wall. A lie: exact or bounded, and a figure (cpu, own cpu, waits not\n"
          "  shown as off the CPU) further from the truth than uncertain_ns + 2 us + the truth's own slack; or a\n"
          "  foreign span with figures. A dodge: no lie, but uncertain_ns > 10 us + 10 % of the wall.")


def report_lengths(results):
    """Lies, dodges and uncertainty of the spans that are vouched for, by their length."""
    titles = [f"<= {us(most)} us" if most < 1e9 else "longer" for most in LENGTHS]
    print(f"\n{'lies/dodges/spans, median uncertain':38}" + "".join(f"{title:>24}" for title in titles))
    for result in results:
        cells = []
        for row in result.by_length:
            lies, dodges, uncertain, _ = zip(*row) if row else ((), (), (), ())
            cells.append(f"{sum(lies)}/{sum(dodges)}/{len(row)} {at(uncertain, .5):.2%}" if row else "-")
        print(f"{result.name:38}" + "".join(f"{cell:>24}" for cell in cells))


def run_all(arguments):
    results = []
    with Daemon(arguments.build, ["--record", arguments.record] if arguments.record else ()) as daemon:
        for name in arguments.scenarios:
            spans = run_scenario(name, max(1, int(TURNS[name] * arguments.times)), daemon, arguments.build)
            found = ledgers_of(daemon, spans)
            results.append(compare(name, spans, found))
            if arguments.keep:
                with open(arguments.keep, "a", encoding="utf-8") as file:
                    for span in spans:
                        print(json.dumps({"scenario": name, "truth": span, "got": found.get((span["trace_id"], span["span_id"]))}), file=file)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", default=list(TURNS), metavar="SCENARIO", help=", ".join(TURNS))
    parser.add_argument("--build", type=Path, default=RELEASE)
    parser.add_argument("--times", type=float, default=1, help="so many times the usual number of spans")
    parser.add_argument("--keep", metavar="FILE", help="also write truths and ledgers as JSON lines")
    parser.add_argument("--record", metavar="FILE", help="also keep what came in, for --again and `spanwise replay`")
    parser.add_argument("--again", metavar="FILE",
                        help="run nothing: judge what --record kept, by the code at hand and the truths that --keep wrote")
    arguments = parser.parse_args()
    results = judge_again(arguments) if arguments.again else run_all(arguments)
    report(results)
    report_lengths(results)
    sys.exit(1 if any(result.residue for result in results) else 0)


if __name__ == "__main__":
    main()
