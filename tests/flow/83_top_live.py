# SPDX-License-Identifier: Apache-2.0
"""`spanwise top` on a terminal: it draws, obeys its keys, outlives the daemon, and leaves the terminal as it was."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

from daemon import BINARY, PATIENCE_S, Daemon, export, one_span, request, run, wait_for

BEGIN, END = "\033[?1049h", "\033[?1049l"


class Terminal:
    def __init__(self, api, rows=24, columns=100):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.environ.pop("COLUMNS", None)
            os.execv(BINARY, [BINARY, "top", "--api=" + api])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(self.fd)
        self.text = ""

    def read(self):
        while select.select([self.fd], [], [], 0)[0]:
            try:
                piece = os.read(self.fd, 65536)
            except OSError:
                return self.text
            if not piece:
                return self.text
            self.text += piece.decode(errors="replace")
        return self.text

    def until(self, part):
        wait_for(lambda: part in self.read(), f"{part!r} in {self.text[-2000:]!r}")

    def press(self, key):
        self.read()
        self.text = ""
        os.write(self.fd, key.encode())

    def ended(self):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.read()
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        raise AssertionError("it does not end")


def main():
    daemon = Daemon("--probe=off", "--settle-ms=100")
    with daemon.channel() as channel:
        export(channel, request([one_span(1, "GET /live")]))
    wait_for(lambda: daemon.get("/api/v1/operations")[1]["operations"], "the span to settle")
    terminal = Terminal(daemon.api)
    terminal.until("GET /live")
    assert BEGIN in terminal.text and "[r]atio*" in terminal.text, terminal.text
    picture = terminal.text[terminal.text.rindex("\033[H"):]
    assert picture.count("\r\n") < 24, picture
    terminal.press("w")
    terminal.until("[w]all*")
    terminal.press("s")
    terminal.until("[s]pans only: on")
    terminal.press(" ")
    terminal.until("paused")
    terminal.press(" ")
    terminal.until("[space] pause ")
    assert daemon.stop() == 0, daemon.log()
    terminal.until("start it with `spanwise serve`")
    terminal.press("q")
    assert terminal.ended() == 0
    assert terminal.text.endswith(END), terminal.text
    assert termios.tcgetattr(terminal.fd)[3] == terminal.before[3], "the terminal is not as it was"

    terminal = Terminal(daemon.api)
    terminal.until("start it with")
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.ended() == 0
    assert terminal.text.endswith(END), terminal.text


run(main)
