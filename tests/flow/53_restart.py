# SPDX-License-Identifier: Apache-2.0
"""spanwise goes away in the middle of a span: what nobody watched is unknown, the span partial and never wrong;
ledgers from before are as they were, and spans that begin afterwards are measured as ever."""

import os
import signal
import sys
import time

from daemon import Daemon, children, daemon_with_kernel, run, wait_for
from ledgers import SLACK_NS, blocked, check_cpu, check_single_lane, check_span, settled_spans
from service import Service, Timed, say, spin, trace_to, wait_for_go, wait_until_published

MS = 1000000
SPIN_NS = 25 * MS


def service(endpoint):
    provider = trace_to(endpoint)
    tracer = provider.get_tracer("subject")
    say("started")
    while (name := wait_for_go()) is not None:
        with Timed(tracer, name) as timed:
            spin(SPIN_NS)
            if name == "long":
                say("begun")
                wait_for_go()
            time.sleep(0.02)
            spin(SPIN_NS)
        assert provider.force_flush()
        say(timed.facts)
    provider.shutdown()


def check_short(daemon, subject):
    """A span of these days: measured. Its ledger is on disk when this returns."""
    stored = daemon.status()["storage"]["ledgers"]
    facts = subject.ask("short")
    span = settled_spans(daemon, facts["trace"])["short"]
    check_span(span)
    check_cpu(span, facts)
    check_single_lane([span])
    wait_for(lambda: daemon.status()["storage"]["ledgers"] > stored, "the ledger to be stored")
    return facts["trace"], settled_spans(daemon, facts["trace"])


def check_long(daemon, facts):
    """Something is unknown; what is told of the rest is no more than the truth."""
    span = settled_spans(daemon, facts["trace"])["long"]
    check_span(span, grades=("partial",))
    ledger = span["ledger"]
    assert ledger["unknown_ns"] > 0, span
    assert ledger["cpu_ns"] <= facts["most"] + ledger["uncertain_ns"] + SLACK_NS, (facts, span)
    assert blocked(span, "sleep") >= 18 * MS, span  # after the gap
    print(f"long: {ledger['unknown_ns'] * 100 // span['wall_ns']} % unknown")


def restart(daemon, subject, end):
    """Another daemon on the same data folder and port."""
    end(daemon)
    after = Daemon("--settle-ms=300", "--grpc=" + daemon.grpc, data=daemon.data)
    wait_until_published(after, subject.pid)
    return after


def kill_worker(daemon, subject):
    (keeper,) = children(daemon.process.pid)
    (worker,) = children(keeper)
    before = daemon.status()["probe"]["restarts"]
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: daemon.status()["probe"]["restarts"] == before + 1, "another worker")
    wait_until_published(daemon, subject.pid)
    return daemon


def check_forgotten(daemon):
    """A process that ends while no worker is there to hear of it."""
    with Service(daemon) as other:
        (keeper,) = children(daemon.process.pid)
        (worker,) = children(keeper)
        os.kill(worker, signal.SIGKILL)
        other.process.kill()
    wait_for(lambda: daemon.status()["probe"]["state"] == "up", "another worker")
    wait_for(lambda: not any(process["pid"] == other.pid for process in daemon.status()["probe"]["publishing"]),
             "the dead process to be forgotten")


def figures(spans):
    """All but the names of frames, which may come after the ledgers."""
    names = ("stack", "where", "no_stack")
    return {
        name: {**span, **{key: [{part: row[part] for part in row if part not in names} for row in span[key]]
                          for key in ("waits", "code")}}
        for name, span in spans.items()
    }


def check_interrupted(daemon, subject, interrupt):
    trace, before = check_short(daemon, subject)
    assert subject.ask("long") == "begun"
    daemon = interrupt(daemon, subject)
    facts = subject.ask("go")
    check_long(daemon, facts)
    assert figures(settled_spans(daemon, trace)) == figures(before)
    check_short(daemon, subject)
    return daemon


def main():
    daemon = daemon_with_kernel("--settle-ms=300")
    with Service(daemon) as subject:
        daemon = check_interrupted(daemon, subject, kill_worker)
        daemon = check_interrupted(daemon, subject, lambda *both: restart(*both, Daemon.stop))
        daemon = check_interrupted(daemon, subject, lambda *both: restart(*both, Daemon.kill))
        check_forgotten(daemon)
    assert daemon.stop() == 0, daemon.log()


if len(sys.argv) > 1:
    service(*sys.argv[1:])
else:
    run(main)
