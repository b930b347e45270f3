# SPDX-License-Identifier: Apache-2.0
"""A full disk: nothing is acknowledged that is not stored, senders are told to come again, and when there is
room the daemon goes on by itself."""

import os
import subprocess
import atexit

import grpc

from daemon import Daemon, expect_error, export, one_span, request, run, skip, temporary_folder, trace_id, wait_for


def small_disk():
    folder = temporary_folder()
    if os.geteuid() != 0 or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=24m", "none", folder], capture_output=True).returncode:
        skip("cannot mount a small tmpfs")
    atexit.register(subprocess.run, ["umount", "-l", folder])
    return folder


def fill(path):
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\x00" * 4096)
        except OSError:
            pass


def main():
    folder = small_disk()
    ballast = os.path.join(folder, "ballast")
    daemon = Daemon("--probe=off", "--settle-ms=300", data=os.path.join(folder, "data"))
    with daemon.channel() as channel:
        export(channel, request([one_span(1)]))
        wait_for(lambda: daemon.settled(trace_id(1)), "the first")
        fill(ballast)

        number, error = 1, None
        while error is None:
            number += 1
            assert number < 5000, "the disk never got full"
            try:
                export(channel, request([one_span(number, "x" * 2000)]))
            except grpc.RpcError as caught:
                error = caught
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
        assert b"RetryInfo" in dict(error.trailing_metadata())["grpc-status-details-bin"], error
        assert daemon.trace(trace_id(number)) is None
        wait_for(lambda: daemon.has_logged("the disk is full"), "a line that says it")
        # It still answers.
        assert daemon.trace(trace_id(1)) and daemon.get("/healthz")[0] == 200
        expect_error(grpc.StatusCode.UNAVAILABLE,
                     lambda: export(channel, request([one_span(number, "x" * 2000)])))

        os.unlink(ballast)
        export(channel, request([one_span(number, "x" * 2000)]))
    wait_for(lambda: daemon.settled(trace_id(number)), "a ledger after the disk had room")
    for each in range(1, number + 1):
        assert daemon.trace(trace_id(each)), each
    assert daemon.stop() == 0, daemon.log()


run(main)
