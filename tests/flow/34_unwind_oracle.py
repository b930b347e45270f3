# SPDX-License-Identifier: Apache-2.0
"""Stacks are those that a debugger finds at the same place: as many frames, and the program's own functions in the
same order; without optimization and with, without frame pointers, below the C library, odd frames and a signal."""

import os
import re
import shutil
import subprocess
import tempfile

from daemon import Daemon, run, skip
from service import Subject, wait_until_published
from stacks import longest_stack, wait_until_walked

FOLDER = os.path.join(os.environ.get("FLOW_FORMS", ""), "glibc")
PROGRAMS = ("chain_O0", "chain_O2", "chain_static_pie")
WORDS = ("sleep", "sort", "frame", "signal", "thread")
# functions that were inlined, or that jumped away, have no frame of their own
WALK = """python
frame = gdb.newest_frame()
while frame:
    if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
        print("frame", frame.name())
    frame = frame.older()
end
"""


def debugged(gdb, program, word):
    """The functions, innermost first, where the program goes to sleep; the debugger starts one of its own."""
    with tempfile.NamedTemporaryFile("w") as words, tempfile.NamedTemporaryFile("w") as walk:
        words.write(word + "\n")
        words.flush()
        walk.write(WALK)
        walk.flush()
        commands = ["set debuginfod enabled off", "set backtrace past-main on", "set pagination off",
                    "set print frame-arguments none", "handle SIGUSR1 nostop noprint pass",
                    "catch syscall clock_nanosleep", f"run < {words.name} > /dev/null", f"source {walk.name}"]
        told = subprocess.run([gdb, "-nx", "-batch", *(f"-ex={command}" for command in commands), program],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)
    frames = [line[6:] for line in told.stdout.splitlines() if line.startswith("frame ")]
    assert frames, (program, word, told.stdout, told.stderr)
    return frames


def own(frames):
    """Those that the program defines, by names that it alone uses."""
    return [name for name in frames if re.match(r"(.*_rows?|handle_report|make_span|main|on_signal)$", name)]


def check(daemon, channel, gdb, name):
    program = os.path.join(FOLDER, name)
    with Subject(program) as subject:
        wait_until_published(daemon, subject.pid)
        wait_until_walked(daemon, channel, subject)
        for word in WORDS:
            ours, theirs = longest_stack(daemon, channel, subject, word), debugged(gdb, program, word)
            print(name, word, len(ours), "frames:", " < ".join(ours))
            assert own(ours) == own(theirs), (name, word, ours, theirs)
            assert len(ours) == len(theirs), (name, word, ours, theirs)


def main():
    gdb = shutil.which("gdb")
    if os.geteuid() != 0:
        skip("needs root for eBPF")
    if not gdb or not os.path.isdir(FOLDER):
        skip("no gdb here" if not gdb else "the programs are not built: FLOW_FORMS names no folder")
    daemon = Daemon("--settle-ms=300")
    kernel = daemon.status()["kernel"]
    if not kernel["available"]:
        skip("no eBPF here: " + str(kernel["error"]))
    with daemon.channel() as channel:
        for name in PROGRAMS:
            check(daemon, channel, gdb, name)
    assert daemon.stop() == 0, daemon.log()


run(main)
