# SPDX-License-Identifier: Apache-2.0
"""A Python program that waits and works at known places, as chain.c does; for any CPython from 3.7 on.

    chain.py LIBRARY

LIBRARY publishes the span (tests/context/library.c). Reads a word a line, makes a span, does there what the
word says, and answers with a line of JSON.
"""

import asyncio
import ctypes
import json
import os
import sys
import threading
import time

SLEEP_S, SPIN_S = 0.02, 0.06
library = ctypes.CDLL(sys.argv[1])
library.context_address.restype = ctypes.POINTER(ctypes.c_void_p)


class Record(ctypes.Structure):
    _fields_ = [("trace_id", ctypes.c_ubyte * 16), ("span_id", ctypes.c_ubyte * 8), ("valid", ctypes.c_ubyte),
                ("flags", ctypes.c_ubyte), ("attrs_bytes", ctypes.c_uint16)]


def wait_for_row():
    time.sleep(SLEEP_S)


def query_rows():
    wait_for_row()


class Report:
    def make(self):
        query_rows()


def key_of(row):
    query_rows()
    return row


def each_row():
    query_rows()
    yield 1


def render_page():
    end = time.thread_time() + SPIN_S
    total = 0
    while time.thread_time() < end:
        total += sum(range(200))
    return total


async def fetch_rows():
    query_rows()


async def serve():
    await fetch_rows()


def größe_von_作業():
    query_rows()


def go_down(depth):
    return go_down(depth - 1) if depth else query_rows()


WORDS = {
    "sleep": query_rows,
    "method": lambda: Report().make(),
    "sort": lambda: sorted([2], key=key_of),
    "generator": lambda: list(each_row()),
    "async": lambda: asyncio.run(serve()),
    "unicode": größe_von_作業,
    "deep": lambda: go_down(40),
    "exec": lambda: exec("query_rows()", globals()),
    "thread": query_rows,
    "spin": render_page,
}


def handle_report(word):
    WORDS[word]()


def make_span(word):
    record = Record(valid=1)
    record.trace_id[:] = os.urandom(16)
    record.span_id[:] = os.urandom(8)
    variable = library.context_address()
    start = time.time_ns()
    variable[0] = ctypes.addressof(record)
    handle_report(word)
    variable[0] = None
    print(json.dumps({"trace": bytes(record.trace_id).hex(), "span": bytes(record.span_id).hex(), "start": start,
                      "end": time.time_ns(), "pid": os.getpid()}), flush=True)


def main():
    print('"started"', flush=True)
    for line in sys.stdin:
        word = line.strip()
        if word == "thread":
            thread = threading.Thread(target=make_span, args=(word,))
            thread.start()
            thread.join()
        else:
            make_span(word)


main()
