#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The quickstart in a terminal stays up until Ctrl-C, and leaves nothing behind, even if the terminal is closed while it cleans up."""

import os
import pty
import sys
import tempfile
import time
from pathlib import Path

PATIENCE_S = 300


def processes_of(folder):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if folder in path.read_bytes().decode(errors="replace"):
                found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            pass
    return found


def read_until(terminal, text):
    output = b""
    while text not in output:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the other side is closed
            part = b""
        if not part:
            sys.exit("it ended by itself:\n" + output.decode(errors="replace"))
        output += part


def main():
    if os.geteuid() != 0:
        print("needs root")
        sys.exit(77)
    root = Path(__file__).resolve().parents[3]
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)  # PostgreSQL runs as another user
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ["TMPDIR"] = folder
            os.execv(root / "deploy" / "quickstart", ["quickstart"])
        read_until(terminal, b"Running until Ctrl-C.")
        assert processes_of(folder), "nothing runs"
        os.write(terminal, b"\x03")
        read_until(terminal, b"stopping what was started")
        os.close(terminal)
        os.waitpid(pid, 0)
        deadline = time.monotonic() + PATIENCE_S
        while processes_of(folder) or os.listdir(folder):
            if time.monotonic() > deadline:
                sys.exit(f"left behind: {processes_of(folder)} {os.listdir(folder)}")
            time.sleep(0.05)


main()
