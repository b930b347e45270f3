# SPDX-License-Identifier: Apache-2.0
"""Who listens on the network holds nothing; who may do nothing still stores spans, and says what is missing."""

import os
import shutil

from daemon import Daemon, export, one_span, request, run, skip, temporary_folder, trace_id, wait_for


def held(pid):
    """The non-empty capability sets of every thread."""
    found = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as status:
            for line in status:
                key, value = line.split(":", 1)
                if key.startswith("Cap") and int(value, 16):
                    found[task, key] = value.strip()
    return found


def main():
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        skip("needs root and setpriv")
    daemon = Daemon()
    assert not held(daemon.process.pid), held(daemon.process.pid)
    assert daemon.stop() == 0, daemon.log()

    folder = temporary_folder()
    os.chmod(folder, 0o777)
    binary_is_reachable = os.access(os.environ["SPANWISE"], os.X_OK)
    assert binary_is_reachable
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
              "--bounding-set=-all"]
    daemon = Daemon("--settle-ms=300", data=os.path.join(folder, "data"), prefix=nobody)
    assert daemon.has_logged("spans are stored, but without figures"), daemon.log()
    with daemon.channel() as channel:
        export(channel, request([one_span(1)]))
    trace = wait_for(lambda: daemon.settled(trace_id(1)), "a ledger")
    assert trace["spans"][0]["ledger"]["grade"] == "none", trace
    assert trace["spans"][0]["ledger"]["cpu_ns"] is None
    kernel = daemon.status()["kernel"]
    assert not kernel["available"] and kernel["error"], kernel
    assert daemon.stop() == 0, daemon.log()


run(main)
