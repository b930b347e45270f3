# SPDX-License-Identifier: Apache-2.0
"""A sampler of all threads of its own process: it looks at the stacks of all others every few milliseconds, as
wall-clock profilers do; a thread's CPU clock tells whether it ran (on-CPU) or waited (off-CPU) since the last look.
"""

import collections
import os
import re
import sys
import threading
import time

PERIOD_S = 0.004
RUN_S = 1.6


def frame_name(frame):
    code = frame.f_code
    parts = code.co_filename.split(os.sep)
    return f"{code.co_name} ({os.sep.join(parts[-2:]) if 'python' in code.co_filename else parts[-1]})"


def short(name):
    """As py-spy writes library files: from the library's folder on."""
    return re.sub(r"\((?:python3\.\d+|site-packages)/", "(", name)


def stack_of(frame):
    names = []
    while frame:
        names.append(short(frame_name(frame)))
        frame = frame.f_back
    return ";".join(reversed(names))


class Sampler(threading.Thread):
    """Counts microseconds by stack: where a thread ran, and where it did not."""

    def __init__(self):
        super().__init__(daemon=True)
        self.on, self.off = collections.Counter(), collections.Counter()
        self.clocks, self.is_done = {}, False

    def cpu_of(self, tid):
        """What it ran and was ready, in us, and whether it is ready now: that is not booked before it runs."""
        try:
            with open(f"/proc/self/task/{tid}/schedstat") as file:
                ran, ready, _ = file.read().split()
            with open(f"/proc/self/task/{tid}/stat") as file:
                state = file.read().rsplit(")", 1)[1].split()[0]
            return int(ran) / 1e3, int(ready) / 1e3, state == "R"
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            return None

    def look(self, elapsed_us):
        frames = sys._current_frames()
        for thread in threading.enumerate():
            if thread is self or thread.ident not in frames:
                continue
            now = self.cpu_of(thread.native_id)
            before = self.clocks.get(thread.ident)
            self.clocks[thread.ident] = now
            if now is None or before is None:
                continue
            stack = stack_of(frames[thread.ident])
            ran, ready = min(now[0] - before[0], elapsed_us), now[1] - before[1]
            ready = elapsed_us - ran if now[2] else max(0, min(ready, elapsed_us - ran))
            self.on[stack] += ran
            self.off[stack + ";[runnable]"] += ready
            self.off[stack] += max(0, elapsed_us - ran - ready)

    def run(self):
        last = time.perf_counter()
        while not self.is_done:
            time.sleep(PERIOD_S)
            now = time.perf_counter()
            self.look((now - last) * 1e6)
            last = now

    def save(self, path, counter):
        with open(path, "w") as file:
            for stack, us in sorted(counter.items()):
                if us >= 100:
                    file.write(f"{stack} {round(us)}\n")


def record(folder, name, work, seconds=RUN_S):
    sampler = Sampler()
    sampler.start()
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        work()
    sampler.is_done = True
    sampler.join()
    sampler.save(os.path.join(folder, f"{name}.on.collapsed"), sampler.on)
    sampler.save(os.path.join(folder, f"{name}.off.collapsed"), sampler.off)
