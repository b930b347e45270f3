# SPDX-License-Identifier: Apache-2.0
"""Fewer places for threads than there are threads: those that are refused are counted, no ledger that is vouched for is
wrong, the spans of their processes are partial meanwhile, and once there is room again spans are sure as ever."""

from collections import Counter

from daemon import daemon_with_kernel, run
from truths import VOUCHED, judge, run_truth

MOST_THREADS = 16  # this machine's truth programs have up to 65
CROWDS = {"crowd": 1, "fan-out": 8, "thread-each": 8, "hand-over": 8}
ALONE = {"nested": 10, "sleep": 10}


def grades_of(daemon, turns):
    told = {name: run_truth(daemon, name, times, f"refused-{name}") for name, times in turns.items()}
    return sum((judge(daemon, name, truths) for name, truths in told.items()), Counter())


def main():
    daemon = daemon_with_kernel("--settle-ms=500", f"--most-threads={MOST_THREADS}")
    crowded = grades_of(daemon, CROWDS)
    refused = daemon.status()["kernel"]["lost"]["storage_full"]
    alone = grades_of(daemon, ALONE)
    print(refused, "refusals;", dict(crowded), "then", dict(alone))
    assert refused > 0, daemon.status()["kernel"]
    assert crowded["partial"] > 0, crowded
    assert sum(alone[grade] for grade in VOUCHED) >= 0.8 * sum(alone.values()), alone
    assert daemon.stop() == 0, daemon.log()


run(main)
