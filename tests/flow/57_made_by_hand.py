# SPDX-License-Identifier: Apache-2.0
"""Threads and processes that no library makes, programs that are spawned, processes that become another program in
the middle of a span, and writers that are libraries, closed and opened again while threads run: each ledger adds up
and admits how far it may be from what the program knows; where nothing is hidden, it is sure."""

import os
from collections import Counter

from daemon import daemon_with_kernel, run
from truths import VOUCHED, finish_truth, judge, start_truth

PLUGINS = (os.environ.get("FLOW_PLUGINS", ""),)
TRUTH = (os.environ.get("FLOW_TRUTH", ""),)
# name -> program, turns, and which part of the spans is vouched for at least, on a busy machine too
STYLES = {
    "raw-lent": (TRUTH, 8, 0.7), "raw-shared": (TRUTH, 6, 0.7), "raw-thread": (TRUTH, 6, 0.7), "raw-process": (TRUTH, 6, 0.7),
    "spawned": (TRUTH, 6, 0.7), "unloaded": (PLUGINS, 6, 0), "cut-short": (PLUGINS, 6, 0),
    # children that live for milliseconds, and become what has to be found first
    "exec-within": (TRUTH, 8, 0), "exec-away": (TRUTH, 8, 0),
}


def main():
    daemon = daemon_with_kernel("--settle-ms=300")
    for exact in ("0", "1"):
        for name, (program, turns, least) in STYLES.items():
            if exact == "1" and name == "raw-lent":
                continue  # two threads, which write one log at once
            service = f"{name} {exact}"
            running = start_truth(daemon, name, turns, service, program,
                                  env={**os.environ, "SPANWISE_EXACT_MODE": exact})
            truths = finish_truth(daemon, running, service)
            given = Counter(judge(daemon, service, truths))
            sure = sum(given[grade] for grade in VOUCHED)
            assert sure >= least * len(truths), (service, given)
    assert daemon.stop() == 0, daemon.log()


run(main)
