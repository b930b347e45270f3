# SPDX-License-Identifier: Apache-2.0
"""Every kind of lock that three threads want, and now and then a fourth one takes before the one that was woken for it
can: those who wait for it are told who had it, each for no longer than it did, and surely where its word or the chain
of wake-ups tells; and it is one target, whoever has it."""

import json
import os
import subprocess

from daemon import daemon_with_kernel, export, request, run, wait_for
from ledgers import check_span, measured_spans
from schema import check_trace, description

PROGRAM = os.environ.get("FLOW_HOLDERS", "")
# whether the lock's own word tells who has it
LOCKS = {"plain": True, "recursive": True, "checking": True, "adaptive": True, "inheriting": True, "robust": True,
         "rwlock": False, "semaphore": False, "condition": False, "flock": False, "record": False}
# of which one may have a part, and another one another
IN_PARTS = {"record"}
MOSTLY = 0.7  # on a busy machine
SLACK_NS = 100000
SERVICE = "holders"


def play(daemon, *arguments):
    program = subprocess.Popen([PROGRAM, SERVICE, *arguments], text=True, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    wait_for(lambda: any(process["pid"] == program.pid for process in daemon.status()["probe"]["publishing"]),
             "the program to be seen publishing")
    header, *lines = map(json.loads, program.communicate("!")[0].splitlines())
    assert program.returncode == 0, arguments
    spans = {line["name"]: line for line in lines if "span_id" in line}
    with daemon.channel() as channel:
        export(channel, request([(bytes.fromhex(span["trace_id"]), bytes.fromhex(span["span_id"]), b"", span["name"],
                                  span["start_ns"], span["end_ns"]) for span in spans.values()], service=SERVICE,
                                **{"service.instance.id": header["instance_id"]}))
    return spans, {line["part"]: line for line in lines if "part" in line}


def lock_wait(span):
    """All of them: it waits again where somebody was faster, perhaps with another stack."""
    waits = [wait for wait in span["waits"] if wait["reason"] == "lock"]
    return {"runnable_ns": span["ledger"]["runnable_ns"], "ns": sum(wait["ns"] for wait in waits),
            "target": {wait["target"] for wait in waits}, "holders": [holder for wait in waits for holder in wait["holders"]]}


def had_it(parts, part):
    """From when the one before let go of it, which is when it may have been woken for it, to when it had let go, and the
    next one had it."""
    order = sorted(parts.values(), key=lambda one: one["from_ns"])
    at = order.index(part)
    later = [one["from_ns"] for one in order[at + 1:]]
    return order[at - 1]["to_ns"] if at else 0, min([part["gone_ns"], *later])


def check_released(case, parts, name, wait):
    """Who let go of it before this one had it, and nobody who never had it; not since when."""
    before = {part["from_ns"]: part["tid"] for part in parts.values() if part["from_ns"] < parts[name]["from_ns"]}
    told = {holder["tid"] for holder in wait["holders"]}
    assert before[max(before)] in told and told <= set(before.values()), (case, name, wait, parts)
    assert {holder["kind"] for holder in wait["holders"]} == {"released"}, (case, name, wait)


def check_waiter(case, lock, parts, name, wait):
    """Of those who had it before: how long they held it while this one waited, each for its hold at most."""
    got_ns = parts[name]["from_ns"]
    by_tid = {part["tid"]: part for part in parts.values()}
    before = [part for part in parts.values() if part["from_ns"] < got_ns]
    holders = {}
    for holder in wait["holders"]:
        part = by_tid[holder["tid"]]
        assert part in before, (case, name, wait, parts)
        holders.setdefault(part["part"], []).append(holder)
    for part in before:
        told = holders.get(part["part"], [])
        start, end = had_it(parts, part)
        most = min(end - start if start else wait["ns"], wait["ns"])
        ns = sum(holder["ns"] for holder in told)
        assert ns <= most + SLACK_NS, (case, name, part, wait, parts)
        if part["part"] == "first":
            assert told, (case, name, wait)
            assert {holder["kind"] for holder in told} == {"held" if LOCKS[lock] else "released"}, (case, name, wait)
        else:
            # but for as long as this one waited for a CPU, and not for the lock
            assert ns >= (part["to_ns"] - part["from_ns"]) * MOSTLY - wait["runnable_ns"], (case, name, part, wait, parts)
        if part["part"] in ("second", "last"):  # which were woken for it
            assert {holder["kind"] for holder in told} <= {"held"}, (case, name, part, wait, parts)
    assert sum(holder["ns"] for holder in wait["holders"]) <= wait["ns"], (case, name, wait)


def check(daemon, document, lock, *thief):
    spans, parts = play(daemon, lock, *thief)
    for name in ("second", "last"):
        span = measured_spans(daemon, spans[name]["trace_id"])[name]
        check_span(span)
        if lock in IN_PARTS:
            check_released((lock, *thief), parts, name, lock_wait(span))
        else:
            check_waiter((lock, *thief), lock, parts, name, lock_wait(span))
        check_trace(daemon, document, spans[name]["trace_id"])
    return parts["thief"]["from_ns"] < parts["second"]["from_ns"] if thief else False


def main():
    daemon = daemon_with_kernel("--settle-ms=200")
    document, thefts = description(daemon), 0
    for lock in LOCKS:
        check(daemon, document, lock)
        if lock != "condition":  # whose word changes as it is signalled
            thefts += check(daemon, document, lock, "thief")
    print(thefts, "thefts")
    assert daemon.stop() == 0, daemon.log()


run(main)
