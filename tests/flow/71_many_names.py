# SPDX-License-Identifier: Apache-2.0
"""More distinct names than are kept apart: of services, of operations, of attributes. No span is lost, what has no place of its own is
counted under "(other)", and questions over all of them are answered."""

import urllib.request

import many_names
from daemon import Daemon, run, wait_for

EACH, BATCH = 70_000, 10_000
NUMBERED_OF_A_PART, NUMBERED_OF_A_SERVICE, OWN_FIGURES, MOST_IN_STATUS = 65_535, 16_384, 2_000, 256  # storage/operations.h, services.h


def post(daemon, body):
    with urllib.request.urlopen(urllib.request.Request(f"http://{daemon.http}/v1/traces", body, {"Content-Type": "application/x-protobuf"})) as answer:
        assert (answer.status, answer.read()) == (200, b"")


def main():
    daemon = Daemon("--probe=off")
    for kind, make in enumerate((many_names.operations, many_names.keys, many_names.services)):
        for first in range(1 + kind * EACH, 1 + (kind + 1) * EACH, BATCH):
            post(daemon, make(range(first, first + BATCH)))
    assert daemon.status()["storage"]["spans"] == 3 * EACH

    status, listed = daemon.get("/api/v1/operations?limit=10000&sort=count")
    assert status == 200 and listed["spans"] == 3 * EACH, (status, listed.get("spans"))
    assert len(listed["operations"]) == 10_000 and listed["left_out"] > 0
    counts = {(one["service"], one["name"]): one["count"] for one in listed["operations"]}
    assert counts[("many-keys", "GET /")] == EACH
    assert NUMBERED_OF_A_SERVICE - OWN_FIGURES - 2 <= counts[("many-operations", "(other)")] <= NUMBERED_OF_A_SERVICE - OWN_FIGURES, counts
    assert counts[("", "(other)")] >= EACH - NUMBERED_OF_A_SERVICE
    assert sum(counts.values()) + listed["left_out"] == 3 * EACH, "what is left out here are single spans"

    status, listed = daemon.get("/api/v1/services")
    assert status == 200 and sum(len(one["operations"]) for one in listed["services"]) <= NUMBERED_OF_A_PART
    for path in ("/api/v1/waits", "/api/v1/spans?limit=100", "/api/v1/spans?attr.key.77=x", "/metrics", "/api/v1/flame?service=many-operations&state=all"):
        assert daemon.get(path)[0] == 200, path
    found = daemon.get("/api/v1/spans?service=many-operations&operation=GET%20/item/69999")[1]["spans"]
    assert [one["name"] for one in found] == ["GET /item/69999"], "also one that has no number is found by its name"
    services = wait_for(lambda: len(daemon.status()["services"]) > MOST_IN_STATUS and daemon.status()["services"], "the services' counts")
    assert len(services) == MOST_IN_STATUS + 1 and sum(one["spans"] for one in services) == 3 * EACH, services[-1]
    assert daemon.stop() == 0, daemon.log()


run(main)
