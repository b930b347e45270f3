# SPDX-License-Identifier: Apache-2.0
"""While others attack: a client that must be served all the time, and a look at how much memory the daemon has."""

import socket
import threading
import time

from daemon import export, one_span, request, wait_for

HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"


def dial(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=60)


class GoodClient(threading.Thread):
    """Exports on a connection of its own, now over gRPC, now over HTTP, until told to stop; sees how much memory the daemon has meanwhile."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.target, self.over, self.sent, self.failed, self.most_mib = daemon, False, 0, [], 0
        self.start()
        self.has_sent_more()
        self.first_mib = rss_mib(daemon)

    def run(self):
        with self.target.channel() as channel, dial(self.target.http) as plain:
            while not self.over:
                number = 1000000 + self.sent
                try:
                    if self.sent % 2:
                        export(channel, request([one_span(number)]))
                    else:
                        body = request([one_span(number)]).SerializeToString()
                        # In one piece: a starved client must not look like a slow one.
                        plain.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                        answer = plain.recv(65536)
                        assert answer.startswith(b"HTTP/1.1 200 "), answer
                except Exception as error:  # whatever it is, it must not happen
                    self.failed.append((self.sent, repr(error)))
                    return
                self.sent += 1
                self.most_mib = max(self.most_mib, rss_mib(self.target))
                time.sleep(0.01)

    def has_sent_more(self):
        sent = self.sent
        wait_for(lambda: self.failed or self.sent > sent + 4, "the good client to be served")
        assert not self.failed, self.failed

    def judge(self, attack, began):
        """Nobody but the attacker has noticed it."""
        self.has_sent_more()
        print(f"{attack.__name__:28} {time.monotonic() - began:5.1f} s {self.most_mib:5} MiB {len(self.target.lines):3} lines", flush=True)
        assert self.most_mib < self.first_mib + 64, (attack.__name__, self.first_mib, self.most_mib)

    def leave(self, most_lines):
        """Nothing is left of the attacks, and the log was not flooded."""
        self.over = True
        self.join(timeout=60)
        assert not self.failed and self.sent > 20, self.failed
        assert len(self.target.lines) < most_lines, self.target.log()
        wait_for(lambda: self.target.metric("spanwise_memory_part_bytes", 'part="in_flight"') == 0, "nothing in flight")
        assert self.target.stop() == 0, self.target.log()


def rss_mib(daemon):
    with open(f"/proc/{daemon.process.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) >> 10
