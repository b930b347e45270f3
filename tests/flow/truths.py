# SPDX-License-Identifier: Apache-2.0
"""Programs that know their own CPU time (tests/bench/accuracy), run against a daemon, and judged: each ledger adds
up, and none that is vouched for is further off than it admits."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from daemon import PATIENCE_S, export, request, wait_for
from ledgers import check_span

GRADES = ("exact", "bounded", "inferred", "partial", "none")
VOUCHED = GRADES[:2]
# The truth's own looseness on a busy machine; what these tests are after costs much more.
SLACK_NS = 100_000


PROGRAMS = Path(__file__).parents[1] / "bench/accuracy"
SERVERS, SLIPS = PROGRAMS / "truth_servers.py", PROGRAMS / "truth_slips.py"


def start_truth(daemon, name, turns, service, program=(os.environ.get("FLOW_TRUTH"),), **options):
    """The program, which waits for a byte to begin."""
    program = subprocess.Popen([*program, name, str(turns), service], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
    wait_for(lambda: any(process["pid"] == program.pid for process in daemon.status()["probe"]["publishing"]),
             f"{name} to be seen publishing")
    return program


def finish_truth(daemon, program, service):
    """Its spans, exported."""
    header, *truths = map(json.loads, program.communicate("!")[0].splitlines())
    assert program.returncode == 0, service
    with daemon.channel() as channel:
        export(channel, request([(bytes.fromhex(t["trace_id"]), bytes.fromhex(t["span_id"]),
                                  bytes.fromhex(t["parent_id"]), t["name"], t["start_ns"], t["end_ns"])
                                 for t in truths], service=service,
                                **{"service.instance.id": header["instance_id"]}))
    return truths


def run_servers(daemon, name, turns, service, program=SERVERS, **environment):
    """On the unmodified Python SDK, which exports by itself."""
    program = start_truth(daemon, name, turns, service, (sys.executable, program), env={
        **os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{daemon.grpc}",
        "TRUTH_HTTP": f"http://{daemon.http}/v1/traces", **environment})
    told, _ = program.communicate("\n", timeout=PATIENCE_S)
    assert program.returncode == 0, service
    return [json.loads(line) for line in told.splitlines()[1:]]


def run_truth(daemon, name, turns, service):
    return finish_truth(daemon, start_truth(daemon, name, turns, service), service)


def judge(daemon, name, truths, grades=GRADES):
    """How often each grade was given."""
    given, lies = Counter(), []
    for truth in truths:
        trace = wait_for(lambda: daemon.settled(truth["trace_id"]), f"a trace of {name} to settle")
        span = next(span for span in trace["spans"] if span["span_id"] == truth["span_id"])
        check_span(span, grades=grades)
        ledger = span["ledger"]
        given[ledger["grade"]] += 1
        if ledger["grade"] not in VOUCHED:
            continue
        off = abs(ledger["cpu_ns"] - truth["cpu_ns"]) - ledger["uncertain_ns"] - truth["cpu_slack_ns"]
        if off > SLACK_NS:
            lies.append((off, truth, ledger))
    print(name, dict(given))
    assert not lies, (name, lies)
    return given
