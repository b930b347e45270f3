# SPDX-License-Identifier: Apache-2.0
"""Stacks are those that a debugger finds at the same place: as many frames, and the program's own functions in the
same order: C, C++ and Rust without frame pointers, with optimization and without, below libraries, odd frames, a signal,
and while exceptions are on their way. And at whatever instruction a tick comes, the stack is whole."""

import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter

from daemon import daemon_with_kernel, run, skip
from service import Subject, wait_until_published
from stacks import in_order, wait_until_walked, whole_code, whole_stack

FOLDER = os.path.join(os.environ.get("FLOW_FORMS", ""), "glibc")
C = ("sleep", "sort", "frame", "signal", "thread")
LINKED = C + ("library", "opened")
OTHER = ("sleep", "method", "compare", "caught", "unwound", "thread")
PROGRAMS = {"chain_O0": LINKED, "chain_O2": LINKED, "chain_lazy": LINKED, "chain_static_pie": C, "chain_cc": OTHER,
            "chain_rs": OTHER, "chain_old_rs": OTHER}
# on the CPU: what stands above the program's own, and who calls it
TICKS = {"chain_O2": {"spin": "render_page", "clock": "clock_rows", "plt": "plt_rows"},
         "chain_lazy": {"clock": "clock_rows", "plt": "plt_rows"}, "chain_static_pie": {"spin": "render_page"}}
FIRST = ("_start", "__clone3", "clone3", "__clone", "clone", "start_thread")
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
    """Those that the program defines, by names that it alone uses. How lambdas are called, and whether Rust's hashes
    are shown, is a matter of taste."""
    frames = [re.sub(r"\[[0-9a-f]+\]|::h[0-9a-f]{16}$", "", name or "") for name in frames]
    return ["lambda" if re.search(r"lambda|_FUN$", name) else name for name in frames
            if re.match(r"(.*_rows?|handle_report|make_span|main|on_signal|_FUN|<?(shop|chain_rs)::.*)$", name)]


def check(daemon, channel, gdb, name):
    program = os.path.join(FOLDER, name)
    with Subject(program) as subject:
        wait_until_published(daemon, subject.pid)
        wait_until_walked(daemon, channel, subject)
        for word in PROGRAMS[name]:
            ours, theirs = whole_stack(daemon, channel, subject, word), debugged(gdb, program, word)
            print(name, word, len(ours), "frames:", " < ".join(ours))
            assert own(ours) == own(theirs), (name, word, ours, theirs)
            assert len(ours) == len(theirs), (name, word, ours, theirs)
        if "chain_O" in name:
            check_context(daemon, channel, subject, name)
        for word, function in TICKS.get(name, {}).items():
            check_ticks(daemon, channel, subject, name, word, function)


def check_context(daemon, channel, subject, name):
    """On a stack that makecontext made: it begins there, which debuggers do not know."""
    stack = whole_stack(daemon, channel, subject, "context")
    print(name, "context", " < ".join(stack))
    assert own(stack) == ["wait_for_row", "query_rows", "context_rows"], (name, stack)
    assert stack[-2] == "context_rows" and ("libc" in stack[-1] or stack[-1] == "__start_context"), (name, stack)


def check_ticks(daemon, channel, subject, name, word, function):
    """All of the code of a span, wherever it was found."""
    wanted, above = [function, "handle_report", "make_span", "main"], Counter()
    code = whole_code(daemon, channel, subject, word, wanted)
    stacks = [entry["stack"] for entry in code if entry["stack"]]
    for stack in stacks:
        assert in_order(["make_span", "main"], stack) and stack[-1] in FIRST, (name, word, stack)
        if function in stack:
            assert in_order(wanted, stack), (name, word, stack)
            above[" < ".join(stack[:stack.index(function)])] += 1
    print(name, word, len(stacks), "stacks, with", dict(above), f"above {function}")
    assert above, (name, word, stacks)


def main():
    gdb = shutil.which("gdb")
    if not gdb or not os.path.isdir(FOLDER):
        skip("no gdb here" if not gdb else "the programs are not built: FLOW_FORMS names no folder")
    daemon = daemon_with_kernel("--settle-ms=300", "--tick-hz=999")
    with daemon.channel() as channel:
        for name in PROGRAMS:
            if os.path.exists(os.path.join(FOLDER, name)):
                check(daemon, channel, gdb, name)
            else:
                print("left out, for it is not built:", name)
    assert daemon.stop() == 0, daemon.log()


run(main)
