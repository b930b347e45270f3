# SPDX-License-Identifier: Apache-2.0
"""CLOCK_REALTIME is set forward and back while spans run, for the daemon and the programs alike (preloaded: the
machine's own clock is left alone): spans over a step admit what it may have moved, and the others stay sure."""

import os
import subprocess
import time
from collections import Counter

from daemon import BINARY, daemon_with_kernel, run, skip, temporary_folder
from truths import VOUCHED, finish_truth, judge, start_truth

SHIM = os.environ.get("DISK_SHIM") or skip("DISK_SHIM must name disk_shim.so")
TURNS = {"sleep": 60, "nested": 60, "thread-each": 60, "hand-over": 60}
STEPS_US = (30_000, -30_000, 400, 3_000_000, -3_000_000, -400, 0)


class Clock:
    """What all who have this environment take for the time of day."""

    def __init__(self):
        self.control = os.path.join(temporary_folder(), "control")
        self.set(0)
        linked = subprocess.run(["ldd", BINARY], capture_output=True, text=True, check=True).stdout.split()
        first = [word for word in linked if word.startswith("/") and "libasan" in word]
        self.environment = {"LD_PRELOAD": ":".join([*first, SHIM]), "DISK_SHIM_CONTROL": self.control}

    def set(self, us):
        with open(self.control + ".new", "w") as file:
            print("clock_us", us, file=file)
        os.rename(self.control + ".new", self.control)


def main():
    clock = Clock()
    daemon = daemon_with_kernel("--settle-ms=500", environment=clock.environment)
    given, offset = Counter(), 0
    for name, turns in TURNS.items():
        program = start_truth(daemon, name, turns, "steps-" + name, env={**os.environ, **clock.environment})
        program.stdin.write("!")
        program.stdin.flush()
        for step in STEPS_US:
            time.sleep(0.15)
            offset += step
            clock.set(offset)
        given += judge(daemon, name, finish_truth(daemon, program, "steps-" + name))
    assert sum(given[grade] for grade in VOUCHED) > 0, given
    assert daemon.stop() == 0, daemon.log()
    print(dict(given))


run(main)
