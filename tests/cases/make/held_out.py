# SPDX-License-Identifier: Apache-2.0
"""More Python programs with one fault each, looked at by the sampler of faults.py: held_out.py CASE FOLDER."""

import copy
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import sampler


def spend(n):
    total = 0
    for i in range(n):
        total ^= i * i
    return total


def other_process(work, *arguments):
    """It ends with this one, at the latest after a minute."""
    if os.fork() == 0:
        parent = os.getppid()
        threading.Thread(target=work, args=arguments, daemon=True).start()
        for _ in range(600):
            time.sleep(0.1)
            if os.getppid() != parent:
                break
        os._exit(0)


def answer(listener, delay_s):
    while True:
        with listener.accept()[0] as peer:
            peer.recv(10)
            time.sleep(delay_s)
            peer.send(b"ok")


def slow_backend(folder):
    """A backend answers over TCP after 40 ms; another one at once."""

    ports = []
    for delay_s in (0.04, 0.001):
        listener = socket.create_server(("127.0.0.1", 0))
        other_process(answer, listener, delay_s)
        ports.append(listener.getsockname()[1])

    def ask(port):
        with socket.create_connection(("127.0.0.1", port)) as peer:
            peer.send(b"?")
            return peer.recv(10)

    def fetch_recommendations():
        return ask(ports[0])

    def fetch_profile():
        return ask(ports[1])

    def handle_home():
        fetch_profile()
        fetch_recommendations()
        spend(4000)

    sampler.record(folder, "h_slow_backend", handle_home)


def slow_query(folder):
    """Of four queries one is slow; the rows are then worked on."""
    ours, theirs = socket.socketpair()

    def database():
        while True:
            time.sleep(float(theirs.recv(20)))
            theirs.send(b"row")

    other_process(database)

    def execute(seconds):
        ours.send(str(seconds).encode())
        return ours.recv(10)

    def load_user():
        execute(0.002)

    def load_cart():
        execute(0.002)

    def load_orders():
        execute(0.05)

    def handle_account():
        load_user()
        load_cart()
        load_orders()
        spend(5000)

    sampler.record(folder, "h_slow_query", handle_account)


def fsync(folder):
    """Every record is synced to the disk."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:

        def flush_record():
            file.write(b"x" * 20000)
            file.flush()
            os.fsync(file.fileno())

        def handle_order():
            for _ in range(5):
                flush_record()
            spend(300)

        sampler.record(folder, "h_fsync", handle_order)


def child_process(folder):
    """A converter runs as a child process."""

    def convert_image():
        subprocess.run(["sleep", "0.06"], check=True)

    def handle_upload():
        convert_image()
        spend(3000)

    sampler.record(folder, "h_child_process", handle_upload)


def idle_executor(folder):
    """Sixteen idle workers of a pool, and one thread that polls with sleeps."""
    with ThreadPoolExecutor(16) as pool:
        for _ in range(16):
            pool.submit(time.sleep, 0.02)
        ready_at = time.time() + 100

        def wait_until_ready():
            while time.time() < ready_at:
                time.sleep(0.02)
                return

        def handle_export():
            wait_until_ready()
            spend(1500)

        sampler.record(folder, "h_idle_executor", handle_export)


def deep_copy(folder):
    """The whole state is copied for each request."""
    state = {f"user {i}": {"cart": [{"item": k, "tags": ["a", "b"]} for k in range(4)]} for i in range(60)}

    def snapshot_state():
        return copy.deepcopy(state)

    def handle_request():
        snapshot_state()
        spend(3000)

    sampler.record(folder, "h_deep_copy", handle_request)


def log_scan(folder):
    """A pattern that goes back again and again, for each line."""
    pattern = re.compile(r"^(\w+\s?)*:$")
    line = "some words that n"

    def is_header():
        return pattern.match(line)

    def scan_log():
        for _ in range(2):
            is_header()

    def handle_scan():
        scan_log()
        spend(3000)

    sampler.record(folder, "h_log_scan", handle_scan)


def crowded(folder):
    """Four neighbours on the same CPU; the request also waits a little by itself."""
    children = []
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for _ in range(4):
        child = os.fork()
        if child == 0:
            end = time.time() + sampler.RUN_S + 1
            while time.time() < end:
                spend(20000)
            os._exit(0)
        children.append(child)

    def price_basket():
        return spend(30000)

    def handle_checkout():
        price_basket()
        time.sleep(0.002)

    sampler.record(folder, "h_crowded", handle_checkout)
    for child in children:
        os.waitpid(child, 0)


def heap_snapshot(path):
    """What is allocated by now, as collapsed stacks of bytes."""
    with open(path, "w") as file:
        for statistic in tracemalloc.take_snapshot().filter_traces(
                [tracemalloc.Filter(False, tracemalloc.__file__)]).statistics("traceback"):
            stack = ";".join(f"{os.path.basename(frame.filename)}:{function_of(frame)}" for frame in statistic.traceback)
            file.write(f"{stack} {statistic.size}\n")


def function_of(frame):
    """Which function of this file a line is in."""
    name = "<module>"
    if not os.path.exists(frame.filename):
        return "<frozen>"
    with open(frame.filename, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            found = re.match(r"\s*def (\w+)", line)
            name = found[1] if found else name
            if number == frame.lineno:
                return name
    return name


def remembered(folder):
    """Each response is remembered for ever; a table of the same size is made anew each time."""
    tracemalloc.start(8)
    responses, table = [], []

    def remember_response(i):
        responses.append(f"response {i} " * 40)

    def rebuild_table():
        table[:] = [f"row {i} " * 20 for i in range(6000)]

    def handle(i):
        remember_response(i)

    for step in range(2):
        rebuild_table()
        for i in range(8000):
            handle(i)
        heap_snapshot(os.path.join(folder, f"h_remembered_{step}.collapsed"))


def main():
    sys.setswitchinterval(0.0002)
    cases = {function.__name__: function for function in (
        slow_backend, slow_query, fsync, child_process, idle_executor, deep_copy, log_scan, crowded, remembered)}
    cases[sys.argv[1]](sys.argv[2])


main()
