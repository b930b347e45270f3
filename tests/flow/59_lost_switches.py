# SPDX-License-Identifier: Apache-2.0
"""Switches that the kernel's side never reports, in every style, against what the programs know of their own CPU
time: the chain check finds them, no ledger that is vouched for is wrong, and spans without a loss stay sure."""

from collections import Counter

from daemon import daemon_with_kernel, run
from truths import judge, run_truth

TURNS = {"sleep": 10, "tcp": 10, "nested": 10, "thread-each": 8, "fan-out": 5, "migrating": 10, "hand-over": 8}
ONE_IN = 40


def check(daemon):
    told = {name: run_truth(daemon, name, turns, "lossy-" + name) for name, turns in TURNS.items()}
    return sum((judge(daemon, name, truths) for name, truths in told.items()), Counter())


def main():
    daemon = daemon_with_kernel("--settle-ms=500", f"--lose-switches={ONE_IN}")
    grades = check(daemon)
    lost = daemon.status()["kernel"]["lost"]
    assert lost["switch_in"] > 0 and lost["switch_out"] > 0 and lost["cpu_chain"] > 0, lost
    assert grades["partial"] > 0, grades
    assert grades["exact"] + grades["bounded"] >= 0.3 * sum(grades.values()), grades
    assert daemon.stop() == 0, daemon.log()
    print({key: lost[key] for key in ("switch_in", "switch_out", "cpu_chain")}, dict(grades))


run(main)
