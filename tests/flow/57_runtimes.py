# SPDX-License-Identifier: Apache-2.0
"""Waits of Go, Java and Node, each in a span: in the right class as the kernel knows it, with what was waited for and who
ended it; a goroutine that waits keeps no thread waiting, and its time is elsewhere."""

import http.server
import json
import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

from daemon import daemon_with_kernel, export, request, run, skip, temporary_folder
from ledgers import check_span, measured_spans
from service import Subject, wait_until_published

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "tests/flow/runtimes"
WHILE_NS = 30_000_000
ENOUGH_NS = 1_000_000  # of it, on a busy machine
DISK = "disk"  # may be fast
ROUNDS = 3  # the first of which loads and compiles what the others run

# name -> class, and what it was for
GO = {
    "nanosleep": ("sleep", ""), "pipe": ("pipe", "pipe [0-9]+"), "flock": ("lock", "file go.dat .*"),
    "fsync": (DISK, "file go.dat .*"), "child": ("child", "child [0-9]+"), "goroutine-sleep": ("elsewhere", ""),
    "channel": ("elsewhere", ""), "mutex": ("elsewhere", ""), "netpoll": ("elsewhere", ""),
}
FUTEX = "futex 0x[0-9a-f]+"
SOCKET = r"(127\.0\.0\.1|\[::(ffff:127\.0\.0\.)?1\]):[0-9]+"
JAVA = {
    "monitor": ("lock", FUTEX), "park": ("lock", FUTEX), "park-timed": ("lock", FUTEX), "sleep": ("lock", FUTEX),
    "wait": ("lock", FUTEX), "queue": ("lock", FUTEX), "socket-read": ("net", SOCKET), "accept": ("net", "own port [0-9]+"),
    "selector": ("poll", SOCKET), "selector-timed": ("poll", ""), "pipe": ("pipe", "pipe orders.fifo [0-9]+"),
    "process": ("lock", FUTEX), "force": (DISK, "file java.dat .*"),
}
NODE = {
    "atomics": ("lock", FUTEX), "atomics-worker": ("lock", FUTEX), "pipe": ("pipe", "pipe orders.fifo [0-9]+"),
    "spawn": ("poll", ""), "fsync": (DISK, "file node.dat .*"), "timer": ("poll", ""), "pool": ("poll", "eventfd"),
    "http": ("poll", SOCKET),
}


def serve_slowly():
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            time.sleep(WHILE_NS / 1e9)
            self.send_response(200)
            self.send_header("Content-Length", "1")
            self.end_headers()
            self.wfile.write(b"x")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


def build_spans(folder):
    """The library that begins and ends spans for programs of any language."""
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-std=gnu11", "-D_GNU_SOURCE", f"-I{ROOT}",
                    "-o", os.path.join(folder, "spans.so"), SOURCES / "spans.c",
                    ROOT / "deploy/instrument/c/spanwise_context.c"], check=True)


def build_go(folder):
    path = os.path.join(folder, "waits")
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOWORK": "off", "GOPROXY": "off", "GOTOOLCHAIN": "local",
                   "GOCACHE": os.environ.get("GO_BUILDS") or os.path.join(folder, "go-cache"), "CGO_ENABLED": "0"}
    subprocess.run(["go", "build", "-o", path, "."], cwd=SOURCES / "go", env=environment, check=True)
    return path


def play(daemon, folder, service, command):
    """The facts of the last round: spans, and who ends their waits."""
    told = os.path.join(folder, service + ".spans")
    shell = f"cd {folder} && LD_PRELOAD={folder}/spans.so exec {command}"
    with Subject("sh", "-c", shell, environment={"SPANS_FILE": told, "SPANS_SERVICE": service}) as subject:
        wait_until_published(daemon, subject.pid)
        for _ in range(ROUNDS):
            facts = []
            if os.path.exists(told):
                os.unlink(told)
            subject.go("again")
            while (fact := subject.told()) != "done":
                facts.append(fact)
        if os.path.exists(told):
            facts += map(json.loads, Path(told).read_text().splitlines())
    return [fact for fact in facts if "span" in fact], {fact["name"]: fact for fact in facts if "waker" in fact}


