# SPDX-License-Identifier: Apache-2.0
"""Python's functions stand in the stacks by name, in their order, and not the interpreter's own: for every CPython on
this machine, whether it has symbols or not; or for those that FLOW_PYTHONS names."""

import glob
import os
import shutil
import subprocess
import sys

from daemon import daemon_with_kernel, run, skip
from service import Subject, wait_until_published
from stacks import in_order, wait_until_walked, whole_code, whole_stack

FOLDER = os.path.join(os.environ.get("FLOW_FORMS", ""), "glibc")
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "forms", "chain.py")
WAIT = ["wait_for_row", "query_rows"]
ENDS = ["handle_report", "make_span"]
WORDS = {
    "sleep": WAIT + ENDS + ["main", "<module>"],
    "method": WAIT + ["make", "<lambda>"] + ENDS + ["main"],
    "sort": WAIT + ["key_of", "<lambda>"] + ENDS + ["main"],
    "generator": WAIT + ["each_row", "<lambda>"] + ENDS + ["main"],
    "async": WAIT + ["fetch_rows", "serve", "_run", "_run_once", "run_forever"] + ENDS + ["main"],
    "unicode": WAIT + ["größe_von_作業"] + ENDS + ["main"],
    "deep": WAIT + ["go_down"] * 41 + ["<lambda>"] + ENDS + ["main"],
    "exec": WAIT + ["<module>", "<lambda>"] + ENDS + ["main"],
    "thread": WAIT + ENDS + ["run", "_bootstrap_inner", "_bootstrap"],
}
SHORT = ("method", "async", "deep", "thread")  # of versions that are not Debian 12's
FIRST = ("_start", "__clone3", "clone3", "__clone", "clone", "start_thread")


def interpreters():
    """path -> version, each version once."""
    found = {}
    names = ["/usr/bin/python3", *map(shutil.which, (f"python3.{minor}" for minor in range(7, 16)))]
    names += glob.glob(os.path.expanduser("~/.pyenv/versions/3.*/bin/python3"))
    if "FLOW_PYTHONS" in os.environ:  # by tests/interop/pythons
        names = os.environ["FLOW_PYTHONS"].split(":")
    for path in names:
        told = path and subprocess.run([path, "-c", "import sys, platform; print(platform.python_implementation(), "
                                        "*sys.version_info[:3], sys.executable)"], capture_output=True, text=True)
        if not told or told.returncode != 0 or not told.stdout.startswith("CPython"):
            continue
        _, *version, real = told.stdout.split()
        if tuple(map(int, version)) >= (3, 7):
            found.setdefault(os.path.realpath(real), tuple(map(int, version)))
    return found


def names_of(stack):
    """The Python functions among the frames, without files and classes."""
    return [frame.split(": ", 1)[1].rsplit(".", 1)[-1] for frame in stack if ".py: " in frame or ">: " in frame]


def check_word(daemon, channel, subject, version, word):
    too_deep = ("[truncated: too deep]",) if word == "deep" and version < (3, 11) else ()
    stack = whole_stack(daemon, channel, subject, word, too_deep)
    text = " < ".join(stack)
    print(version, word, text)
    assert in_order(WORDS[word], names_of(stack)), (version, word, stack)
    assert names_of(stack)[0] == "wait_for_row", (version, word, stack)
    assert "_PyEval_EvalFrameDefault" not in text and "py::" not in text, (version, word, stack)
    # until 3.10 each function takes several native frames
    assert stack[-1] in FIRST + too_deep, (version, word, stack)
    if version >= (3, 11) and word == "method":
        assert "chain.py: Report.make" in stack, (version, stack)


def check_spin(daemon, channel, subject, version):
    wanted = ["render_page", "handle_report", "main"]
    code = whole_code(daemon, channel, subject, "spin", wanted, names_of)
    inside = sum(entry["ns"] for entry in code if in_order(wanted, names_of(entry["stack"])))
    print(version, f"spin: {inside} of {sum(entry['ns'] for entry in code)} ns in render_page")
    assert inside > 0, (version, code)


def main():
    if not os.path.isdir(FOLDER):
        skip("the programs are not built: FLOW_FORMS names no folder")
    daemon = daemon_with_kernel("--settle-ms=300")
    found = interpreters()
    assert found, "no CPython here"
    with daemon.channel() as channel:
        for path, version in sorted(found.items(), key=lambda item: item[1]):
            with Subject(path, PROGRAM, os.path.join(FOLDER, "libdescriptor.so")) as subject:
                wait_until_published(daemon, subject.pid)
                wait_until_walked(daemon, channel, subject)
                for word in WORDS if version[:2] == (3, 11) else SHORT:
                    check_word(daemon, channel, subject, version, word)
                check_spin(daemon, channel, subject, version)
    print("versions:", *sorted(".".join(map(str, version)) for version in found.values()))
    assert daemon.stop() == 0, daemon.log()


run(main)
