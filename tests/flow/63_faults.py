# SPDX-License-Identifier: Apache-2.0
"""A disk that fails, is slow or loses what was not synced, a database that is full, and a clock that jumps: nothing that was acknowledged is lost,
senders are told to come again, memory stays bounded, and the daemon goes on by itself when the fault is over."""

import contextlib
import collections
import http.client
import os
import random
import struct
import subprocess
import threading
import time

import grpc

from daemon import (BINARY, PATIENCE_S, Daemon, expect_error, export, one_span, request, run, skip, temporary_folder,
                    trace_id, wait_for)

SHIM = os.environ.get("DISK_SHIM") or skip("DISK_SHIM must name disk_shim.so")
ROUNDS = 6


class Disk:
    """A folder whose disk does what we say."""

    def __init__(self, journal=False):
        self.root = temporary_folder()
        self.control = os.path.join(temporary_folder(), "control")
        self.journal = temporary_folder() if journal else None
        self.say()

    def say(self, **settings):
        with open(self.control + ".new", "w") as file:
            file.writelines(f"{key} {value}\n" for key, value in settings.items())
        os.rename(self.control + ".new", self.control)

    def daemon(self, *arguments):
        linked = subprocess.run(["ldd", BINARY], capture_output=True, text=True, check=True).stdout.split()
        first = [word for word in linked if word.startswith("/") and "libasan" in word]
        prefix = ["env", "LD_PRELOAD=" + ":".join([*first, SHIM]), "DISK_SHIM_ROOT=" + self.root,
                  "DISK_SHIM_CONTROL=" + self.control]
        prefix += ["DISK_SHIM_JOURNAL=" + self.journal] if self.journal else []
        return Daemon("--probe=off", "--settle-ms=300", *arguments, data=os.path.join(self.root, "data"),
                      prefix=prefix)

    def cut_power(self, keep):
        """Undoes what was written and not synced, each write with a chance of 1 - keep."""
        for name in os.listdir(self.journal):
            with open(os.path.join(self.journal, name), "rb") as file:
                text, at, records = file.read(), 0, []
            while at < len(text):
                path_len, old_len, offset, size = struct.unpack_from("<4Q", text, at)
                at += 32
                path, old = text[at:at + path_len], text[at + path_len:at + path_len + old_len]
                at += path_len + old_len
                records.append((path, old, offset, size))
            for path, old, offset, size in reversed(records):
                if random.random() < keep or not os.path.exists(path):
                    continue
                with open(path, "r+b") as file:
                    file.seek(offset)
                    file.write(old)
                    if keep == 0:
                        file.truncate(max(size, offset + len(old)))
            os.unlink(os.path.join(self.journal, name))


def post(daemon, message):
    host, port = daemon.http.rsplit(":", 1)
    client = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
    client.request("POST", "/v1/traces", message.SerializeToString(), {"Content-Type": "application/x-protobuf"})
    answer = client.getresponse()
    result = answer.status, answer.headers["Retry-After"]
    client.close()
    return result


def all_there(daemon, numbers):
    for number in numbers:
        trace = daemon.trace(trace_id(number))
        assert trace and len(trace["spans"]) == 1, f"span {number} was acknowledged and is gone"


def io_errors():
    disk = Disk()
    daemon = disk.daemon()
    number = 1
    acknowledged = []
    for fault in ({"sync_errno": 5}, {"write_errno": 5}, {"write_errno": 28}):
        with daemon.channel() as channel:
            export(channel, request([one_span(number)]))
            acknowledged.append(number)
            disk.say(**fault)
            error = expect_error(grpc.StatusCode.UNAVAILABLE, lambda: export(channel, request([one_span(1000)])))
            assert b"RetryInfo" in dict(error.trailing_metadata())["grpc-status-details-bin"], error
            status, retry = post(daemon, request([one_span(1001)]))
            assert status == 503 and int(retry) > 0, (status, retry)
            assert daemon.get("/healthz")[0] == 200
            all_there(daemon, acknowledged)
            disk.say()

            def goes_on(each=number + 1):
                return post(daemon, request([one_span(each)]))[0] == 200
            wait_for(goes_on, f"writing to go on by itself after {fault}")
            acknowledged.append(number + 1)
        number += 2
    assert daemon.metric("spanwise_receiver_refused_spans_total") >= 6
    all_there(daemon, acknowledged)
    wait_for(lambda: daemon.settled(trace_id(acknowledged[-1])), "a ledger after the faults")
    assert daemon.stop() == 0, daemon.log()
    daemon = disk.daemon()
    all_there(daemon, acknowledged)
    assert daemon.stop() == 0, daemon.log()


