# SPDX-License-Identifier: Apache-2.0
"""kill -9 under load, again and again: everything acknowledged is there, each span once, and nothing that was
never sent."""

import random
import threading

import grpc

from daemon import PATIENCE_S, Daemon, export, one_span, request, run, trace_id, wait_for

ROUNDS = 12
CLIENTS = 4


class Client(threading.Thread):
    def __init__(self, daemon, first):
        super().__init__(daemon=True)
        self.target = daemon
        self.next = first
        self.sent, self.acknowledged = [], []

    def run(self):
        with self.target.channel() as channel:
            while True:
                numbers = range(self.next, self.next + 20)
                self.next += 20
                self.sent.extend(numbers)
                try:
                    export(channel, request([one_span(number) for number in numbers]))
                except grpc.RpcError:
                    return
                self.acknowledged.extend(numbers)


def main():
    random.seed(4)
    acknowledged, sent, data = [], set(), None
    for round_number in range(ROUNDS):
        daemon = Daemon("--probe=off", "--settle-ms=200", "--memory-limit-mib=256", data=data)
        data = daemon.data
        clients = [Client(daemon, 1 + (round_number * CLIENTS + i) * 1000000) for i in range(CLIENTS)]
        for client in clients:
            client.start()
        enough = random.randrange(1, 60)
        wait_for(lambda: sum(len(client.acknowledged) for client in clients) >= enough * 20, "load")
        daemon.kill()
        for client in clients:
            client.join(timeout=PATIENCE_S)
            assert not client.is_alive()
            acknowledged.extend(client.acknowledged)
            sent.update(client.sent)

    daemon = Daemon("--probe=off", "--settle-ms=200", data=data)
    for number in acknowledged:
        trace = daemon.trace(trace_id(number))
        assert trace, f"span {number} was acknowledged and is gone"
        assert len(trace["spans"]) == 1 and trace["spans"][0]["name"] == "GET /", trace
    stored = daemon.status()["storage"]["spans"]
    assert len(acknowledged) <= stored <= len(sent), (len(acknowledged), stored, len(sent))
    wait_for(lambda: daemon.settled(trace_id(acknowledged[-1])), "the last to be settled")
    print(f"{ROUNDS} rounds, {len(acknowledged)} spans acknowledged, {len(sent)} sent, {stored} stored")
    assert daemon.stop() == 0, daemon.log()


run(main)
