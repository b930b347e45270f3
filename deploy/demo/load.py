# SPDX-License-Identifier: Apache-2.0
"""Sends the demo a mix of requests: so many, for at most so long, a few at a time.

    load.py http://127.0.0.1:PORT [--requests 120] [--seconds 60] [--at-a-time 2]
"""

import argparse
import http.client
import itertools
import sys
import threading
import time
import urllib.parse

MIX = (
    ("GET", "/report"), ("GET", "/items"), ("POST", "/order"), ("POST", "/order"),
    ("GET", "/thumbnail"), ("GET", "/items"), ("GET", "/fanout"), ("POST", "/archive"),
)


class Load:
    def __init__(self, url, requests, seconds):
        self.address = urllib.parse.urlsplit(url).netloc
        self.total = requests
        self.deadline = time.monotonic() + seconds
        self.numbers = itertools.count()
        self.lock = threading.Lock()
        self.done = self.failed = 0

    def run(self):
        """One client: takes the next request until none is left or the time is up."""
        connection = http.client.HTTPConnection(self.address, timeout=30)
        while time.monotonic() < self.deadline:
            with self.lock:
                number = next(self.numbers)
            if number >= self.total:
                break
            self.request(connection, *MIX[number % len(MIX)])
        connection.close()

    def request(self, connection, method, path):
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            answer.read()
            good = answer.status < 400
        except (OSError, http.client.HTTPException):
            connection.close()
            good = False
        with self.lock:
            self.done += 1
            self.failed += not good

    def draw(self, end=""):
        width = 40
        filled = width * self.done // self.total
        print(f"\r  [{'#' * filled}{'.' * (width - filled)}] {self.done}/{self.total} requests", end=end, flush=True)


def main():
    parser = argparse.ArgumentParser(description="Sends the demo a mix of requests.")
    parser.add_argument("url")
    parser.add_argument("--requests", type=int, default=120)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--at-a-time", type=int, default=2)
    arguments = parser.parse_args()
    load = Load(arguments.url, arguments.requests, arguments.seconds)
    clients = [threading.Thread(target=load.run) for _ in range(arguments.at_a_time)]
    for client in clients:
        client.start()
    while any(client.is_alive() for client in clients):
        if sys.stdout.isatty():
            load.draw()
        clients[-1].join(0.1) if clients[-1].is_alive() else time.sleep(0.1)
    if sys.stdout.isatty():
        load.draw(end="\n")
    print(f"  {load.done} requests answered, {load.failed} failed")
    sys.exit(1 if load.failed or not load.done else 0)


if __name__ == "__main__":
    main()
