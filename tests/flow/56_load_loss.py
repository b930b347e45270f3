# SPDX-License-Identifier: Apache-2.0
"""The smallest ring and a storm of switches: what does not fit is counted, the spans it touches are partial and
tell no more than the truth, and the next calm span is measured again."""

import os
import signal
import sys
import time

from daemon import Daemon, run, skip
from ledgers import SLACK_NS, check_cpu, check_span, settled_spans
from service import Service, Timed, say, trace_to, wait_for_go

# A ring of 64 KiB holds fewer than 700 records, which have 96 bytes at least.
SWITCHES = 3000


def service(endpoint):
    provider = trace_to(endpoint)
    tracer = provider.get_tracer("subject")
    say("started")
    while (count := wait_for_go()) is not None:
        with Timed(tracer, "storm") as timed:
            for _ in range(int(count)):
                time.sleep(0.00002)
        say(timed.facts)
        wait_for_go()
        assert provider.force_flush()
        say("flushed")
    provider.shutdown()


def storm(daemon, subject, switches, is_read):
    """The ledger of a span with so many waits, while the collector reads the ring, or cannot."""
    if not is_read:
        daemon.process.send_signal(signal.SIGSTOP)
    try:
        facts = subject.ask(str(switches))
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    assert subject.ask("flush") == "flushed"
    return facts, settled_spans(daemon, facts["trace"])["storm"]


def check_lossy(span, facts):
    check_span(span, grades=("partial",))
    ledger = span["ledger"]
    assert ledger["unknown_ns"] > 0, span
    assert ledger["cpu_ns"] <= facts["most"] + ledger["uncertain_ns"] + SLACK_NS, (facts, span)
    print(f"lossy: {ledger['unknown_ns'] * 100 // span['wall_ns']} % unknown")


def main():
    daemon = Daemon("--settle-ms=300", "--ring-kib=64")
    if os.geteuid() != 0 or not daemon.status()["kernel"]["available"]:
        skip("no eBPF here: " + str(daemon.status()["kernel"]["error"]))
    assert daemon.status()["kernel"]["ring_bytes"] == 64 << 10
    with Service(daemon) as subject:
        for _ in range(3):
            before = daemon.status()["kernel"]["lost"]["ring_full"]
            facts, span = storm(daemon, subject, SWITCHES, is_read=False)
            lost = daemon.status()["kernel"]["lost"]["ring_full"] - before
            assert lost >= SWITCHES - 700, lost
            assert daemon.metric("spanwise_kernel_lost_total", "ring_full") >= lost
            check_lossy(span, facts)

            facts, span = storm(daemon, subject, 20, is_read=True)
            check_span(span)
            check_cpu(span, facts)

        # Where it is read, it may overflow or not: the counter and the grade tell the same.
        before = daemon.status()["kernel"]["lost"]["ring_full"]
        facts, span = storm(daemon, subject, 5 * SWITCHES, is_read=True)
        if daemon.status()["kernel"]["lost"]["ring_full"] == before:
            check_span(span)
            check_cpu(span, facts)
        else:
            check_span(span, grades=("exact", "bounded", "partial"))
    assert daemon.stop() == 0, daemon.log()


if len(sys.argv) > 1:
    service(*sys.argv[1:])
else:
    run(main)
