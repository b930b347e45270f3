# SPDX-License-Identifier: Apache-2.0
"""The kernel's own frames stand on top of a stack where nothing else tells what the wait is for, or everywhere, or
nowhere, as the operator wishes."""

import os

from daemon import Daemon, run, skip, wait_for
from ledgers import settled_spans
from service import Subject, wait_until_published
from stacks import ask_for_span, in_order

PROGRAM = os.path.join(os.environ.get("FLOW_FORMS", ""), "glibc", "chain_O2")
USER = {"sleep": "wait_for_row", "vfork": "start_child"}
# one of these, by the kernel's version and what its compiler made of it
KERNEL = {"sleep": {"do_nanosleep", "hrtimer_nanosleep"},
          "vfork": {"wait_for_completion", "wait_for_completion_state", "wait_for_vfork_done", "kernel_clone"}}
SEEN = {"never": (), "needed": ("vfork",), "always": ("sleep", "vfork")}


def stack_of(daemon, channel, subject, word):
    facts = ask_for_span(channel, subject, word, "chain")

    def look():
        waits = settled_spans(daemon, facts["trace"])[word]["waits"]
        stack = max(waits, key=lambda wait: wait["ns"])["stack"]
        return stack if USER[word] in stack else None

    return wait_for(look, f"the stack of {word}")


def check(wish):
    daemon = Daemon("--settle-ms=300", f"--kernel-stacks={wish}")
    kernel = daemon.status()["kernel"]
    if not kernel["available"]:
        skip("no eBPF here: " + str(kernel["error"]))
    with daemon.channel() as channel, Subject(PROGRAM) as subject:
        wait_until_published(daemon, subject.pid)
        wait_for(lambda: daemon.status()["probe"]["stacks"]["processes"] >= 1, "the tables")
        for word, function in USER.items():
            stack = stack_of(daemon, channel, subject, word)
            print(wish, word, " < ".join(stack))
            assert in_order([function, "handle_report", "main"], stack), (wish, word, stack)
            above = stack[:stack.index(function)]
            assert bool(KERNEL[word] & set(above)) == (word in SEEN[wish]), (wish, word, stack)
            assert not any(frame.startswith(("bpf_", "__schedule", "schedule")) for frame in stack), stack
    assert daemon.stop() == 0, daemon.log()


def main():
    if os.geteuid() != 0:
        skip("needs root for eBPF")
    if not os.path.exists(PROGRAM):
        skip("the program is not built: FLOW_FORMS names no folder")
    for wish in SEEN:
        check(wish)


run(main)
