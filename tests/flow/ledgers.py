# SPDX-License-Identifier: Apache-2.0
"""What must hold for every ledger, whatever the machine was doing at the time."""

from daemon import wait_for

# A figure is read a little before or after the instant that it means.
SLACK_NS = 2000
SPLIT = ("running_ns", "runnable_ns", "elsewhere_ns", "unknown_ns")


def total(split):
    return sum(split[key] for key in SPLIT) + sum(split["blocked_ns"].values())


def blocked(span, reason, of="ledger"):
    split = span["ledger"] if of == "ledger" else span["ledger"][of]
    return split["blocked_ns"].get(reason, 0)


def verdict_of(ledger):
    """The published rules, the first that fits."""
    wall, running, runnable, elsewhere = total(ledger), *(ledger[key] for key in SPLIT[:3])
    waiting = sum(ledger["blocked_ns"].values())
    seen = max(running, runnable, waiting)
    if not wall or ledger["unknown_ns"] > max(seen, elsewhere):
        return "none"
    if runnable * 100 > wall * 20 and runnable > waiting:
        return "starved"
    if elsewhere > seen:
        return "queued"
    if waiting and running * 100 < wall * 30:
        return "waiting"
    if running * 100 > wall * 70:
        return "cpu_bound"
    return "mixed"


def check_span(span, grades=("exact", "bounded")):
    """The identity, and everything else that adds up; `grades`: those it may have."""
    ledger = span["ledger"]
    assert ledger["grade"] in grades, (span["name"], ledger)
    if ledger["grade"] == "none":
        assert ledger["cpu_ns"] is None and ledger["blocked_ns"] is None, span
        return
    assert total(ledger) == span["wall_ns"], span
    assert (ledger["grade"] == "exact") <= (ledger["uncertain_ns"] <= SLACK_NS), span
    own = ledger["self"]
    for key in SPLIT:
        assert own[key] <= ledger[key], (key, span)
    for reason, ns in own["blocked_ns"].items():
        assert ns <= ledger["blocked_ns"][reason], (reason, span)
    assert ledger["cpu_self_ns"] <= ledger["cpu_ns"], span
    assert sum(ledger["runnable"].values()) == ledger["runnable_ns"], span
    assert sum(item["ns"] for item in ledger["elsewhere"]) == ledger["elsewhere_ns"], span
    for reason, ns in ledger["blocked_ns"].items():
        assert sum(wait["ns"] for wait in span["waits"] if wait["reason"] == reason) == ns, (reason, span)
    for wait in span["waits"]:
        assert sum(waker["ns"] for waker in wait["wakers"]) <= wait["ns"], wait
        assert wait["self_ns"] <= wait["ns"] and wait["count"] > 0 and wait["decided_by"], wait
    assert span["verdict"]["kind"] == verdict_of(ledger), span


def check_cpu(span, facts):
    """The thread's own clock, read on both sides of each end of the span, pins cpu_ns down."""
    ledger = span["ledger"]
    slack = ledger["uncertain_ns"] + SLACK_NS
    assert facts["least"] - slack <= ledger["cpu_ns"] <= facts["most"] + slack, (facts, span)


def check_single_lane(spans):
    """The selfs of a tree that lives on one thread add up to its root: but for the moments between a start and
    its attach, or a detach and its end, which are uncertain."""
    root, slack = spans[0]["ledger"], SLACK_NS + sum(span["ledger"]["uncertain_ns"] for span in spans)
    for key in SPLIT:
        own = sum(span["ledger"]["self"][key] for span in spans)
        assert abs(own - root[key]) <= slack, (key, own, root[key], spans)
    for reason, whole in root["blocked_ns"].items():
        own = sum(blocked(span, reason, "self") for span in spans)
        assert abs(own - whole) <= slack, (reason, own, whole, spans)
    own = sum(span["ledger"]["cpu_self_ns"] for span in spans)
    assert abs(own - root["cpu_ns"]) <= slack, (own, spans)


def settled_spans(daemon, trace_id):
    """name -> span of a trace that is settled; the root first."""
    trace = wait_for(lambda: daemon.settled(trace_id), "the trace to settle")
    spans = sorted(trace["spans"], key=lambda span: (span["parent_span_id"] != "", span["start_unix_ns"]))
    return {span["name"]: span for span in spans}


def lost_switches(daemon):
    """Whether the kernel kept a switch to itself, as it may: a virtual machine's own does of some processes."""
    lost = daemon.status()["kernel"]["lost"]
    return lost["switch_in"] + lost["switch_out"] + lost["cpu_chain"]


def measured_spans(daemon, trace_id):
    """The same once all of them have figures: a span of whom nobody knows yet is settled without, and soon again."""

    def look():
        spans = settled_spans(daemon, trace_id)
        return spans if all(span["ledger"]["grade"] != "none" for span in spans.values()) else None

    return wait_for(look, f"figures of trace {trace_id}")
