# SPDX-License-Identifier: Apache-2.0
"""What was acknowledged outlives the daemon: a clean end settles it, a hard end leaves it for the next start."""

from daemon import Daemon, export, one_span, request, run, trace_id, wait_for


def main():
    daemon = Daemon("--settle-ms=60000")
    with daemon.channel() as channel:
        export(channel, request([one_span(1), one_span(2)]))
    assert daemon.stop() == 0, daemon.log()

    # SIGTERM has settled all.
    daemon = Daemon("--settle-ms=60000", data=daemon.data)
    assert daemon.settled(trace_id(1)) and daemon.settled(trace_id(2))
    with daemon.channel() as channel:
        export(channel, request([one_span(3)]))
    daemon.kill()

    # Nobody settled the third: it is there, and gets a ledger now. With an early root it may settle
    # at once; else the end of the daemon settles it.
    daemon = Daemon("--settle-ms=300", data=daemon.data)
    assert daemon.trace(trace_id(3))["spans"][0]["name"] == "GET /"
    ledger = wait_for(lambda: daemon.settled(trace_id(3)), "the third")["spans"][0]["ledger"]
    assert ledger["grade"] in ("none", "partial"), ledger
    assert len(daemon.trace(trace_id(1))["spans"]) == 1
    assert daemon.stop() == 0, daemon.log()


run(main)
