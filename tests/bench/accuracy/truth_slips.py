# SPDX-License-Identifier: Apache-2.0
"""Programs that are not careful with contexts, as slips.c and crossed.c, and what only Python can do so: truth_slips.py
STYLE TURNS SERVICE, on the unmodified SDK. Prints what the spans cost, in the format of truth_scenarios."""

import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from contextvars import copy_context

import shown
import truth_tasks
from shown import NOTHING, at_once, draw, idle, one_in, opened, pause, root, run_in, spin
from opentelemetry import context, trace
from opentelemetry.trace import Link, use_span

ITEMS, ROUNDS, HANDS = 4, 3, 3


def show(span):
    """... and nobody puts back what was there."""
    return context.attach(trace.set_span_in_context(span) if span else NOTHING)


def enter(name, **options):
    span = shown.tracer.start_span(name, **options)
    show(span)
    return span


# ---- a detach that is forgotten: the thread goes on, or idles, and shows the span all the while


def forget():
    for _ in range(draw(2, 5)):
        span = enter("forgotten", context=NOTHING)
        spin()
        part = enter("part")
        spin()
        pause()
        part.end()
        if one_in(2):
            show(span)
        spin()
        pause()
        span.end()
        if one_in(2):
            spin()
        if one_in(4):
            show(None)
        pause()
        if one_in(2):
            spin()


def forgotten():
    at_once(forget, forget)


# ---- generators that hold a span: each puts back what it found when it began


def steps(name):
    with opened(name):
        for _ in range(draw(1, 3)):
            spin()
            yield


def advance():
    with root("request"):
        running = [steps("one"), steps("other")]
        for _ in range(draw(3, 7)):
            spin()
            next(shown.numbers.choice(running), None)
            spin()
            if one_in(2):
                with opened("child"):
                    spin()
                    pause()
    spin()
    for one in running:  # which are over, or are given up here, or by another thread, in whose context they never were
        if one_in(2):
            at_once(one.close)
        else:
            one.close()
        if one_in(2):
            spin()
    show(None)


def generators():
    at_once(advance, advance)


# ---- callbacks in the context of a span that is over, within its parent or after it


def call_back():
    spin()
    if one_in(3):
        with opened("late"):
            spin()


def again():
    with root("request"):
        spin()
        with opened("part"):
            spin()
            of_part = copy_context()
        spin()
        timer = threading.Timer(shown.between(20, 500), run_in, (of_part.copy(), call_back))
        timer.start()
        spin()
        if one_in(2):
            run_in(of_part, call_back)
        spin()
        if one_in(2):
            timer.join()
        of_root = copy_context()
    if one_in(2):
        spin()
    timer.join()
    if one_in(2):
        run_in(of_root, call_back)
    time.sleep(shown.between(20, 500))


# ---- threads that are given a context, and outlive its span


def outlive():
    spin()
    with opened("part"):
        spin()
        time.sleep(shown.between(20, 1000))
        spin()
    spin()


def copied():
    with root("request"):
        spin()
        threads = [threading.Thread(target=run_in, args=(copy_context(), outlive)) for _ in range(draw(1, 3))]
        for thread in threads:
            thread.start()
            spin()
        if one_in(2):
            threads[0].join()
        spin()
    if one_in(2):
        spin()
    for thread in threads:
        thread.join()


# ---- a thread that takes several items whose spans began elsewhere


def produce(jobs):
    producer = enter("producer", context=NOTHING) if one_in(2) else None
    item = shown.tracer.start_span("item", context=None if producer and one_in(2) else NOTHING)
    if one_in(2):
        with use_span(item):
            spin()
    jobs.put(item)
    spin()
    if producer:
        producer.end()
    show(None)


def work_in_turn(items):
    for _ in range(ROUNDS):
        for item in items:
            with use_span(item):
                spin()
                if one_in(4):
                    time.sleep(shown.between(20, 500))
            if one_in(2):
                spin(3, 50)
    for item in items:
        with use_span(item, end_on_exit=one_in(2)):
            spin()
    if one_in(2):
        spin()
    for item in items:
        if item.is_recording():
            item.end()


def work_linked(items):
    """A trace of its own; its items, which are open meanwhile, show nothing."""
    with opened("batch", context=NOTHING, links=[Link(item.get_span_context()) for item in items]):
        for item in items:
            spin()
            item.end()
            pause()
        spin()


def consume(jobs, work):
    left = ITEMS
    while left > 0:
        items = [jobs.get()]
        while not jobs.empty():
            items.append(jobs.get())
        left -= len(items)
        work(items)


