# SPDX-License-Identifier: Apache-2.0
"""Beside threads that call the kernel all the time on each CPU, in spans of their own: waits that end by timers, signals,
other processes, a network card, disks and the kernel's own work are in the right class, and 99 % of each kind are not laid
at the spinners' door."""

import json
import os
import subprocess

from daemon import daemon_with_kernel, export, request, run, temporary_folder, wait_for
from ledgers import check_span, measured_spans

PROGRAM = os.environ.get("FLOW_INNOCENTS", "")
SERVICE = "innocents"
REASONS = {"timerfd": "sleep", "signal": "signal", "condition": "lock", "unix": "net", "eventfd": "other",
           "child": "child", "network": "net", "disk": "disk", "grace period": "other", "io_uring": "io_uring"}
# Where nothing may have to be waited for, and what waits for its own children in the end.
MAY_BE_SHORT = {"disk", "io_uring", "network"}  # a machine may be on none
REAPS = {"unix", "eventfd"}


def play(daemon):
    program = subprocess.Popen([PROGRAM, SERVICE], text=True, cwd=temporary_folder(), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    wait_for(lambda: any(process["pid"] == program.pid for process in daemon.status()["probe"]["publishing"]),
             "the program to be seen publishing")
    header, *spans = map(json.loads, program.communicate("!")[0].splitlines())
    assert program.returncode == 0, program.returncode
    with daemon.channel() as channel:
        export(channel, request([(bytes.fromhex(span["trace_id"]), bytes.fromhex(span["span_id"]), b"", span["name"],
                                  span["start_ns"], span["end_ns"]) for span in spans], service=SERVICE,
                                **{"service.instance.id": header["instance_id"]}))
    return spans


def is_for_map(wait):
    """Who forks, or has a page copied after that, may wait for the map of the process's memory. That a spinner does let go
    of: its pages have to be copied, too."""
    return "clone" in wait["decided_by"] or wait["decided_by"] in ("kernel frames", "state D")


def main():
    daemon = daemon_with_kernel("--settle-ms=300")
    spans = play(daemon)
    spinners = {span["span_id"] for span in spans if span["name"] == "spin"}
    right, blocked, blamed, woken = 0, 0, 0, 0
    for told in spans:
        name = told["name"]
        if name == "spin":
            continue
        span = measured_spans(daemon, told["trace_id"])[name]
        check_span(span, grades=("exact", "bounded", "inferred"))
        by_reason = span["ledger"]["blocked_ns"]
        here = by_reason.get(REASONS[name], 0)
        assert here or name in MAY_BE_SHORT, span
        right += here + (by_reason.get("child", 0) if name in REAPS else 0)
        blocked += sum(by_reason.values())
        wakers = [waker for wait in span["waits"] if not is_for_map(wait) for waker in wait["wakers"]]
        mine = sum(waker["ns"] for waker in wakers if waker["span_id"] in spinners)
        print(name, by_reason, sorted({(waker["kind"], waker["comm"]) for waker in wakers}), mine)
        assert mine * 100 <= sum(waker["ns"] for waker in wakers), span
        woken += sum(waker["ns"] for waker in wakers)
        blamed += mine
    print(f"{blocked - right} of {blocked} ns in another class; {blamed} of {woken} blamed on the innocent")
    assert (blocked - right) * 100 <= blocked and blamed * 100 <= woken, (right, blocked, blamed, woken)
    assert daemon.stop() == 0, daemon.log()


run(main)
