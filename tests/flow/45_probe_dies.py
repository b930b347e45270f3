# SPDX-License-Identifier: Apache-2.0
"""The privileged half dies: the collector goes on, and the worker comes back."""

import os
import signal

from daemon import Daemon, children, export, one_span, request, run, skip, trace_id, wait_for


def main():
    if os.geteuid() != 0:
        skip("needs root for eBPF")
    daemon = Daemon("--settle-ms=300")
    if not daemon.status()["kernel"]["available"]:
        skip("no eBPF here: " + str(daemon.status()["kernel"]["error"]))
    (keeper,) = children(daemon.process.pid)
    (worker,) = children(keeper)
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: daemon.status()["probe"]["restarts"] == 1, "another worker")
    status = daemon.status()
    assert status["kernel"]["available"] and status["probe"]["state"] == "up", status
    assert children(keeper) != [worker]

    os.kill(keeper, signal.SIGKILL)
    wait_for(lambda: daemon.status()["probe"]["state"] == "absent", "its absence to be noticed")
    assert "restart spanwise" in daemon.status()["kernel"]["error"]
    with daemon.channel() as channel:
        export(channel, request([one_span(1)]))
    assert wait_for(lambda: daemon.settled(trace_id(1)), "a trace without a probe")
    assert daemon.stop() == 0, daemon.log()


run(main)
