# SPDX-License-Identifier: Apache-2.0
"""The privileged half dies: the collector goes on, and the worker comes back."""

import os
import signal

from daemon import children, daemon_with_kernel, export, one_span, request, run, trace_id, wait_for


def main():
    daemon = daemon_with_kernel("--settle-ms=300")
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
