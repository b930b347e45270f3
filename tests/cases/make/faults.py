# SPDX-License-Identifier: Apache-2.0
"""Python programs with one fault each, looked at by sampler.py: faults.py CASE FOLDER."""

import json
import os
import queue
import re
import sqlite3
import sys
import threading
import time

from sampler import RUN_S, record


def burn(n):
    total = 0
    for i in range(n):
        total += i * i % 7
    return total


def render_page():
    return burn(20000)


def run_query():
    """The database answers slowly: another thread holds its answer back."""
    answer = queue.Queue()
    timer = threading.Timer(0.04, answer.put, ("row",))
    timer.start()
    return wait_answer(answer)


def wait_answer(answer):
    done = threading.Event()
    threading.Timer(0.04, done.set).start()
    done.wait()
    return answer.get()


def slow_query(folder):
    def handle_request():
        run_query()
        render_page()

    record(folder, "slow_query", handle_request)


def contended_lock(folder):
    lock = threading.Lock()

    def update_totals():
        with lock:
            time.sleep(0.004)

    def handle_update():
        while not stop.is_set():
            update_totals()

    stop = threading.Event()
    threads = [threading.Thread(target=handle_update, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    record(folder, "contended_lock", lambda: time.sleep(0.05))
    stop.set()


def idle_pool(folder):
    """Twenty workers wait for work; one request waits for its file."""
    jobs = queue.Queue()

    def pool_worker():
        while jobs.get() is not None:
            pass

    for _ in range(20):
        threading.Thread(target=pool_worker, daemon=True).start()

    def read_upload():
        reader, writer = os.pipe()
        threading.Timer(0.03, os.write, (writer, b"x")).start()
        os.read(reader, 1)
        os.close(reader)
        os.close(writer)

    def handle_upload():
        read_upload()
        burn(3000)

    record(folder, "idle_pool", handle_upload)


def starved(folder):
    """Six burners of other processes share the CPUs with the request."""
    children = []
    for _ in range(6):
        child = os.fork()
        if child == 0:
            end = time.time() + RUN_S + 1
            while time.time() < end:
                burn(20000)
            os._exit(0)
        children.append(child)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for child in children:
        os.sched_setaffinity(child, os.sched_getaffinity(0))

    def handle_request():
        burn(20000)

    record(folder, "starved", handle_request)
    for child in children:
        os.waitpid(child, 0)


def retry_sleep(folder):
    def call_backend():
        for attempt in range(3):
            back_off(attempt)
        return burn(5000)

    def back_off(attempt):
        time.sleep(0.01 * (attempt + 1))

    record(folder, "retry_sleep", call_backend)


def json_hot(folder):
    rows = [{"id": i, "name": f"row {i}", "tags": ["a", "b"], "price": i / 7} for i in range(400)]

    def to_json():
        return json.dumps(rows)

    def handle_request():
        to_json()
        burn(2000)

    record(folder, "json_hot", handle_request)


def regex_hot(folder):
    pattern = re.compile(r"(a+)+b")

    def check_input():
        return pattern.match("a" * 16 + "c")

    def handle_request():
        for _ in range(4):
            check_input()
        burn(3000)

    record(folder, "regex_hot", handle_request)


def cpu_bound(folder):
    def compute_layout():
        return burn(60000)

    def handle_request():
        compute_layout()
        time.sleep(0.0005)

    record(folder, "cpu_bound", handle_request)


def n_plus_one(folder):
    """A query for each row: the database is fast, there are too many of them."""
    database = sqlite3.connect(":memory:")
    database.execute("create table item (id integer primary key, name text)")
    database.executemany("insert into item values (?, ?)", [(i, f"item {i}") for i in range(20000)])

    def load_item(number):
        return database.execute("select name from item where name = ?", (f"item {number}",)).fetchone()

    def handle_list():
        for number in range(30):
            load_item(number)
        burn(1000)

    record(folder, "n_plus_one", handle_list)


def main():
    sys.setswitchinterval(0.0002)  # else the sampler only looks when the others wait
    cases = {function.__name__: function for function in (
        slow_query, contended_lock, idle_pool, starved, retry_sleep, json_hot, regex_hot, cpu_bound, n_plus_one)}
    cases[sys.argv[1]](sys.argv[2])


main()
