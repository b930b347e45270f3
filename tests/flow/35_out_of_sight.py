# SPDX-License-Identifier: Apache-2.0
"""Names are found of programs whose file is deleted, or never was in a file system, or lies in another mount and pid
namespace, or that end at once after their span."""

import os
import shutil
import sys
import tempfile

from daemon import daemon_with_kernel, run, skip, wait_for
from ledgers import measured_spans
from service import Subject, wait_until_published
from stacks import ask_for_span, in_order, wait_until_walked, whole_stack

PROGRAM = os.path.join(os.environ.get("FLOW_FORMS", ""), "glibc", "chain_O2")
WANTED = ["wait_for_row", "query_rows", "handle_report", "make_span", "main"]
# its file is seen by nobody but itself
HIDDEN = """mount -t tmpfs none "$1" && cp "$2" "$1/hidden" && exec unshare --pid --fork --kill-child "$1/hidden" """

# as loaders do that unpack themselves
UNPACK = """import os, sys
fd = os.memfd_create("unpacked")
os.write(fd, open(sys.argv[1], "rb").read())
os.execve(fd, ["unpacked"], os.environ)
"""


def check(daemon, channel, subject, what):
    wait_until_walked(daemon, channel, subject)
    stack = whole_stack(daemon, channel, subject, "sleep")
    print(what, " < ".join(stack))
    assert in_order(WANTED, stack), (what, stack)


def check_deleted(daemon, channel, folder):
    path = shutil.copy(PROGRAM, os.path.join(folder, "deleted"))
    with Subject(path) as subject:
        os.unlink(path)
        wait_until_published(daemon, subject.pid)
        check(daemon, channel, subject, "deleted:")


def check_in_memory(daemon, channel):
    with Subject(sys.executable, "-c", UNPACK, PROGRAM) as subject:
        wait_until_published(daemon, subject.pid)
        check(daemon, channel, subject, "in memory:")


def check_hidden(daemon, channel, folder):
    place = os.path.join(folder, "place")
    os.mkdir(place)
    with Subject("unshare", "--mount", "--propagation", "private", "sh", "-c", HIDDEN, "sh", place, PROGRAM) as subject:
        def pids():
            return [process["pid"] for process in daemon.status()["probe"]["publishing"]
                    if process["executable"].endswith("/hidden")]

        wait_for(pids, "the hidden program to be seen")
        assert not os.path.exists(os.path.join(place, "hidden"))
        check(daemon, channel, subject, "hidden:")


def check_gone(daemon, channel):
    """It is gone before anybody asks; what was read at its start must do."""
    subject = Subject(PROGRAM)
    wait_until_published(daemon, subject.pid)
    wait_until_walked(daemon, channel, subject)
    with subject:
        facts = ask_for_span(channel, subject, "sort", "chain")

    def look():
        waits = measured_spans(daemon, facts["trace"])["sort"]["waits"]
        return max(waits, key=lambda wait: wait["ns"])["stack"]

    stack = wait_for(look, "the stack of a process that is gone")
    print("gone:", " < ".join(stack))
    assert in_order(WANTED[:2] + ["sort_rows"] + WANTED[2:], stack), stack


def main():
    if not os.path.exists(PROGRAM):
        skip("the program is not built: FLOW_FORMS names no folder")
    daemon = daemon_with_kernel("--settle-ms=300")
    with tempfile.TemporaryDirectory() as folder, daemon.channel() as channel:
        check_deleted(daemon, channel, folder)
        check_in_memory(daemon, channel)
        check_hidden(daemon, channel, folder)
        check_gone(daemon, channel)
    assert daemon.stop() == 0, daemon.log()


run(main)
