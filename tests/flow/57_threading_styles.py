# SPDX-License-Identifier: Apache-2.0
"""Spans and threads in every style that services have, all at once on one machine: each ledger adds up, admits how
far it may be from what the program itself knows, and shows what is peculiar to its style. How exact they are is
measured by tests/bench/accuracy; here nothing depends on how fast the machine is."""

import json
import os
import subprocess
from collections import defaultdict

from daemon import PATIENCE_S, daemon_with_kernel, export, request, run, wait_for
from ledgers import blocked, check_span

TURNS = {"nested": 5, "back-to-back": 5, "fan-out": 5, "hand-over": 8, "ends-elsewhere": 8, "thread-each": 5,
         "crowd": 1, "fork": 5, "unexported": 5, "event-loop": 5, "migrating": 8, "two-nodes": 8,
         "ping-pong": 8, "stealing": 4, "exits-within": 8, "alarmed": 4}
WRITERS = ("valid", "zeros", "pointer", "swap")  # as others write the record: tests/bench/accuracy/writers.c
TURNS.update({f"{name}/{writer}": TURNS[name] for name in ("nested", "back-to-back", "thread-each") for writer in WRITERS})
GRADES = ("exact", "bounded", "inferred", "partial")
VOUCHED = GRADES[:2]
# Beyond what it admits; a lie that matters is far larger.
SLACK_NS = 100_000
# From when traces are settled to when they are so for the last time; what the kernel kept back does not come.
SOON_S = PATIENCE_S / 10


def start(name):
    style, _, writer = name.partition("/")
    program = os.environ["FLOW_WRITERS" if writer else "FLOW_TRUTH"]
    return subprocess.Popen([program, style, str(TURNS[name]), "truth-" + name], text=True, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, env={**os.environ, "TRUTH_WRITER": writer})


def export_spans(channel, spans, **resource):
    export(channel, request([(bytes.fromhex(span["trace_id"]), bytes.fromhex(span["span_id"]),
                              bytes.fromhex(span["parent_id"]), span["name"], span["start_ns"], span["end_ns"])
                             for span in spans], **resource))


def check_admits(truth, span):
    """No figure is further from the truth than it says. Whether it vouches for them."""
    ledger = span["ledger"]
    if ledger["grade"] in VOUCHED:
        off = abs(ledger["cpu_ns"] - truth["cpu_ns"])
        assert off <= ledger["uncertain_ns"] + truth["cpu_slack_ns"] + SLACK_NS, (truth, span)
    return ledger["grade"] in VOUCHED


def check_fan_out(truths, got):
    """The root's CPU time is that of four threads beside its own."""
    for truth in truths:
        parts = [got[other["span_id"]]["ledger"] for other in truths if other["parent_id"] == truth["span_id"]]
        root = got[truth["span_id"]]["ledger"]
        assert len(parts) in (0, 4) and root["cpu_ns"] >= sum(part["cpu_ns"] for part in parts), (root, parts)


def check_two_nodes(truths, got):
    """What another node did has no figures, and spoils nothing; the call is linked to it."""
    for truth in truths:
        span = got[truth["span_id"]]
        assert (span["ledger"]["grade"] == "none") == bool(truth["is_foreign"]), span
        if span["name"] == "call":
            assert any(link["via"] == "parent" for link in span["links"]), span


def check_style(name, truths, got):
    """What the style must show, for all its spans together."""
    total = defaultdict(int)
    for span in got.values():
        for key in ("elsewhere_ns", "runnable_ns", "forked_cpu_ns", "cpu_ns"):
            total[key] += span["ledger"][key] or 0
    if name == "fan-out":
        check_fan_out(truths, got)
    elif name == "two-nodes":
        check_two_nodes(truths, got)
    elif name == "hand-over":
        assert total["elsewhere_ns"] > 0, got
    elif name == "crowd":
        assert total["runnable_ns"] > total["cpu_ns"], total
    elif name == "fork":
        assert total["forked_cpu_ns"] >= sum(truth["forked_ns"] for truth in truths) / 2, (total, truths)
    elif name == "unexported":
        assert sum(blocked(span, "sleep") for span in got.values()) > 0, got
    elif name == "event-loop":
        assert not any(span["ledger"]["grade"] == "exact" for span in got.values()), got


def look(daemon, name, truths):
    """What is told of its spans by now, if all of ours have figures, and enough are vouched for: a trace is settled again
    when more is known of its process, which a busy machine may take its time for."""
    got = {}
    for trace_id in dict.fromkeys(truth["trace_id"] for truth in truths):
        trace = wait_for(lambda: daemon.settled(trace_id), f"a trace of {name} to settle")
        got.update((span["span_id"], span) for span in trace["spans"])
    ours = [truth for truth in truths if not truth["is_foreign"]]
    if any(got[truth["span_id"]]["ledger"]["grade"] == "none" for truth in ours):
        return None
    for truth in ours:
        check_span(got[truth["span_id"]], grades=GRADES)
    vouched = sum(check_admits(truth, got[truth["span_id"]]) for truth in ours)
    is_sure = name.partition("/")[0] in ("nested", "thread-each", "unexported", "migrating", "two-nodes", "fork")
    return None if is_sure and vouched < 0.8 * len(ours) else got


def check(daemon, name, truths):
    got = wait_for(lambda: look(daemon, name, truths), f"figures of {name}, and four of five to be vouched for", SOON_S)
    check_style(name, truths, got)


def main():
    daemon = daemon_with_kernel("--settle-ms=500")
    programs = {name: start(name) for name in TURNS}
    pids = {program.pid for program in programs.values()}
    wait_for(lambda: pids <= {process["pid"] for process in daemon.status()["probe"]["publishing"]},
             "the programs to be seen publishing")
    for program in programs.values():
        program.stdin.write("!")
        program.stdin.flush()
    told = {}
    with daemon.channel() as channel:
        for name, program in programs.items():
            header, *truths = map(json.loads, program.communicate()[0].splitlines())
            assert program.returncode == 0, name
            told[name] = truths
            near, far = ([truth for truth in truths if truth["is_foreign"] == side] for side in (0, 1))
            export_spans(channel, near, service="truth-" + name, **{"service.instance.id": header["instance_id"]})
            if far:
                export_spans(channel, far, service="far", **{"service.instance.id": "another-node"})
    for name, truths in told.items():
        check(daemon, name, truths)
    assert daemon.stop() == 0, daemon.log()


run(main)
