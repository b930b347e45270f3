# SPDX-License-Identifier: Apache-2.0
"""Python programs with one fault each, and a sampler of all their threads.

faults.py CASE FOLDER: a thread looks at the stacks of all others every few milliseconds, as wall-clock
profilers do; a thread's CPU clock tells whether it ran (on-CPU) or waited (off-CPU) since the last look.
"""

import collections
import json
import os
import queue
import re
import sqlite3
import sys
import threading
import time

PERIOD_S = 0.004
RUN_S = 1.6


def frame_name(frame):
    code = frame.f_code
    parts = code.co_filename.split(os.sep)
    return f"{code.co_name} ({os.sep.join(parts[-2:]) if 'python' in code.co_filename else parts[-1]})"


def short(name):
    """As py-spy writes library files: from the library's folder on."""
    return re.sub(r"\((?:python3\.\d+|site-packages)/", "(", name)


def stack_of(frame):
    names = []
    while frame:
        names.append(short(frame_name(frame)))
        frame = frame.f_back
    return ";".join(reversed(names))


class Sampler(threading.Thread):
    """Counts microseconds by stack: where a thread ran, and where it did not."""

    def __init__(self):
        super().__init__(daemon=True)
        self.on, self.off = collections.Counter(), collections.Counter()
        self.clocks, self.is_done = {}, False

    def cpu_of(self, tid):
        try:
            with open(f"/proc/self/task/{tid}/schedstat") as file:
                ran, ready, _ = file.read().split()
                return int(ran) / 1e3, int(ready) / 1e3
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            return None

    def look(self, elapsed_us):
        frames = sys._current_frames()
        for thread in threading.enumerate():
            if thread is self or thread.ident not in frames:
                continue
            now = self.cpu_of(thread.native_id)
            before = self.clocks.get(thread.ident)
            self.clocks[thread.ident] = now
            if now is None or before is None:
                continue
            stack = stack_of(frames[thread.ident])
            ran, ready = min(now[0] - before[0], elapsed_us), now[1] - before[1]
            ready = max(0, min(ready, elapsed_us - ran))
            self.on[stack] += ran
            self.off[stack + ";[runnable]"] += ready
            self.off[stack] += max(0, elapsed_us - ran - ready)

    def run(self):
        last = time.perf_counter()
        while not self.is_done:
            time.sleep(PERIOD_S)
            now = time.perf_counter()
            self.look((now - last) * 1e6)
            last = now

    def save(self, path, counter):
        with open(path, "w") as file:
            for stack, us in sorted(counter.items()):
                if us >= 100:
                    file.write(f"{stack} {round(us)}\n")


def record(folder, name, work, seconds=RUN_S):
    sampler = Sampler()
    sampler.start()
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        work()
    sampler.is_done = True
    sampler.join()
    sampler.save(os.path.join(folder, f"{name}.on.collapsed"), sampler.on)
    sampler.save(os.path.join(folder, f"{name}.off.collapsed"), sampler.off)


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