def names(first, count, length=400):
    """As many operations, whose names lie in the database of the part."""
    return request([one_span(number, f"{number} " + "n" * length) for number in range(first, first + count)])


def full_map():
    """The database of the current part is full: a new part goes on, at once. One request for which no part has room is refused alone, and is
    taken when there is room."""
    disk = Disk()
    disk.say(map_kib=512)
    daemon = disk.daemon()
    stored, first = [], 1
    with daemon.channel() as channel:
        while daemon.status()["storage"]["parts"] < 5:
            assert first < 50000, "no map got full"
            export(channel, names(first, 200))
            stored += range(first, first + 200)
            first += 200
        error = expect_error(grpc.StatusCode.UNAVAILABLE, lambda: export(channel, names(first, 3000)))
        assert b"RetryInfo" in dict(error.trailing_metadata())["grpc-status-details-bin"], error
        status, retry = post(daemon, names(first, 3000))
        assert status == 503 and int(retry) > 0, (status, retry)
        export(channel, names(first, 200))
        stored += range(first, first + 200)
        all_there(daemon, stored[::37])
        disk.say()
        first += 200
        wait_for(lambda: post(daemon, names(first, 3000))[0] == 200, "room for the large one")
        stored += range(first, first + 3000)
    all_there(daemon, stored[::37])
    wait_for(lambda: daemon.settled(trace_id(stored[-1])), "ledgers")
    assert daemon.stop() == 0, daemon.log()
    daemon = disk.daemon()
    all_there(daemon, stored[::37])
    assert daemon.status()["storage"]["spans"] == len(stored)
    assert daemon.stop() == 0, daemon.log()


