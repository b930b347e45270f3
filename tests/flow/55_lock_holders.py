# SPDX-License-Identifier: Apache-2.0
"""Three who want one lock: the last of them waits for the first and for the second, though it is the second alone that
wakes it. Its wait says who had the lock how long, in which span, and how that is known: with Python's lock, with a
pthread mutex, and with one that processes share."""

import ctypes
import mmap
import os
import sys
import tempfile
import threading
import time

from daemon import daemon_with_kernel, run, wait_for
from ledgers import check_span, measured_spans
from service import Service, ids, say, trace_to, wait_for_go

HOLD_S = 0.06
# A wait begins late, and ends early, on a busy machine.
ENOUGH_NS = HOLD_S * 1e9 * 0.7
PARTS = ("first", "second", "third")
MUTEX_BYTES, SHARED = 64, 1
FUTEX = "202 "
libc = ctypes.CDLL(None)


def is_at_futex(pid, tid):
    with open(f"/proc/{pid}/task/{tid}/syscall") as file:
        return file.read().startswith(FUTEX)


# The service: threads.


class Mutex:
    """A pthread mutex, in this memory or in one that is shared."""

    def __init__(self, memory=None, is_new=True):
        self.memory = memory or bytearray(MUTEX_BYTES)
        self.at = ctypes.byref((ctypes.c_char * MUTEX_BYTES).from_buffer(self.memory))
        attributes = ctypes.create_string_buffer(64)
        libc.pthread_mutexattr_init(attributes)
        libc.pthread_mutexattr_setpshared(attributes, SHARED if memory is not None else 0)
        if is_new:
            libc.pthread_mutex_init(self.at, attributes)

    def __enter__(self):
        assert libc.pthread_mutex_lock(self.at) == 0

    def __exit__(self, *_):
        libc.pthread_mutex_unlock(self.at)


def three_threads(tracer, lock):
    """The first holds it until the others wait for it; each of the others for as long."""
    about, is_held, may_go = {}, threading.Event(), threading.Event()

    def work(part):
        with tracer.start_as_current_span(part) as span:
            about[part] = {**ids(span), "tid": threading.get_native_id()}
            with lock:
                is_held.set()
                if part == PARTS[0]:
                    may_go.wait()
                time.sleep(HOLD_S)

    threads = []
    for part in PARTS:
        threads.append(threading.Thread(target=work, args=(part,)))
        threads[-1].start()
        is_held.wait()
        while part != PARTS[0] and not (part in about and is_at_futex(os.getpid(), about[part]["tid"])):
            time.sleep(0.001)
    may_go.set()
    for thread in threads:
        thread.join()
    return about


# The service: processes.


def one_process(tracer, part, lock):
    with tracer.start_as_current_span(part) as span:
        say({**ids(span), "tid": threading.get_native_id()})
        with lock:
            say("has it")
            wait_for_go()


def service(kind, endpoint):
    provider = trace_to(endpoint)
    tracer = provider.get_tracer("subject")
    say("started")
    if kind == "threads":
        locks = {"python": threading.Lock, "pthread": Mutex}
        while (name := wait_for_go()) is not None:
            facts = three_threads(tracer, locks[name]())
            assert provider.force_flush()
            say(facts)
    else:
        while (part := wait_for_go()) is not None:
            with open(kind, "r+b") as file, mmap.mmap(file.fileno(), mmap.PAGESIZE) as memory:
                lock = Mutex(memory, part == PARTS[0])
                one_process(tracer, part, lock)
                lock.at = None
            assert provider.force_flush()
            say("done")
    provider.shutdown()


# What the last one's wait must say.


def lock_wait(span):
    return max((wait for wait in span["waits"] if wait["reason"] == "lock"), key=lambda wait: wait["ns"])


def check_third(span, facts, first_kinds):
    check_span(span)
    wait = lock_wait(span)
    print([(holder["kind"], holder["tid"], holder["ns"]) for holder in wait["holders"]], wait["target"], wait["ns"])
    assert wait["ns"] >= 2 * ENOUGH_NS, wait
    assert wait["wakers"][0]["tid"] == facts["second"]["tid"], (facts, wait)
    holders = {holder["tid"]: holder for holder in wait["holders"]}
    assert sum(holder["ns"] for holder in wait["holders"]) <= wait["ns"], wait
    for part in PARTS[:2]:
        holder = holders[facts[part]["tid"]]
        assert holder["ns"] >= ENOUGH_NS, (part, wait)
        assert (holder["trace_id"], holder["span_id"]) == (facts[part]["trace"], facts[part]["span"]), (part, wait)
    assert holders[facts["second"]["tid"]]["kind"] == "held", wait
    assert holders[facts["first"]["tid"]]["kind"] in first_kinds, wait


def check_threads(daemon):
    # Python's lock does not tell whose it is
    with Service(daemon, "threads") as subject:
        for kind, first_kinds in (("python", ("released",)), ("pthread", ("held",))):
            facts = subject.ask(kind)
            check_third(measured_spans(daemon, facts["third"]["trace"])["third"], facts, first_kinds)


def three_processes(daemon):
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(mmap.PAGESIZE)
        services = {part: Service(daemon, file.name) for part in PARTS}
        facts = {}
        for part, one in services.items():
            facts[part] = one.ask(part)
            if part == PARTS[0]:
                assert one.told() == "has it"
            else:
                wait_for(lambda: is_at_futex(services[part].pid, facts[part]["tid"]), f"the {part} to wait")
        for part, one in services.items():
            if part != PARTS[0]:
                assert one.told() == "has it"
            time.sleep(HOLD_S)  # for so long it has it
            one.go()
            assert one.told() == "done"
        for one in services.values():
            one.__exit__()
    return facts, {part: measured_spans(daemon, facts[part]["trace"])[part] for part in PARTS}


def check_processes(daemon):
    """Now and then the kernel is too busy to say whose memory it is; then it is done again."""

    def play():
        facts, spans = three_processes(daemon)
        is_told = all(lock_wait(spans[part])["target"].startswith("shared ") for part in PARTS[1:])
        return (facts, spans) if is_told else None

    facts, spans = wait_for(play, "three processes whose lock is told to be shared")
    check_third(spans["third"], facts, ("held",))


def main():
    daemon = daemon_with_kernel("--settle-ms=300")
    check_threads(daemon)
    check_processes(daemon)
    assert daemon.stop() == 0, daemon.log()


if len(sys.argv) == 3:
    service(*sys.argv[1:])
else:
    run(main)
