# SPDX-License-Identifier: Apache-2.0
"""Switches that the kernel's side never reports, in every style, against what the programs know of their own CPU
time: the chain check finds them, no ledger that is vouched for is wrong, and spans without a loss stay sure."""

import json
import os
import subprocess
from collections import Counter

from daemon import Daemon, export, request, run, skip, wait_for
from ledgers import check_span

TURNS = {"sleep": 10, "tcp": 10, "nested": 10, "thread-each": 8, "fan-out": 5, "migrating": 10, "hand-over": 8}
GRADES = ("exact", "bounded", "inferred", "partial")
# The truth's own looseness on a busy machine; a switch that was swallowed silently costs much more.
SLACK_NS = 100_000
ONE_IN = 40


def run_truth(daemon, name):
    """The program's spans, exported."""
    program = subprocess.Popen([os.environ["FLOW_TRUTH"], name, str(TURNS[name]), "lossy-" + name], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    wait_for(lambda: any(process["pid"] == program.pid for process in daemon.status()["probe"]["publishing"]),
             f"{name} to be seen publishing")
    header, *truths = map(json.loads, program.communicate("!")[0].splitlines())
    assert program.returncode == 0, name
    with daemon.channel() as channel:
        export(channel, request([(bytes.fromhex(t["trace_id"]), bytes.fromhex(t["span_id"]),
                                  bytes.fromhex(t["parent_id"]), t["name"], t["start_ns"], t["end_ns"])
                                 for t in truths], service="lossy-" + name,
                                **{"service.instance.id": header["instance_id"]}))
    return truths


def judge(daemon, name, truths):
    grades, lies = Counter(), []
    for truth in truths:
        trace = wait_for(lambda: daemon.settled(truth["trace_id"]), f"a trace of {name} to settle")
        span = next(span for span in trace["spans"] if span["span_id"] == truth["span_id"])
        check_span(span, grades=GRADES)
        ledger = span["ledger"]
        grades[ledger["grade"]] += 1
        off = abs(ledger["cpu_ns"] - truth["cpu_ns"]) - ledger["uncertain_ns"] - truth["cpu_slack_ns"]
        if ledger["grade"] in ("exact", "bounded") and off > SLACK_NS:
            lies.append((off, truth, ledger))
    print(name, dict(grades))
    assert not lies, (name, lies)
    return grades


def check(daemon):
    told = {name: run_truth(daemon, name) for name in TURNS}
    return sum((judge(daemon, name, truths) for name, truths in told.items()), Counter())


def main():
    daemon = Daemon("--settle-ms=500", f"--lose-switches={ONE_IN}")
    if os.geteuid() != 0 or not daemon.status()["kernel"]["available"]:
        skip("no eBPF here: " + str(daemon.status()["kernel"]["error"]))
    grades = check(daemon)
    lost = daemon.status()["kernel"]["lost"]
    assert lost["switch_in"] > 0 and lost["switch_out"] > 0 and lost["cpu_chain"] > 0, lost
    assert grades["partial"] > 0, grades
    assert grades["exact"] + grades["bounded"] >= 0.3 * sum(grades.values()), grades
    assert daemon.stop() == 0, daemon.log()
    print({key: lost[key] for key in ("switch_in", "switch_out", "cpu_chain")}, dict(grades))


run(main)
