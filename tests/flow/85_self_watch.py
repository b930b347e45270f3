# SPDX-License-Identifier: Apache-2.0
"""The daemon sees what goes wrong in itself: each check is provoked, says one line in the log, stands in /status, and is
well again when its cause is gone."""

import concurrent.futures
import ctypes
import os
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

from daemon import BINARY, PATIENCE_S, Daemon, children, export, request, run, skip, temporary_folder, wait_for

SHIM = os.environ.get("DISK_SHIM") or skip("DISK_SHIM must name disk_shim.so")
MIB = 1 << 20
LIMIT_MIB = 128
CLIENTS, BODY_MIB = 24, 1
OPERATIONS = 150
WAITING = 30000  # ledgers
EVERY_S = 2  # looks
SLOW_MS, SLOWER_MS = 900, 3 * EVERY_S * 1000  # a sync, of which each look sees some; one that several looks see
STOPPED_S, GOING_S = 0.5, 0.05
SLEEPS, PROCESSES = 30000, 8
LOOK = f"--health-interval-s={EVERY_S}"
PROVOKED = {"commit_time", "in_flight", "clock_bound", "memory", "alert_messages"}


class Trouble:
    """A disk, a clock and a memory that do what we say."""

    def __init__(self):
        self.root = temporary_folder()
        self.control = os.path.join(temporary_folder(), "control")
        self.say()

    def say(self, **settings):
        with open(self.control + ".new", "w") as file:
            file.writelines(f"{key} {value}\n" for key, value in settings.items())
        os.rename(self.control + ".new", self.control)

    def daemon(self, *arguments, **options):
        linked = subprocess.run(["ldd", BINARY], capture_output=True, text=True, check=True).stdout.split()
        first = [word for word in linked if word.startswith("/") and "libasan" in word]
        # AddressSanitizer keeps what was freed, which is memory, too.
        checked = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:allocator_release_to_os_interval_ms=1000"
        prefix = ["env", "ASAN_OPTIONS=" + checked, "LD_PRELOAD=" + ":".join([*first, SHIM]), "DISK_SHIM_ROOT=" + self.root,
                  "DISK_SHIM_CONTROL=" + self.control]
        return Daemon("--probe=off", LOOK, *arguments, data=os.path.join(self.root, "data"), prefix=prefix, **options)


class Webhook:
    """Takes messages, or does not."""

    def __init__(self):
        self.status = 503
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(webhook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def spans(first, count, name="GET /", text=""):
    now = time.time_ns()
    made = request([((first + i).to_bytes(16, "big"), (first + i).to_bytes(8, "big"), b"", name.format(i), now - 10**9, now)
                    for i in range(count)])
    if text:
        made.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="text").value.string_value = text
    return made


def press(daemon, stop):
    """More than is let in, again and again; refused requests are what is wanted."""
    def client(number):
        with daemon.channel() as channel:
            while not stop.is_set():
                try:
                    export(channel, spans(10**6 + number, 1, text="x" * (BODY_MIB * MIB)))
                except Exception:  # noqa: BLE001
                    time.sleep(0.1)

    clients = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(CLIENTS)]
    for thread in clients:
        thread.start()
    return clients


def degraded(daemon):
    health = daemon.status()["health"]
    bad = {check["name"] for check in health["checks"] if check["degraded"]}
    assert (health["state"] == "degraded") == bool(bad), health
    assert all(check["remedy"] and int(check["since_unix_ns"]) for check in health["checks"] if check["degraded"]), health
    return bad


def lines(daemon, name, what):
    return sum(f"health: {name} is " in line and what in line for line in daemon.lines)


def check_provoked():
    trouble, webhook = Trouble(), Webhook()
    config = os.path.join(temporary_folder(), "spanwise.conf")
    with open(config, "w") as file:
        file.write(f"alert_interval_s = 1\nalert_defaults = off\nwebhook = {webhook.url}\nmemory_limit_mib = {LIMIT_MIB}\n"
                   "[alert each]\noperation = *\nmin_count = 1\nwindow = 10m\nwhen = wall_p99 > 1ms\nfor = 0s\nkeep = 0s\n")
    daemon = trouble.daemon("--config=" + config)
    with daemon.channel() as channel:
        export(channel, spans(1, OPERATIONS, "GET /{}"))
    trouble.say(sync_ms=SLOW_MS, clock_ms=4, leak_mib=LIMIT_MIB)
    stop = threading.Event()
    clients = press(daemon, stop)
    seen = set()
    wait_for(lambda: seen.update(degraded(daemon) & PROVOKED) or seen == PROVOKED, "all to be seen")
    trouble.say()
    webhook.status = 200
    stop.set()
    for thread in clients:
        thread.join()
    wait_for(lambda: not degraded(daemon) & PROVOKED, "all to be well again")
    for name in PROVOKED:
        found, over = lines(daemon, name, "more than"), lines(daemon, name, "well again")
        assert found == over >= 1, (name, found, over)
    assert daemon.stop() == 0, daemon.log()


