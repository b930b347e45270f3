# SPDX-License-Identifier: Apache-2.0
"""Python services of several threads and processes, as programs that know their CPU time: pools, contexts copied to
threads, loops within loops and in other threads, prefork, programs, signal handlers. As the writer is by default, no
ledger claims more than the program knows, and hardly any is less than sure; without exact mode, where no look tells
of a thread's short turn with another's span, those that it tells of."""

from collections import Counter

from daemon import daemon_with_kernel, run
from truths import VOUCHED, judge, run_servers

TURNS = {"executor": 5, "nested-executors": 4, "context-threads": 5, "to-thread": 3, "run-in-executor": 3,
         "nested-loops": 3, "loop-thread": 5, "interrupted": 4, "forked-job": 3, "pool-fork": 4, "pool-spawn": 4,
         "prefork": 1, "run-program": 2}
WITHOUT = ("executor", "run-in-executor", "interrupted", "never-current", "forked-job", "pool-spawn", "run-program")
DOUBTED = 0.1  # the first spans of threads that were not known yet, over all of them


def main():
    daemon = daemon_with_kernel("--settle-ms=300")
    all_grades = {}
    for name, turns in {**TURNS, "never-current": 5}.items():
        grades = judge(daemon, name, run_servers(daemon, name, turns, "servers-" + name))
        if name in TURNS:
            all_grades[name] = grades
    spans = sum(sum(grades.values()) for grades in all_grades.values())
    sure = {name: sum(grades[grade] for grade in VOUCHED) for name, grades in all_grades.items()}
    assert sum(sure.values()) >= (1 - DOUBTED) * spans, all_grades
    assert all(sure.values()), all_grades
    without = Counter()
    for name in WITHOUT:
        without += judge(daemon, name, run_servers(daemon, name, 3, "plain-" + name, SPANWISE_EXACT_MODE="0"))
    assert without["exact"], without
    assert daemon.stop() == 0, daemon.log()


run(main)
