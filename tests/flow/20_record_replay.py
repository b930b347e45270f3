# SPDX-License-Identifier: Apache-2.0
"""`record` keeps what came in; `replay` makes the same ledgers from it, byte for byte."""

import json
import os
import subprocess

from daemon import BINARY, PATIENCE_S, Daemon, export, one_span, request, run, temporary_folder, trace_id, wait_for

FIRST_CHUNK_LENGTH_AT = 16 + 4 + 2  # collector/record_file.h: 64 KiB more than the chunk has


def replay(path):
    done = subprocess.run([BINARY, "replay", path], capture_output=True, text=True, timeout=PATIENCE_S)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def change_bit(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


def main():
    folder = temporary_folder()
    whole = os.path.join(folder, "whole")
    daemon = Daemon("--settle-ms=200", command=("record", whole))
    with daemon.channel() as channel:
        for number in range(1, 41):
            export(channel, request([one_span(number)]))
    wait_for(lambda: daemon.settled(trace_id(40)), "a ledger")
    assert daemon.stop() == 0, daemon.log()
    status, ledgers, said = replay(whole)
    assert status == 0 and "equal: 40 ledgers" in said, said
    assert {ledger["trace_id"] for ledger in ledgers} == {trace_id(n) for n in range(1, 41)}

    # The same again, killed: the front is still good.
    torn = os.path.join(folder, "torn")
    daemon = Daemon("--settle-ms=200", command=("record", torn))
    with daemon.channel() as channel:
        export(channel, request([one_span(99)]))
    wait_for(lambda: os.path.getsize(torn) > 200, "the first chunks")
    daemon.kill()
    size = os.path.getsize(torn)
    os.truncate(torn, size - 3)
    status, ledgers, said = replay(torn)
    assert status == 0 and "ends in the middle" in said and "equal" in said, said

    # One bit is wrong, in the middle or in the length of the first chunk: refused, not believed.
    for at in (os.path.getsize(whole) // 2, FIRST_CHUNK_LENGTH_AT):
        change_bit(whole, at)
        status, ledgers, said = replay(whole)
        assert status == 1 and "damaged" in said and "ends in the middle" not in said, said
        change_bit(whole, at)

    # An existing recording is not overwritten.
    daemon = Daemon(command=("record", whole), wait=False)
    assert daemon.wait() == 1 and daemon.has_logged("File exists"), daemon.log()


run(main)
