# SPDX-License-Identifier: Apache-2.0
"""The smallest ring and a storm of switches: what does not fit is counted, the spans it touches are partial and
tell no more than the truth, and the next calm span is measured again."""

import signal
import sys
import time

from daemon import daemon_with_kernel, run, wait_for
from ledgers import SLACK_NS, check_cpu, check_span, settled_spans
from service import Service, Timed, say, trace_to, wait_for_go

# A ring of 64 KiB holds fewer than 1,400 records, which have 48 bytes at least.
SWITCHES, FIT = 3000, 1400


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


def lost(daemon):
    return daemon.status()["kernel"]["lost"]["ring_full"]


def read_storm(daemon, subject, switches):
    """The ledger of a storm that was read: measured, or partial, and then the loss is counted. True: it was measured."""
    before = lost(daemon)
    facts, span = storm(daemon, subject, switches, is_read=True)
    if span["ledger"]["grade"] == "partial":
        check_span(span, grades=("partial",))
        wait_for(lambda: lost(daemon) > before, "what the grade says to be counted")
        return False
    check_span(span)
    check_cpu(span, facts)
    return True


def main():
    daemon = daemon_with_kernel("--settle-ms=300", "--ring-kib=64")
    assert daemon.status()["kernel"]["ring_bytes"] == 64 << 10
    with Service(daemon) as subject:
        for _ in range(3):
            before = lost(daemon)
            facts, span = storm(daemon, subject, SWITCHES, is_read=False)
            wait_for(lambda before=before: lost(daemon) - before >= SWITCHES - FIT, "the losses to be counted")
            assert daemon.metric("spanwise_kernel_lost_total", "ring_full") >= SWITCHES - FIT
            check_lossy(span, facts)
            # Whoever else publishes on this node uses the ring too: it may take some tries until nobody does.
            wait_for(lambda: read_storm(daemon, subject, 20), "a calm span that is measured again")
        # Where it is read, it may overflow or not.
        read_storm(daemon, subject, 5 * SWITCHES)
    assert daemon.stop() == 0, daemon.log()


if len(sys.argv) > 1:
    service(*sys.argv[1:])
else:
    run(main)