def judge_elsewhere(ledger):
    wall = sum(ledger["blocked_ns"].values()) + sum(ledger[key] for key in
                                                    ("running_ns", "runnable_ns", "elsewhere_ns", "unknown_ns"))
    blocked = sum(ledger["blocked_ns"].values())
    return ledger["elsewhere_ns"], blocked, [] if ledger["elsewhere_ns"] * 2 > wall else ["is not elsewhere"]


def check_waker(fact, wait):
    waker = max(wait["wakers"], key=lambda waker: waker["ns"], default=None)
    if waker and waker["kind"] == fact["waker"] and fact["waker_tid"] in (0, waker["tid"]):
        return []
    return [f"was ended by {fact['waker']} {fact['waker_tid']}"]


def judge(span, reason, target, fact):
    """(right ns, wrong ns, complaints)"""
    ledger = span["ledger"]
    if reason == "elsewhere":
        return judge_elsewhere(ledger)
    right = ledger["blocked_ns"].get(reason, 0)
    wrong = sum(ledger["blocked_ns"].values()) - right
    longest = max((wait for wait in span["waits"] if wait["reason"] == reason), key=lambda wait: wait["ns"], default=None)
    if right < ENOUGH_NS:
        return right, wrong, [] if reason == DISK else [f"waited for {right} ns"]
    complaints = [] if re.fullmatch(target or ".*", longest["target"]) else [f"is for {target}"]
    return right, wrong, complaints + (check_waker(fact, longest) if fact and fact["waker"] else [])


def check(daemon, channel, folder, service, command, wanted):
    spans, wakers = play(daemon, folder, service, command)
    assert sorted(span["name"] for span in spans) == sorted(wanted), spans
    export(channel, request([(bytes.fromhex(span["trace"]), bytes.fromhex(span["span"]), b"", span["name"], span["start"],
                              span["end"]) for span in spans], service=service))
    rights, wrongs, complaints = 0, 0, []
    for fact in spans:
        name = fact["name"]
        span = measured_spans(daemon, fact["trace"])[name]
        check_span(span, grades=("exact", "bounded", "inferred"))
        right, wrong, found = judge(span, *wanted[name], wakers.get(name))
        if found or wrong * 10 > right:
            print(service, name, right, wrong, found, wakers.get(name), span["waits"], span["ledger"], sep="\n    ")
        rights, wrongs = rights + right, wrongs + wrong
        complaints += [(name, complaint) for complaint in found]
    print(f"{service}: {rights / 1e6:.0f} ms in the right class, {wrongs / 1e6:.1f} ms in another")
    assert not complaints, complaints
    assert wrongs * 100 <= rights + wrongs, (rights, wrongs)


def main():
    if not shutil.which("cc"):
        skip("no C compiler here")
    os.environ["PATH"] += ":/usr/local/go/bin"
    folder = temporary_folder()
    os.mkfifo(os.path.join(folder, "orders.fifo"))
    build_spans(folder)
    if not any(map(shutil.which, ("go", "javac", "node"))):
        skip("neither Go nor Java nor Node here")
    daemon = daemon_with_kernel("--settle-ms=300")
    with daemon.channel() as channel:
        if shutil.which("go"):
            check(daemon, channel, folder, "go", build_go(folder), GO)
        if shutil.which("javac"):
            subprocess.run(["javac", "-d", folder, SOURCES / "Waits.java"], check=True)
            check(daemon, channel, folder, "java", f"java -cp {folder} Waits", JAVA)
        if shutil.which("node"):
            check(daemon, channel, folder, "node", f"node {SOURCES}/waits.js {serve_slowly()}", NODE)
    assert daemon.stop() == 0, daemon.log()


run(main)
