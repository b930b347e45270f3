# SPDX-License-Identifier: Apache-2.0
"""Python programs with one fault each, to be recorded by others' profilers: third.py CASE [N]."""

import decimal
import os
import queue
import signal
import socket
import sys
import threading
import time

RUN_S = 3


def spend(n):
    total = 0
    for i in range(n):
        total += i ^ total & 255
    return total


def repeat(work):
    end = time.perf_counter() + RUN_S
    while time.perf_counter() < end:
        work()


# Every amount goes through decimal's slow context.


def parse_amounts(lines):
    with decimal.localcontext() as context:
        context.prec = 2000
        return [sum((decimal.Decimal(part) / 7).sqrt() for part in line.split(",")) for line in lines]


def check_totals(n):
    return spend(n)


def import_statement():
    parse_amounts(["1.25,3.5,8.75"] * 12)
    check_totals(9000)


def amounts():
    repeat(import_statement)


# One thread ranks; four wait for jobs that never come.


def rank_players(n):
    return sorted((spend(40), i) for i in range(n))


def tournament():
    rank_players(300)
    spend(2500)


def ranking():
    jobs = queue.Queue()
    for _ in range(4):
        threading.Thread(target=jobs.get, daemon=True).start()
    repeat(tournament)


# A query for each row of a list: each answers after two milliseconds.


def answer(connection):
    while connection.recv(64):
        time.sleep(0.002)
        connection.sendall(b"row")


def execute(connection, statement):
    connection.sendall(statement)
    return connection.recv(64)


def load_list(connection):
    execute(connection, b"select list")
    return range(25)


def load_customer(connection, number):
    return execute(connection, b"select customer %d" % number)


def show_orders(connection):
    for number in load_list(connection):
        load_customer(connection, number)
    spend(3000)


def serve_database(listener):
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


def customers():
    listener = socket.create_server(("127.0.0.1", 0))
    database = os.fork()
    if not database:
        serve_database(listener)
    try:
        connection = socket.create_connection(listener.getsockname())
        repeat(lambda: show_orders(connection))
    finally:
        os.kill(database, signal.SIGKILL)


# A peer for the Java case "quotes": answers each byte after 50 ms; says its port.


def peer():
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    connection = listener.accept()[0]
    while connection.recv(1):
        time.sleep(0.05)
        connection.sendall(b"2")


# A status is polled with sleeps between.


def poll_status():
    for _ in range(3):
        time.sleep(0.02)


def place_order():
    spend(60000)
    poll_status()


def status():
    repeat(place_order)


# Five threads change one balance, and the lock is held while a journal is written.

lock = threading.Lock()


def write_journal():
    time.sleep(0.003)


def update_balance():
    with lock:
        write_journal()


def transfer():
    spend(300)
    update_balance()


def balance():
    threads = [threading.Thread(target=repeat, args=(transfer,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# Thumbnails are remembered for ever, pictures are decoded and dropped. Stops after N.

remembered = {}


def remember_thumb(number):
    remembered[number] = bytearray(3000)


def decode_picture(number):
    return len(bytearray(200000 + number))


def gallery(count):
    for number in range(count):
        decode_picture(number)
        remember_thumb(number)


def main():
    if len(sys.argv) > 2:
        gallery(int(sys.argv[2]))
    else:
        {"amounts": amounts, "ranking": ranking, "customers": customers, "status": status, "balance": balance, "peer": peer}[sys.argv[1]]()


if __name__ == "__main__":
    main()