def folder_bytes(path):
    """Parts may go meanwhile."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.path.getsize(os.path.join(folder, name))
    return total


def full_folder():
    """max_data_mib: the oldest parts make room, counted, and ingest never stops."""
    daemon = Daemon("--probe=off", "--settle-ms=300", "--max-data-mib=16")
    first = 1
    with daemon.channel() as channel:
        while not daemon.metric("spanwise_store_dropped_total", 'what="spans"'):
            assert first < 1000, "nothing was ever dropped"
            export(channel, request([one_span(first, random.randbytes(500000).hex())]))
            first += 1
        for number in range(first, first + 20):
            export(channel, request([one_span(number)]))
    all_there(daemon, range(first, first + 20))
    storage = daemon.status()["storage"]
    assert storage["spans"] + storage["spans_dropped"] == first + 19, storage
    wait_for(lambda: folder_bytes(daemon.data) < 20 << 20,
             "the folder to be within its limit")
    assert daemon.stop() == 0, daemon.log()


def clock_jumps():
    disk = Disk()
    daemon = disk.daemon("--part-minutes=1")
    numbers = range(1, 25)
    with daemon.channel() as channel:
        for number in numbers:
            disk.say(clock_s=(0, 86400, -86400, 90, -7200, 3600)[number % 6])
            export(channel, request([one_span(number)]))
    all_there(daemon, numbers)
    wait_for(lambda: all(daemon.settled(trace_id(number)) for number in numbers), "ledgers")
    disk.say(clock_s=-86400)
    assert daemon.stop() == 0, daemon.log()
    daemon = disk.daemon()
    all_there(daemon, numbers)
    assert daemon.stop() == 0, daemon.log()


class Client(threading.Thread):
    def __init__(self, daemon, first, size, over_http=False):
        super().__init__(daemon=True)
        self.target, self.next, self.size, self.over_http = daemon, first, size, over_http
        self.acknowledged, self.refused, self.over = [], 0, False
        self.reasons = collections.Counter()  # of what gRPC's client calls unavailable
        self.start()

    def send(self, channel, message):
        if self.over_http:
            status, retry = post(self.target, message)
            assert status == 200 or (status == 503 and retry), status
            return status == 200
        try:
            export(channel, message)
            return True
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            self.reasons[error.details()] += 1
            return False

    def run(self):
        with self.target.channel() as channel:
            while not self.over:
                message = request([one_span(self.next, "x" * self.size)])
                try:
                    taken = self.send(channel, message)
                except OSError:  # killed
                    return
                if taken:
                    self.acknowledged.append(self.next)
                    self.next += 1
                else:
                    self.refused += 1
                    if self.target.process.poll() is not None:
                        return


def power_cuts():
    disk = Disk(journal=True)
    acknowledged, undone = [], 0
    for round_number in range(ROUNDS):
        daemon = disk.daemon()
        clients = [Client(daemon, 1 + (round_number * 4 + i) * 100000, 2000, over_http=i % 2) for i in range(4)]
        enough = random.randrange(5, 60)
        wait_for(lambda: sum(len(client.acknowledged) for client in clients) >= enough, "load")
        daemon.kill()
        for client in clients:
            client.join(timeout=PATIENCE_S)
            acknowledged += client.acknowledged
        undone += sum(os.path.getsize(os.path.join(disk.journal, name)) for name in os.listdir(disk.journal))
        disk.cut_power(keep=0.5 if round_number % 2 else 0)
    assert undone, "no power cut hit anything"
    daemon = disk.daemon()
    all_there(daemon, acknowledged)
    print(f"{ROUNDS} power cuts, {len(acknowledged)} spans acknowledged, {undone >> 10} KiB undone")
    assert daemon.stop() == 0, daemon.log()


def anonymous_mib(daemon):
    with open(f"/proc/{daemon.process.pid}/maps") as file:
        if "libasan" in file.read():
            return 0  # not ours to judge: the sanitizer keeps what is freed
    with open(f"/proc/{daemon.process.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) >> 10


def overload():
    """Many times what a slow disk can take."""
    disk = Disk()
    daemon = disk.daemon("--memory-limit-mib=128", "--max-request-mib=4", "--max-data-mib=4096")
    disk.say(sync_ms=150)
    clients = [Client(daemon, 1 + i * 100000, 1500000, over_http=i % 2) for i in range(24)]
    largest = 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        largest = max(largest, anonymous_mib(daemon))
        if sum(client.refused > 0 for client in clients) > 3 and sum(len(client.acknowledged) for client in clients) > 60:
            break
        time.sleep(0.02)
    for client in clients:
        client.over = True
    disk.say()
    for client in clients:
        client.join(timeout=PATIENCE_S)
        assert not client.is_alive()
    refused = sum(client.refused for client in clients)
    counted = lambda: daemon.metric("spanwise_receiver_refused_spans_total") + daemon.metric(
        "spanwise_grpc_replies_total", 'code="UNAVAILABLE"') + daemon.metric("spanwise_http_replies_total", 'code="503"')
    reasons = sum((client.reasons for client in clients), collections.Counter())
    assert refused, reasons
    wait_for(lambda: counted() >= refused, f"{refused} refusals to be counted, {reasons}")
    assert largest < 128, largest
    for client in clients:
        all_there(daemon, client.acknowledged)
    print(f"overload: {sum(len(client.acknowledged) for client in clients)} taken, {refused} refused, "
          f"at most {largest} MiB anonymous")
    assert daemon.stop() == 0, daemon.log()


def main():
    random.seed(4)
    io_errors()
    full_map()
    full_folder()
    clock_jumps()
    power_cuts()
    overload()


run(main)
