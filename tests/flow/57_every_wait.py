# SPDX-License-Identifier: Apache-2.0
"""A program that waits for everything one can wait for, each in a span, and knows what it was: 99 % of its blocked
time is in the right class, and what it waited for and who ended it stand in the ledger."""

import json
import os
import re
import subprocess
import sys

from daemon import daemon_with_kernel, export, kept_back, request, run, temporary_folder, wait_for
from ledgers import check_span, measured_spans

PROGRAM = os.environ.get("FLOW_WAITS", "")
SERVICE = "waits"
# A wait of 12 ms at least; on a busy machine the thread may come late to it.
ENOUGH_NS = 1_000_000
# What tells a wait from outside apart, wherever the thread was.
DECIDED_BY = {"stopped": "state T", "traced": "state T", "traced-calls": "state T", "frozen": "frozen by a cgroup",
              "frozen-unified": "frozen by a cgroup"}
# Where nothing may have to be waited for: a disk may be fast, and the kernel not busy.
MAY_BE_SHORT = {"disk", "fault", "other"}
RUNNABLE = {"yielded": "yielded_ns"}
# Some kernels keep a waking back now and then (daemon.py): how often that wait, alone, is played again.
TRIES = 4
MAY_BE_UNSEEN = 0.1  # of all
UNSEEN = "nobody was seen to end it"
# Of all, so many did not wait at all: a kernel may not know a call, or have it done at once.
MAY_NOT_WAIT = 0.1


def play(daemon, folder, *names):
    program = subprocess.Popen([PROGRAM, SERVICE, folder, *names], text=True, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    wait_for(lambda: any(process["pid"] == program.pid for process in daemon.status()["probe"]["publishing"]),
             "the program to be seen publishing")
    # the kernel's functions are known before the first process's tables
    wait_for(lambda: daemon.status()["probe"]["stacks"]["processes"] >= 1, "the tables")
    header, *lines = map(json.loads, program.communicate("!")[0].splitlines())
    assert program.returncode == 0, program.returncode
    spans = [line for line in lines if "span_id" in line]
    with daemon.channel() as channel:
        export(channel, request([(bytes.fromhex(span["trace_id"]), bytes.fromhex(span["span_id"]), b"", span["name"],
                                  span["start_ns"], span["end_ns"]) for span in spans], service=SERVICE,
                                **{"service.instance.id": header["instance_id"]}))
    return spans, [line for line in lines if "span_id" not in line]


def text_of(waits):
    return [(wait["reason"], wait["target"], wait["decided_by"], wait["ns"],
             [(waker["kind"], waker["comm"], waker["tid"]) for waker in wait["wakers"]]) for wait in waits]


def check_waker(fact, wait):
    """Who ended most of it."""
    waker = max(wait["wakers"], key=lambda waker: waker["ns"], default=None)
    if not waker or waker["ns"] * 2 < wait["ns"]:
        return "has no waker"
    if fact["waker"] != waker["kind"] or (fact["waker_tid"] and fact["waker_tid"] != waker["tid"]):
        return f"was ended by {fact['waker']} {fact['waker_tid']}"
    return None


def judge_runnable(fact, runnable):
    """Not blocked: it could have run."""
    if runnable[RUNNABLE[fact["reason"]]] >= ENOUGH_NS:
        return 0, 0, []
    print(fact["name"], runnable)
    return 0, 0, [f"has not {fact['reason']}"]


def judge(fact, span):
    """(right ns, wrong ns, complaints)"""
    blocked = span["ledger"]["blocked_ns"]
    if fact["reason"] in RUNNABLE:
        return judge_runnable(fact, span["ledger"]["runnable"])
    right = blocked.get(fact["reason"], 0)
    wrong = sum(blocked.values()) - right
    longest = max((wait for wait in span["waits"] if wait["reason"] == fact["reason"]),
                  key=lambda wait: wait["ns"], default=None)
    complaints = []
    if longest and not longest["wakers"]:
        return right, wrong, [UNSEEN]
    if fact["left"] and right < (1 if fact["reason"] in MAY_BE_SHORT else ENOUGH_NS):
        complaints.append(f"waited for {right} ns")
    if right and fact["target"] and not re.fullmatch(fact["target"], longest["target"]):
        complaints.append(f"is for {fact['target']}")
    if right and DECIDED_BY.get(fact["name"], longest["decided_by"]) != longest["decided_by"]:
        complaints.append(f"is decided by {DECIDED_BY[fact['name']]}")
    if right and fact["waker"]:
        complaints.append(check_waker(fact, longest))
    complaints = [complaint for complaint in complaints if complaint]
    if complaints or wrong * 10 > right:
        print(fact["name"], right, wrong, complaints, *text_of(span["waits"]), span["ledger"], sep="\n    ")
    return right, wrong, complaints


def judge_all(daemon, spans, facts):
    """(right ns, wrong ns, [(name, complaint)]); what the kernel did not tell of is a complaint, too."""
    by_name = {span["name"]: span for span in spans}
    rights, wrongs, complaints = 0, 0, []
    for fact in facts:
        name = fact["name"]
        if fact["missing"]:
            print(name, "is missing here:", fact["missing"])
            continue
        span = measured_spans(daemon, by_name[name]["trace_id"])[name]
        if span["ledger"]["grade"] == "partial" and kept_back():
            complaints.append((name, UNSEEN))
            continue
        check_span(span, grades=("exact", "bounded", "inferred"))
        right, wrong, found = judge(fact, span)
        rights, wrongs = rights + right, wrongs + wrong
        complaints += [(name, complaint) for complaint in found]
    return rights, wrongs, complaints


def judge_again(daemon, folder, name):
    """Alone, until all of it was seen."""
    for _ in range(TRIES):
        _, _, complaints = judge_all(daemon, *play(daemon, folder, name))
        print(name, "again:", complaints)
        if (name, UNSEEN) not in complaints:
            return complaints
    return [(name, UNSEEN)]


def main():
    daemon, folder = daemon_with_kernel("--settle-ms=300"), temporary_folder()
    spans, facts = play(daemon, folder, *sys.argv[1:])
    idle = [fact["name"] for fact in facts if not fact["missing"] and not fact["left"] and fact["reason"] not in RUNNABLE]
    print("did not wait:", *idle)
    assert len(idle) <= MAY_NOT_WAIT * len(facts), idle
    right, wrong, complaints = judge_all(daemon, spans, facts)
    print(f"{right / 1e6:.0f} ms in the right class, {wrong / 1e6:.1f} ms in another")
    unseen = [name for name, complaint in complaints if complaint == UNSEEN] if kept_back() else []
    assert len(unseen) <= MAY_BE_UNSEEN * len(facts), unseen
    for name in unseen:
        complaints.remove((name, UNSEEN))
        complaints += judge_again(daemon, folder, name)
    assert not complaints, complaints
    assert wrong * 100 <= right + wrong, (right, wrong)
    assert daemon.stop() == 0, daemon.log()


run(main)
