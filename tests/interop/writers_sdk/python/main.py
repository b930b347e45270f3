# SPDX-License-Identifier: Apache-2.0
"""Spans of ddtrace on three threads. Prints each span's ids and its thread's CPU ns."""

import sys
import threading
import time

from ddtrace.trace import tracer


def spin(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def say(span, begin_ns):
    cpu_ns = time.thread_time_ns() - begin_ns
    sys.stdout.write(f"span {span.trace_id:032x} {span.span_id:016x} {cpu_ns}\n")  # at once: print() lets others in between
    sys.stdout.flush()


def request():
    with tracer.trace("outer") as outer:
        outer_begin_ns = time.thread_time_ns()
        spin(0.003)
        time.sleep(0.005)
        with tracer.trace("inner") as inner:
            inner_begin_ns = time.thread_time_ns()
            spin(0.002)
            time.sleep(0.004)
            say(inner, inner_begin_ns)
        say(outer, outer_begin_ns)


def work():
    for _ in range(10):
        request()


with tracer.trace("warm"):  # its library is loaded by now
    print("ready", flush=True)
    input()
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
tracer.shutdown()
