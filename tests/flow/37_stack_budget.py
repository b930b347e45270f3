# SPDX-License-Identifier: Apache-2.0
"""With two stacks a second and CPU, a span that waits at one place again and again has that place's stack for all of it; what
the next span waits for, elsewhere, is said to be without one. The weights of either kind add up to the ledger's, for each
span and reason."""

import os
from collections import Counter

from daemon import daemon_with_kernel, run, skip, wait_for
from ledgers import measured_spans
from service import Subject, wait_until_published
from stacks import ask_for_span, in_order

PROGRAM = os.path.join(os.environ.get("FLOW_FORMS", ""), "glibc", "chain_O2")


def check_weights(daemon, facts, word):
    span = measured_spans(daemon, facts["trace"])[word]
    sums = Counter()
    for wait in span["waits"]:
        sums[wait["reason"]] += wait["ns"]
    assert +sums == Counter(span["ledger"]["blocked_ns"]), (word, sums, span["ledger"])
    assert sum(entry["ns"] for entry in span["code"]) == span["ledger"]["running_ns"], (word, span)
    return span["waits"]


def check_many(daemon, channel, subject):
    """Of each span, whatever found budget."""
    made = [(ask_for_span(channel, subject, word, "chain"), word)
            for _ in range(4) for word in ("sleep", "loop", "frame", "signal", "spin", "vfork", "library")]
    waits = [wait for facts, word in made for wait in check_weights(daemon, facts, word)]
    without = sum(wait["ns"] for wait in waits if not wait["stack"])
    print(len(made), "spans:", without, "of", sum(wait["ns"] for wait in waits), "ns without a stack")
    assert without and any(wait["stack"] for wait in waits), waits


def main():
    if not os.path.exists(PROGRAM):
        skip("the program is not built: FLOW_FORMS names no folder")
    daemon = daemon_with_kernel("--settle-ms=300", "--stacks-per-s=2")
    with daemon.channel() as channel, Subject("taskset", "-c", "0", PROGRAM) as subject:
        wait_until_published(daemon, subject.pid)

        def budgeted():
            """The loop's waits, and another span's; None as long as the first of them finds no budget or no tables, or the
            other's, later than it should be, a budget of its own."""
            loop, other = (ask_for_span(channel, subject, word, "chain") for word in ("loop", "sort"))
            waits = measured_spans(daemon, loop["trace"])["loop"]["waits"]
            others = measured_spans(daemon, other["trace"])["sort"]["waits"]
            found = [wait for wait in waits if in_order(["wait_for_row", "repeat_rows", "main"], wait["stack"])]
            assert not any("loop" in name or "repeat_rows" in name for wait in others for name in wait["stack"]), others
            if not found or found[0]["count"] < 19 or all(wait["stack"] for wait in others):
                return None
            return waits, others

        waits, others = wait_for(budgeted, "a loop of which each wait has a stack, and another wait after it without one")
        print("loop:", [(wait["count"], wait["ns"], wait["stack"][:5]) for wait in waits])
        print("sort:", [(wait["count"], wait["ns"], wait.get("no_stack", wait["stack"])) for wait in others])
        check_many(daemon, channel, subject)
        assert all(wait["no_stack"] == "[no stack: budget]" for wait in others if not wait["stack"]), others
    assert daemon.stop() == 0, daemon.log()


run(main)
