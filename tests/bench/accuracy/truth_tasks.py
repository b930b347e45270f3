# SPDX-License-Identifier: Apache-2.0
"""Of truth_slips.py, in a loop: tasks that outlive their request, what is given up, generators that nobody ends."""

import asyncio

import shown
from shown import draw, one_in, opened, root, spin


async def wait():
    await asyncio.sleep(0 if one_in(2) else shown.between(20, 1000))


async def go_on_later():
    for _ in range(draw(1, 4)):
        spin()
        await wait()
        if one_in(3):
            with opened("late"):
                spin()
                await wait()
                spin()


async def leave_behind():
    with root("request"):
        spin()
        left = [asyncio.create_task(go_on_later()) for _ in range(draw(1, 2))]
        called = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(shown.between(20, 1000), lambda: (spin(), called.set_result(None)))
        await wait()
        spin()
        if one_in(2):
            await left[0]
            spin()
    await asyncio.gather(called, *left)


async def work_long():
    with opened("work"):
        try:
            for _ in range(8):
                spin(5, 300)
                await wait()
        finally:
            spin(5, 100)


async def fail():
    await wait()
    spin(5, 100)
    raise ValueError


async def give_up():
    with root("request"):
        try:
            async with asyncio.timeout(shown.between(200, 2000)):
                await work_long()
        except TimeoutError:
            spin()
        task = asyncio.create_task(work_long())
        await wait()
        if one_in(2):
            task.cancel()
        await asyncio.wait([task])
        spin()
        try:
            async with asyncio.TaskGroup() as group:
                for work in (work_long, work_long, fail if one_in(2) else work_long):
                    group.create_task(work())
        except ExceptionGroup:
            spin()


async def rows():
    with opened("rows"):
        for _ in range(4):
            spin(5, 300)
            await wait()
            yield
            if one_in(2):
                with opened("row"):
                    spin(5, 300)


async def iterate():
    with root("request"):
        spin()
        async for _ in rows():
            spin(5, 300)
            if one_in(4):
                break  # the loop ends it, in another task's context
        spin()
        await wait()
        spin()


async def several(work):
    await asyncio.gather(*(work() for _ in range(4)))


def in_loop(work):
    return lambda: asyncio.run(several(work))


STYLES = {"outlived": in_loop(leave_behind), "given-up": in_loop(give_up), "async-generators": in_loop(iterate)}