def batch(work):
    jobs = queue.Queue()
    at_once(lambda: [produce(jobs) for _ in range(ITEMS)], lambda: consume(jobs, work))


def batched():
    batch(work_in_turn)


def linked():
    batch(work_linked)


# ---- spans whose times are given: begun before a thread had them, and over before it is told


def serve_timed(jobs):
    idle()
    while (asked_ns := jobs.get()) is not None:
        span = shown.tracer.start_span("timed", context=NOTHING, start_time=asked_ns)
        with use_span(span):
            spin()
            began = shown.edge()
            spin()
            shown.tell("part", began)
            spin()
            shown.stop(span)
            if one_in(2):
                spin()
            if one_in(2):
                span.end()
        if span.is_recording():
            span.end()
        if one_in(2):
            spin(3, 300)
        idle()


def given_times():
    jobs = queue.Queue()

    def ask():
        for _ in range(ITEMS):
            asker = enter("asker", context=NOTHING) if one_in(2) else None
            spin()
            jobs.put(time.time_ns())
            spin()
            if asker:
                asker.end()
            show(None)
            time.sleep(shown.between(20, 2000))
        jobs.put(None)

    at_once(ask, lambda: serve_timed(jobs))


# ---- a span that goes from thread to thread at each wait, and comes back


def handed_back():
    span, changed = shown.tracer.start_span("handed", context=NOTHING), threading.Condition()
    left, turn = 6, 0

    def take_turns(me):
        nonlocal left, turn
        while True:
            with changed:
                changed.wait_for(lambda: left <= 0 or turn == me)
                if left <= 0:
                    return
            token = show(span)
            spin()
            if one_in(3):
                with opened("part"):
                    spin()
            if one_in(2):
                context.detach(token)  # or it still shows it, and waits
            with changed:
                left, turn = left - 1, draw(0, HANDS - 1)
                changed.notify_all()

    at_once(*(lambda me=me: (take_turns(me), show(None)) for me in range(HANDS)))
    span.end()


# ---- a handler that attaches a span, and raises out of it, so that nobody puts anything back


class Jump(Exception):
    pass


def jumps():
    is_armed = False

    def on_alarm(*_):
        nonlocal is_armed
        if not is_armed:
            return
        is_armed = False
        span = shown.tracer.start_span("handler", context=None if one_in(2) else NOTHING)
        token = show(span)
        spin()
        span.end()
        if one_in(2):
            raise Jump
        context.detach(token)
        is_armed = True

    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.0009, 0.0009)
    outer = show(None)
    span = enter("request")
    for _ in range(3):
        step = enter("step", context=trace.set_span_in_context(span))
        try:
            is_armed = True
            spin(50, 3000)
            is_armed = False
        except Jump:
            spin()
        step.end()
        if one_in(2):
            show(span)
        spin()
    signal.setitimer(signal.ITIMER_REAL, 0)
    span.end()
    context.detach(outer)


# ---- a process that is stopped in its span


def stopped():
    with root("stopped"):
        others = subprocess.Popen(["sh", "-c", f"sleep {shown.between(100, 2000)}; kill -STOP {os.getpid()}; "
                                   f"sleep {shown.between(200, 5000)}; kill -CONT {os.getpid()}"])
        for _ in range(4):
            with opened("part"):
                spin()
            spin()
        others.wait()
        spin()


# ---- programs that are started within a span, in each of the ways


def spawn():
    loop = ["sh", "-c", "i=0; while [ $i -lt 500 ]; do i=$((i+1)); done"]
    with root("spawner"):
        spin()
        with opened("spawn"):
            outer = None
            if one_in(2):
                child = os.posix_spawn("/bin/sh", loop, os.environ)
            else:
                child = subprocess.Popen(loop, start_new_session=one_in(2))
            spin()
            if one_in(2):
                outer = show(None)
            spin()
            child.wait() if isinstance(child, subprocess.Popen) else os.waitpid(child, 0)
            if outer:
                context.detach(outer)
        spin()


def spawns():
    at_once(spawn, spawn)


STYLES = {style.__name__.replace("_", "-"): style for style in (
    forgotten, generators, again, copied, batched, linked, given_times, handed_back, jumps, stopped, spawns)}
STYLES.update(truth_tasks.STYLES)


def main():
    style, turns, service = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    logging.disable()  # the SDK tells of each detach in another context
    shown.numbers.seed(int(os.environ.get("TRUTH_SEED", 42)))
    provider = shown.begin(service)
    shown.wait_until_found()
    for _ in range(turns):
        STYLES[style]()
    provider.shutdown()
    shown.print_all()


if __name__ == "__main__":
    main()
