# SPDX-License-Identifier: Apache-2.0
"""Timelines that reach back a part of a second only: spans that come later find what was summed up of them, or less.
In every style no ledger that is vouched for is wrong, one thread's spans keep their figures, and what is not known
any more is said to be so."""

from collections import Counter

from daemon import daemon_with_kernel, run
from truths import VOUCHED, judge, run_truth

# Each takes longer than the timelines reach, and exports at its end.
TURNS = {"sleep": 25, "nested": 20, "back-to-back": 25, "unexported": 30, "thread-each": 25, "fan-out": 20,
         "hand-over": 40, "ends-elsewhere": 40, "event-loop": 15, "fork": 20, "pool": 25, "across-threads": 20}
ONE_THREAD = ("sleep", "nested", "unexported")
TRIES = 5  # a busy machine may take longer than the timelines reach for a few spans


def check(daemon, names):
    told = {name: run_truth(daemon, name, TURNS[name], "short-" + name) for name in names}
    return {name: judge(daemon, name, truths) for name, truths in told.items()}


def keeps_figures(given):
    one_thread = sum((given[name] for name in ONE_THREAD), Counter())
    return sum(one_thread[grade] for grade in VOUCHED) >= 0.5 * sum(one_thread.values())


def main():
    daemon = daemon_with_kernel("--settle-ms=500", "--reach-ms=100")
    given = check(daemon, TURNS)
    assert daemon.status()["correlator"]["slices_folded"] > 0
    assert keeps_figures(given) or any(keeps_figures(check(daemon, ONE_THREAD)) for _ in range(TRIES - 1)), given
    assert daemon.stop() == 0, daemon.log()
    print(dict(sum(given.values(), Counter())))


run(main)
