# SPDX-License-Identifier: Apache-2.0
"""Several network threads: clients of both protocols are spread over them, one memory limit holds for all, and SIGTERM in
the middle of it loses nothing that was acknowledged."""

import http.client
import os
import threading

import grpc

from daemon import PATIENCE_S, Daemon, export, one_span, request, run, trace_id, wait_for

CLIENTS = 12


class Client(threading.Thread):
    def __init__(self, daemon, number):
        super().__init__(daemon=True)
        self.target, self.number = daemon, number
        self.acknowledged, self.error = [], None
        self.start()

    def message(self):
        self.next = self.number * 100000 + len(self.acknowledged)
        return request([one_span(self.next)])

    def run(self):
        try:
            if self.number % 2:
                self.over_grpc()
            else:
                self.over_http()
        except (OSError, http.client.HTTPException, grpc.RpcError) as error:
            self.error = error

    def over_grpc(self):
        with self.target.channel() as channel:
            while True:
                export(channel, self.message())
                self.acknowledged.append(self.next)

    def over_http(self):
        host, port = self.target.http.rsplit(":", 1)
        client = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
        while True:
            client.request("POST", "/v1/traces", self.message().SerializeToString(),
                           {"Content-Type": "application/x-protobuf"})
            answer = client.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            self.acknowledged.append(self.next)
            if answer.headers["Connection"] == "close":
                client.close()


def threads_named(daemon, name):
    folder = f"/proc/{daemon.process.pid}/task"
    names = []
    for task in os.listdir(folder):
        with open(f"{folder}/{task}/comm") as file:
            names.append(file.read().strip())
    return names.count(name)


def main():
    daemon = Daemon("--probe=off", "--network-threads=3", "--settle-ms=300")
    wait_for(lambda: threads_named(daemon, "network") == 2, "both network threads, which name themselves")
    clients = [Client(daemon, number) for number in range(1, CLIENTS + 1)]
    wait_for(lambda: all(len(client.acknowledged) > 20 for client in clients), "all to be served")
    assert daemon.metric("spanwise_receiver_accepted_spans_total") >= 20 * CLIENTS
    assert daemon.stop() == 0, daemon.log()
    for client in clients:
        client.join(timeout=PATIENCE_S)
        assert not client.is_alive()
        if isinstance(client.error, grpc.RpcError):
            assert client.error.code() == grpc.StatusCode.UNAVAILABLE, client.error

    daemon = Daemon("--probe=off", "--network-threads=2", "--max-request-mib=1", "--max-in-flight-mib=1",
                    "--memory-limit-mib=128", data=daemon.data)
    count = 0
    for client in clients:
        count += len(client.acknowledged)
        for number in client.acknowledged:
            trace = daemon.trace(trace_id(number))
            assert trace and len(trace["spans"]) == 1, f"span {number} was acknowledged and is gone"
    print(f"{count} spans of {CLIENTS} clients")
    assert daemon.stop() == 0, daemon.log()


run(main)
