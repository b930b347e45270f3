# SPDX-License-Identifier: Apache-2.0
"""Processes come and go: their unwind tables go with them, a program's are made once for all that run it, and each
that lives long enough to be seen has whole stacks."""

import os

from daemon import daemon_with_kernel, run, skip, wait_for
from service import Subject, wait_until_published
from stacks import in_order, wait_until_walked, whole_stack

PROGRAM = os.path.join(os.environ.get("FLOW_FORMS", ""), "glibc", "chain_O2")
WANTED = ["wait_for_row", "query_rows", "handle_report", "make_span", "main"]


def tables(daemon):
    return daemon.status()["probe"]["stacks"]


def is_gone(daemon, subjects):
    """They have no tables: there are no more than others have."""
    probe = daemon.status()["probe"]
    pids = {process["pid"] for process in probe["publishing"]}
    return not pids & {subject.pid for subject in subjects} and probe["stacks"]["processes"] <= len(pids)


def live(daemon, channel):
    """Of one process the stack is looked at; the others only live."""
    subjects = [Subject(PROGRAM) for _ in range(8)]
    for subject in subjects:
        wait_until_published(daemon, subject.pid)
    wait_until_walked(daemon, channel, subjects[0])
    assert in_order(WANTED, whole_stack(daemon, channel, subjects[0], "sleep"))
    wait_for(lambda: tables(daemon)["processes"] >= len(subjects), "the tables of all")
    found = tables(daemon)
    for subject in subjects:
        with subject:
            subject.ask("sleep")
    wait_for(lambda: is_gone(daemon, subjects), "the tables to go with their processes")
    return found


def main():
    if not os.path.exists(PROGRAM):
        skip("the program is not built: FLOW_FORMS names no folder")
    daemon = daemon_with_kernel("--settle-ms=300")
    with daemon.channel() as channel:
        rounds = [live(daemon, channel) for _ in range(4)]
    print("rows, files:", *((found["table_rows"], found["table_files"]) for found in rounds))
    # a program of somebody else's may add its own meanwhile, and no more
    for key in ("table_rows", "table_files"):
        assert any(before[key] == after[key] for before, after in zip(rounds, rounds[1:])), (key, rounds)
    assert daemon.stop() == 0, daemon.log()


run(main)
