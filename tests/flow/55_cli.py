# SPDX-License-Identifier: Apache-2.0
"""The command line beside a running daemon: it says what the API says, and its exit status can be relied on: 0 done,
1 it could not be done, 2 it was asked wrongly."""

import json
import os
import re
import sys
import time
from xml.etree import ElementTree

from cli import spanwise
from daemon import Daemon, daemon_with_kernel, export, request, run, temporary_folder, wait_for
from ledgers import settled_spans
from service import Service, ids, say, spin, trace_to, wait_for_go

ANSI = "\033"


def service(endpoint):
    provider = trace_to(endpoint)
    tracer = provider.get_tracer("subject")
    say("started")
    while wait_for_go() is not None:
        with tracer.start_as_current_span("GET /report", attributes={"http.route": "/report"}) as root:
            with tracer.start_as_current_span("render"):
                spin(30000000)
            with tracer.start_as_current_span("query"):
                time.sleep(0.05)
        assert provider.force_flush()
        say(ids(root))
    provider.shutdown()


def succeed(api, *words):
    status, out, said = spanwise(*words, api=api)
    assert status == 0 and not said, (words, status, said)
    assert ANSI not in out, "colours on what is no terminal"
    return out


def fail(api, status, part, *words):
    """Refused with this exit status and a message that has `part`, and nothing on standard output."""
    got, out, said = spanwise(*words, api=api)
    assert got == status and part in said and not out, (words, got, out, said)


def line_with(text, *parts):
    lines = [line for line in text.splitlines() if all(part in line for part in parts)]
    assert lines, (parts, text)
    return lines[0]


def check_trace(daemon, ids_):
    trace = ids_["trace"]
    drawn = succeed(daemon.api, "trace", trace)
    for word in (trace[:12], trace.upper(), "latest", "slowest"):
        # Names of frames may come after the ledgers.
        wait_for(lambda word=word: succeed(daemon.api, "trace", word) == succeed(daemon.api, "trace", trace), word)
    line_with(drawn, "GET /report", "sleep", "±")
    picture = ElementTree.fromstring(succeed(daemon.api, "trace", trace, "--svg"))
    texts = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"render", "query", "sleep", trace} <= set(texts), texts
    assert "S" in line_with(drawn, "query", "sleep", "±"), drawn
    assert re.search("[#r]{3}", line_with(drawn, "render", "±")), drawn
    assert re.search(r"verdict +\d+ % (waiting|queued|on CPU|starved)|mixed", drawn), drawn
    assert "syscall clock_nanosleep" in drawn and "woken by timer" in drawn, drawn
    narrow = succeed(daemon.api, "trace", trace, "--width=80").split("\n\n")[1]
    assert "query" in narrow and all(len(line) <= 80 for line in narrow.splitlines()), narrow
    assert ANSI in spanwise("trace", trace, "--color=always", api=daemon.api)[1]

    said = json.loads(succeed(daemon.api, "trace", "--json", trace))
    assert said == daemon.get(f"/api/v1/traces/{trace}?timeline=1")[1]

    fail(daemon.api, 1, "ab" * 16, "trace", "ab" * 16)
    fail(daemon.api, 1, "'zz' is no trace", "trace", "zz")
    fail(daemon.api, 2, "which trace?", "trace")
    fail(daemon.api, 2, "from 60 to", "trace", trace, "--width=1")


def check_top(daemon):
    shown = succeed(daemon.api, "top", "--once")
    for name in ("GET /report", "render", "query"):
        line_with(shown, "subject", name)
    by_ratio = [line.split()[1] for line in shown.splitlines() if line.startswith("subject")]
    assert by_ratio[0] == "query" and by_ratio[-1] == "render", by_ratio
    assert "render" not in succeed(daemon.api, "top", "--once", "--limit=1")
    assert line_with(succeed(daemon.api, "top", "--once", "--spans", "--sort=wall"), "subject", "GET /report")
    operations = json.loads(succeed(daemon.api, "top", "--json"))["operations"]
    assert {operation["name"] for operation in operations} == {"GET /report", "render", "query"}
    fail(daemon.api, 2, "none of ratio, wall, blocked", "top", "--sort=x")


def found(daemon, *words):
    answer = json.loads(succeed(daemon.api, "search", "--json", *words))
    return sorted(span["name"] for span in answer["spans"])


