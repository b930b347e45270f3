# SPDX-License-Identifier: Apache-2.0
"""Python programs that are not careful with contexts: detaches that are forgotten, generators, contexts that outlive
their spans, on threads and in tasks, batches, given times, handlers that raise. As the writer is by default, no ledger
claims more than the program knows, and hardly any is less than sure."""

from collections import Counter

from daemon import daemon_with_kernel, run
from truths import SLIPS, VOUCHED, judge, run_servers

TURNS = {"forgotten": 3, "generators": 3, "again": 8, "copied": 6, "batched": 3, "linked": 4, "given-times": 4,
         "handed-back": 5, "outlived": 3, "given-up": 2, "async-generators": 4, "jumps": 5, "stopped": 4, "spawns": 3}
DOUBTED = 0.15  # the first spans of threads that were not known yet, and items that nobody shows, over all of them


def main():
    daemon, grades = daemon_with_kernel("--settle-ms=300"), Counter()
    for name, turns in TURNS.items():
        grades += judge(daemon, name, run_servers(daemon, name, turns, "slips-" + name, SLIPS))
    assert sum(grades[grade] for grade in VOUCHED) >= (1 - DOUBTED) * grades.total(), grades
    assert daemon.stop() == 0, daemon.log()


run(main)