def check_waiting():
    """Ledgers that cannot be stored as fast as they come. A recording has every span settled by the engine."""
    trouble = Trouble()
    daemon = trouble.daemon(f"--memory-limit-mib={LIMIT_MIB}", "--settle-ms=300",
                            command=("record", os.path.join(temporary_folder(), "recording")))

    def send(first):
        with daemon.channel() as channel:
            export(channel, spans(first, 1000))

    trouble.say(sync_ms=SLOWER_MS)
    senders = [threading.Thread(target=send, args=(first,), daemon=True) for first in range(1, WAITING, 1000)]
    for sender in senders:
        sender.start()
    wait_for(lambda: "ledgers_waiting" in degraded(daemon), "ledgers to wait")
    trouble.say()
    for sender in senders:
        sender.join()
    wait_for(lambda: not degraded(daemon), "ledgers to be stored")
    assert lines(daemon, "ledgers_waiting", "more than") == lines(daemon, "ledgers_waiting", "well again") == 1
    assert daemon.stop() == 0, daemon.log()


class Stopped:
    """One thread of a process, held as a debugger would."""

    SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000

    def __init__(self, tid):
        self.tid = tid
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self._ask(self.SEIZE)
        self._ask(self.INTERRUPT)
        os.waitpid(tid, self.WALL)

    def _ask(self, what):
        if self.libc.ptrace(what, self.tid, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def go_on(self):
        self._ask(self.DETACH)


def thread_named(pid, name):
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm") as file:
            if file.read().strip() == name:
                return int(task)
    return None


def engine_of(daemon):
    pids = [daemon.process.pid, *children(daemon.process.pid)]
    return next(filter(None, (thread_named(pid, "engine") for pid in pids)))


class Load:
    """Processes that publish their spans, and wait all the time."""

    def __init__(self, processes):
        self.programs = [subprocess.Popen([os.environ["FLOW_TRUTH"], "sleep", str(SLEEPS), "ring"], text=True,
                                          stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) for _ in range(processes)]
        for program in self.programs:
            program.stdin.write("!")
            program.stdin.flush()

    def end(self):
        for program in self.programs:
            program.kill()
            program.wait()


def check_ring():
    """An engine that gets no CPU at all: what it does not read piles up, which others see. Then one that gets too little of
    it: it sees itself how much it has missed, again and again."""
    daemon = Daemon("--ring-kib=64", LOOK)
    if os.geteuid() != 0 or not daemon.status()["kernel"]["available"]:
        print("no eBPF here: nothing of the ring is tested")
        return
    engine, load = Stopped(engine_of(daemon)), Load(PROCESSES)
    wait_for(lambda: "ring_backlog" in degraded(daemon), "the lag to be seen")
    engine.go_on()
    lost = "spanwise_kernel_lost_total"
    before = daemon.metric(lost, 'cause="ring_full"')

    def overflow():
        stopped = Stopped(engine.tid)
        time.sleep(STOPPED_S)
        stopped.go_on()
        time.sleep(GOING_S)
        return "records_lost" in degraded(daemon)

    wait_for(overflow, "the loss to be seen")
    assert daemon.metric(lost, 'cause="ring_full"') > before
    load.end()
    wait_for(lambda: not degraded(daemon) & {"ring_backlog", "records_lost"}, "the ring to be read")
    for name in ("ring_backlog", "records_lost"):
        found, over = lines(daemon, name, "more than"), lines(daemon, name, "well again")
        assert found == over >= 1, (name, found, over)
    assert daemon.stop() == 0, daemon.log()


def main():
    """At the same time: each waits for looks most of the time."""
    checks = [check_provoked, check_waiting, check_ring]
    with concurrent.futures.ThreadPoolExecutor(len(checks)) as pool:
        for check in [pool.submit(check) for check in checks]:
            check.result()


run(main)