def check_search(daemon, trace):
    assert found(daemon) == ["GET /report", "query", "render"]
    assert found(daemon, "--service=subject", "--reason=sleep") == ["GET /report", "query"]
    assert found(daemon, "--operation=query", "--min-wall-ms=50") == ["query"]
    assert found(daemon, "--min-wall-ms=600000") == []
    assert found(daemon, "--max-ratio=0.05") == ["query"]
    assert found(daemon, "--operation=render", "--from=-15m") == ["render"]
    assert found(daemon, "http.route=/report") == ["GET /report"]
    assert found(daemon, "http.route=/other") == []
    line_with(succeed(daemon.api, "search", "--operation=query"), trace, "query", "sleep")
    assert "no span matches" in succeed(daemon.api, "search", "--service=nobody")
    fail(daemon.api, 1, "must be one of: lock net disk", "search", "--reason=bogus")
    fail(daemon.api, 2, "KEY=VALUE", "search", "nonsense")


def check_compare(daemon):
    """The rendering computes, the query sleeps: what changed from one to the other is named."""
    sides = "operation=render", "operation=query"
    shown = succeed(daemon.api, "compare", *sides, "--service=subject")
    line_with(shown, "CPU / wall", "0.0")
    line_with(shown, "blocked sleep", "+")
    line_with(shown, "running", "-")
    said = json.loads(succeed(daemon.api, "compare", "--json", *sides))
    assert said["change"]["mean_ns"]["blocked"]["sleep"] > 40000000, said
    fail(daemon.api, 2, "two selections", "compare", "operation=render")
    fail(daemon.api, 1, "unknown parameter", "compare", "colour=red", "colour=blue")


def check_status(daemon, subject):
    shown = succeed(daemon.api, "status")
    assert daemon.grpc in shown and daemon.api in shown and daemon.data in shown, shown
    line_with(shown, str(subject.pid), "otel_thread_ctx_v1")
    line_with(shown, "subject", "3 spans")
    assert json.loads(succeed(daemon.api, "status", "--json"))["ports"] == daemon.status()["ports"]


def check_wrong(api):
    """Nobody answers there, or the words are wrong."""
    for words in (("status",), ("top", "--once"), ("search",), ("trace", "ab" * 16)):
        fail(api, 1, "start it with `spanwise serve`", *words)
    fail("nonsense", 1, "'nonsense' is no address", "status")
    fail(None, 2, "there is no command bogus", "bogus")
    fail(api, 2, "--bogus: unknown option", "trace", "--bogus")


def check_config(folder):
    path = os.path.join(folder, "spanwise.conf")

    def said(text, *flags):
        with open(path, "w") as file:
            file.write(text)
        status, out, error = spanwise("check-config", "--config", path, *flags)
        assert (status == 0) == ("valid" in out) == (not error), (status, out, error)
        return status, error

    assert said("") == (0, "")
    assert said("# comment\nsettle_ms = 5000\nprobe = off\n", "--tick-hz=50") == (0, "")
    # The file, the line, the key, the value, the range; all of them, not just the first.
    status, error = said("# comment\nsettle_ms = 5\n\nbogus = 1\nprobe = maybe\nnonsense\n")
    assert status == 2 and error.splitlines() == [
        f'{path}:2: settle_ms: "5" is not valid: must be a number from 100 to 600000',
        f"{path}:4: bogus: no such setting; `spanwise serve --help` lists them",
        f'{path}:5: probe: "maybe" is not valid: must be on or off',
        f'{path}:6: "nonsense": must be `key = value`',
    ], error
    status, error = said("grpc = 0.0.0.0:4317\n")
    assert status == 2 and 'grpc: other machines could connect to "0.0.0.0:4317"' in error, error
    status, error = said("", "--settle-ms=soon")
    assert status == 2 and 'settle_ms: "soon"' in error, error
    status, _, error = spanwise("check-config", "--config", path + ".none")
    assert status == 2 and "No such file" in error, error


def check_old():
    """What is of another day says so."""
    daemon = Daemon("--probe=off")
    start = time.time_ns() - 3 * 24 * 3600 * 10**9
    with daemon.channel() as channel:
        export(channel, request([(b"o" * 16, b"o" * 8, b"", "old", start, start + 10**6)]))
    day = time.strftime("%m-%d %H:%M", time.localtime(start / 1e9))
    wait_for(lambda: daemon.settled("6f" * 16), "the trace to settle")
    assert line_with(succeed(daemon.api, "search"), "6f" * 16).startswith(day + "  "), day
    assert daemon.stop() == 0, daemon.log()


def main():
    check_config(temporary_folder())
    daemon = daemon_with_kernel("--settle-ms=300")
    with Service(daemon) as subject:
        root = subject.ask("go")
        settled_spans(daemon, root["trace"])
        check_trace(daemon, root)
        check_top(daemon)
        check_search(daemon, root["trace"])
        check_compare(daemon)
        check_status(daemon, subject)
    assert daemon.stop() == 0, daemon.log()
    check_wrong(daemon.api)
    check_old()


if len(sys.argv) > 1:
    service(*sys.argv[1:])
else:
    run(main)
