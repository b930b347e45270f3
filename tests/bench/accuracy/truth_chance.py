# SPDX-License-Identifier: Apache-2.0
"""Services made by chance: truth_chance.py chance TURNS SERVICE, on the unmodified SDK, as truth_styles.py. What a
coroutine does next is drawn; others with another number in TRUTH_SEED."""

import asyncio
import os
import threading
import time

import truth_styles as styles
from opentelemetry import trace
from truth_servers import Carried, Watched, served
from truth_styles import Turns, begun, between, carry_last, opened, spin

REQUESTS, DRIVERS, MOST_DEPTH = 4, 2, 3
crew_lock = threading.Lock()


def draw(least, most):
    return styles.numbers.randint(least, most)


# ---- on a thread


def hold():
    with crew_lock:
        spin(between(5, 200))
        if draw(0, 1):
            time.sleep(between(20, 300))


def play_on_thread(depth=0):
    for _ in range(draw(1, 4)):
        action = draw(0, 5)
        if action == 0:
            time.sleep(between(20, 2000))
        elif action == 1:
            hold()
        elif action == 2 and depth < MOST_DEPTH:
            with opened("within"):
                play_on_thread(depth + 1)
        elif action == 3 and depth < MOST_DEPTH:
            with opened("again"):
                spin(between(5, 100))
            with opened("again"):
                spin(between(5, 100))
        else:
            spin(between(10, 1000))


def drive():
    for _ in range(draw(1, 3)):
        with opened("root"):
            play_on_thread()


# ---- in the loop


async def wait(span, depth):
    await asyncio.sleep(0 if draw(0, 1) else between(20, 2000))


async def have_within(span, depth):
    inner = begun("within", span)
    try:
        await play(inner, depth + 1)
    finally:
        inner.end(inner.leave(is_end=True))


async def gather(span, depth):
    await asyncio.gather(*(have_within(span, depth) for _ in range(draw(1, 3))))


async def ask_thread(span, depth):
    await asyncio.to_thread(Carried(span, play_on_thread, MOST_DEPTH - 1))


async def ask_executor(span, depth):
    def part():
        with opened("part", span):
            play_on_thread(MOST_DEPTH - 1)

    await asyncio.get_running_loop().run_in_executor(None, part)


async def hand_over(span, depth):
    handed = begun("handed", span)
    spin(between(20, 500))
    handed.leave()
    over = asyncio.get_running_loop().run_in_executor(None, carry_last, handed)
    spin(between(20, 500))
    await over


def hidden_below(span):
    of = span.span.get_span_context()
    hidden = trace.SpanContext(of.trace_id, of.span_id ^ 1, False, trace.TraceFlags(0))
    Turns.hidden[hidden.span_id] = of.span_id
    return trace.use_span(trace.NonRecordingSpan(hidden))


async def hide(span, depth):
    with hidden_below(span):
        spin(between(20, 500))


async def hide_waiting(span, depth):
    with hidden_below(span):
        spin(between(20, 300))
        await wait(span, depth)
        spin(between(20, 300))


async def call_back(span, depth):
    """A callback runs in the context in which it was asked for."""
    called = asyncio.get_running_loop().create_future()

    def call():
        spin(between(20, 300))
        if not called.done():  # given up meanwhile
            called.set_result(None)

    asyncio.get_running_loop().call_later(0 if draw(0, 1) else between(20, 500), call)
    await called


async def steps(span):
    for _ in range(draw(1, 3)):
        with opened("step"):
            spin(between(10, 200))
        yield
        await asyncio.sleep(0)


async def iterate(span, depth):
    async for _ in steps(span):
        spin(between(5, 100))


async def give_up(span, depth):
    try:
        await asyncio.wait_for(have_within(span, MOST_DEPTH), between(200, 1500))
    except asyncio.TimeoutError:
        pass


async def do_at_once(span, depth):
    with opened("at-once"):
        play_on_thread(MOST_DEPTH)


async def hold_in_loop(span, depth):
    async with held:
        await wait(span, depth)
        spin(between(5, 200))


ALONE = (wait, wait, hide, hide_waiting, hold_in_loop, call_back, iterate, do_at_once)
DEEPER = (have_within, have_within, gather, ask_thread, ask_executor, hand_over, give_up)


async def play(span, depth=0):
    for _ in range(draw(1, 5)):
        spin(between(10, 500))
        await styles.numbers.choice(DEEPER if depth < MOST_DEPTH and draw(0, 2) == 0 else ALONE)(span, depth)
    spin(between(10, 500))


def chance():
    async def main():
        global held
        held = asyncio.Lock()
        asyncio.get_running_loop().set_default_executor(Watched(4))  # which ends with its loop
        await asyncio.gather(*(served(play) for _ in range(REQUESTS)))

    drivers = [threading.Thread(target=drive) for _ in range(DRIVERS)]
    for driver in drivers:
        driver.start()
    asyncio.run(main())
    for driver in drivers:
        driver.join()


if __name__ == "__main__":
    styles.numbers.seed(int(os.environ.get("TRUTH_SEED", 42)))
    styles.STYLES = {"chance": chance}
    styles.main()
