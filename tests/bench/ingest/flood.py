# SPDX-License-Identifier: Apache-2.0
"""Half a million distinct names, of services, operations and attributes, each in a daemon of its own, and then all questions at once:
what is resident. Part of ingest.py (--only flood)."""

import sys
import threading
import time
import urllib.error
import urllib.request

from servers import ROOT, Memory, Spanwise

sys.path.append(str(ROOT / "tests" / "flow"))
import many_names  # noqa: E402

NAMES, BATCH, EACH_QUESTION = 500_000, 5_000, 3
QUESTIONS = ("operations?limit=10000", "services", "spans?limit=1000&sort=wall", "spans?attr.key.77=x", "waits", "status", "flame?state=all&service=many-operations",
             "compare?a=service%3Dmany-keys&b=service%3Dmany-operations", "../../metrics")


def send(address, body):
    """Refused ones come again when they were told to. Returns how often."""
    for refused in range(100):
        try:
            with urllib.request.urlopen(urllib.request.Request(f"http://{address}/v1/traces", body, {"Content-Type": "application/x-protobuf"})):
                return refused
        except urllib.error.HTTPError as error:
            assert error.code == 503, error.read()
            time.sleep(float(error.headers["Retry-After"]))
    raise AssertionError("refused a hundred times")


def ask(address, question, answers):
    path = "/metrics" if question.endswith("metrics") else "/api/v1/" + question
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=120) as answer:
            answers.append((answer.status, len(answer.read())))
    except urllib.error.HTTPError as error:
        answers.append((error.code, 0))


def at_once(address):
    answers, before = [], time.monotonic()
    threads = [threading.Thread(target=ask, args=(address, question, answers)) for question in EACH_QUESTION * QUESTIONS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [status for status, _ in answers].count(200), len(threads), sum(size for _, size in answers) / (1 << 20), time.monotonic() - before


def flood(bench, options):
    for make in (many_names.services, many_names.operations, many_names.keys):
        with Spanwise(bench.arguments.build, options) as server:
            with Memory(server) as sending:
                refused = sum(send(server.daemon.http, make(range(first, first + BATCH))) for first in range(1, NAMES + 1, BATCH))
            with Memory(server) as asking:
                good, asked, mib, seconds = at_once(server.daemon.api)
            limit = server.daemon.get("/api/v1/status")["memory"]["limit_bytes"] >> 20
            print(f"{NAMES:,} {make.__name__}: at most {sending.total:.0f} of {limit} MiB resident while they came ({refused} refused); {asked} questions at once:"
                  f" {good} answered, {mib:.0f} MiB, {seconds:.1f} s, at most {asking.total:.0f} MiB resident ({asking.anonymous:.0f} anonymous)", flush=True)
