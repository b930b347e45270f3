# SPDX-License-Identifier: Apache-2.0
"""The kernel's own frames stand on top of a stack where nothing else tells what the wait is for, or everywhere, or
nowhere, as the operator wishes. A sleep that a stop interrupted goes on as another call, which may be any; that it is the
same sleep is known without them."""

import os
import signal
import threading
import time

from daemon import daemon_with_kernel, run, skip, wait_for
from ledgers import measured_spans
from service import Subject, wait_until_published
from stacks import ask_for_span, in_order

PROGRAM = os.path.join(os.environ.get("FLOW_FORMS", ""), "glibc", "chain_O2")
USER = {"sleep": "wait_for_row", "vfork": "start_child"}
# one of these, by the kernel's version and what its compiler made of it
KERNEL = {"sleep": {"do_nanosleep", "hrtimer_nanosleep"},
          "vfork": {"wait_for_completion", "wait_for_completion_state", "wait_for_vfork_done", "kernel_clone"}}
SEEN = {"never": (), "needed": ("vfork",), "always": ("sleep", "vfork")}


def stack_of(daemon, channel, subject, word):
    def look():  # the first may come before the program's tables
        facts = ask_for_span(channel, subject, word, "chain")
        waits = measured_spans(daemon, facts["trace"])[word]["waits"]
        stack = max(waits, key=lambda wait: wait["ns"])["stack"]
        return stack if USER[word] in stack else None

    return wait_for(look, f"the stack of {word}")


def stop_and_continue(pid):
    time.sleep(0.15)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.05)
    os.kill(pid, signal.SIGCONT)


def check_restarted(daemon, channel, subject, wish):
    def look():
        stopper = threading.Thread(target=stop_and_continue, args=(subject.pid,))
        stopper.start()
        facts = ask_for_span(channel, subject, "long", "chain")
        stopper.join()
        waits = measured_spans(daemon, facts["trace"])["long"]["waits"]
        return waits if any(wait["reason"] == "signal" for wait in waits) else None  # none: it was stopped too late

    waits = wait_for(look, "a sleep that is interrupted")
    print(wish, "long", [(wait["reason"], wait["ns"], wait["count"], wait["decided_by"]) for wait in waits])
    sleeps = [wait for wait in waits if wait["reason"] == "sleep"]
    assert sum(wait["count"] for wait in sleeps) >= 2, (wish, waits)
    assert all(wait["decided_by"] == "syscall clock_nanosleep" for wait in sleeps), (wish, waits)
    assert not any(wait["reason"] == "other" for wait in waits), (wish, waits)


def check(wish):
    daemon = daemon_with_kernel("--settle-ms=300", f"--kernel-stacks={wish}")
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
        check_restarted(daemon, channel, subject, wish)
    assert daemon.stop() == 0, daemon.log()


def main():
    if os.geteuid() != 0:
        skip("needs root for eBPF")
    if not os.path.exists(PROGRAM):
        skip("the program is not built: FLOW_FORMS names no folder")
    for wish in SEEN:
        check(wish)


run(main)
