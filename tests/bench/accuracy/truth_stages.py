# SPDX-License-Identifier: Apache-2.0
"""Spans that go through stages, threads that look for work all the time, roots within others' spans, and greenlets:
truth_stages.py STYLE TURNS SERVICE, on the unmodified SDK, as truth_slips.py."""

import collections
import queue
import threading
import time

import shown
import truth_slips as slips
from shown import NOTHING, at_once, draw, look, nap, one_in, opened, pause, root, seen, spin
from opentelemetry import context
from opentelemetry.trace import use_span

STAGES, THREADS, JOBS, FIBERS = 3, 2, 4, 4


# ---- one begins a span, others work at it, and the last one ends it


def work_at(span):
    with use_span(span):
        spin()
        if one_in(3):
            with opened("part"):
                spin()
                pause()
        spin()


def stage(mine, following):
    while (span := mine.get()) is not None:
        work_at(span)
        if one_in(3):
            spin(3, 200)
        following.put(span) if following else span.end()


def drive(first):
    for _ in range(JOBS):
        with root("driver"):
            spin()
            span = shown.tracer.start_span("job", context=None if one_in(2) else NOTHING)
            if one_in(2):
                work_at(span)
            first.put(span)
            spin()
        if one_in(2):
            nap()


def relays():
    queues = [queue.Queue() for _ in range(STAGES)]
    workers = [[threading.Thread(target=seen(stage), args=(mine, following)) for _ in range(THREADS)]
               for mine, following in zip(queues, queues[1:] + [None])]
    for threads in workers:
        for thread in threads:
            thread.start()
    at_once(*[lambda: drive(queues[0])] * 2)
    for mine, threads in zip(queues, workers):
        for _ in threads:
            mine.put(None)
        for thread in threads:
            thread.join()


# ---- threads that are at hand when a span begins


def look_for(jobs, is_over):
    while not is_over.is_set() or jobs:
        try:
            span, has_ended = jobs.popleft()
        except IndexError:
            spin(3, 50)
            continue
        work_at(span)
        span.end()
        has_ended.set()


def polling():
    jobs, is_over = collections.deque(), threading.Event()
    threads = [threading.Thread(target=seen(look_for), args=(jobs, is_over)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(JOBS):
        has_ended = threading.Event()
        with root("asker"):
            spin()
            jobs.append((shown.tracer.start_span("asked"), has_ended))
            spin()
            if one_in(2):
                has_ended.wait()
        has_ended.wait()
        time.sleep(shown.between(20, 500))
    is_over.set()
    for thread in threads:
        thread.join()


# ---- traces within others' spans


def root_within():
    with root("request"):
        spin()
        for _ in range(draw(1, 3)):
            with root("within"):
                spin()
                pause()
                if one_in(2):
                    with opened("part"):
                        spin()
            spin()
        with opened("part"):
            spin()
            token = context.attach(NOTHING)
            spin()
            pause()
            context.detach(token)
        spin()


# ---- greenlets, each with a stack of spans of its own


def greenlets():
    from greenlet import getcurrent, greenlet

    hub = getcurrent()

    def switch(other):
        look()
        other.switch()
        look()
        shown.mine().way = None

    def fiber():
        look()
        with root("fiber"):
            for _ in range(draw(2, 5)):
                spin()
                if one_in(2):
                    with opened("part"):
                        spin()
                        switch(hub)
                        spin()
                switch(hub)
        look()

    running = [greenlet(fiber) for _ in range(FIBERS)]
    while running:
        one = shown.numbers.choice(running)
        switch(one)
        if one.dead:
            running.remove(one)
        if one_in(4):
            time.sleep(shown.between(20, 500))


if __name__ == "__main__":
    slips.STYLES = {style.__name__.replace("_", "-"): style for style in (relays, polling, root_within, greenlets)}
    slips.main()
