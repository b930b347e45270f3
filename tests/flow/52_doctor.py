# SPDX-License-Identifier: Apache-2.0
"""The doctor's exit status and words: when all is well, and the first broken link when it is not."""

import os
import sys
import time

from cli import doctor, first_broken, rows
from daemon import daemon_with_kernel, export, request, run, wait_for
from ledgers import check_span, settled_spans
from service import Service, Subject, ids, say, trace_to, wait_for_go


def service(writer, endpoint):
    provider = trace_to(endpoint, writer=writer == "with")
    tracer = provider.get_tracer("subject")
    say("started")
    while wait_for_go() is not None:
        with tracer.start_as_current_span("work") as span:
            time.sleep(0.02)
        assert provider.force_flush()
        say(ids(span))
    provider.shutdown()


def check_whole(daemon):
    """Well, unless the kernel's counters say that something was lost: then that is what the doctor says, too."""
    status, report = doctor(daemon.api)
    lost = daemon.status()["kernel"]["lost"]
    if lost["storage_full"] or lost["ring_full"] or lost["malformed"]:
        print("lost meanwhile:", lost)
        assert status == 1 and report["first_broken"] == "records lost", report
    else:
        assert status == 0, report
    return report


def check_well(daemon):
    with Service(daemon, "with") as subject:
        span = subject.ask("go")
        settled_spans(daemon, span["trace"])
        report = check_whole(daemon)
        found = [row["found"] for row in rows(report, "publishes")]
        is_cut = any(text.endswith(" more") for text in found)  # other tests' processes
        assert is_cut or any(f"pid {subject.pid} " in text for text in found), report
        assert rows(report, "sends spans")[0]["found"] == "subject: 1", report
        # For the trace, the beginning of its id, and the span.
        for words in ([span["trace"]], [span["trace"][:16]], [span["trace"], span["span"]]):
            status, report = doctor(daemon.api, *words)
            assert status == 0, report
            assert str(subject.pid) in rows(report, "process known")[0]["found"], report
            assert rows(report, "ledger")[0]["level"] == "ok", report
    return span


def check_unknown(daemon, span):
    status, report = doctor(daemon.api, span["trace"], "00000000000000ff")
    assert status == 1 and report["first_broken"] == "span received", report
    assert "00000000000000ff" in first_broken(report)["found"], report
    assert rows(report, "trace received")[0]["level"] == "ok", report

    status, report = doctor(daemon.api, "ab" * 16)
    assert status == 1 and report["first_broken"] == "trace received", report
    assert daemon.grpc in first_broken(report)["remedy"], report


def check_unpublished(daemon):
    """The plain SDK: spans come, tags do not, and its resource does not say which process it is."""
    with Service(daemon, "without", publishes=False) as subject:
        span = subject.ask("go")
        for ledger in settled_spans(daemon, span["trace"]).values():
            check_span(ledger, grades=("none",))
        status, report = doctor(daemon.api)
        assert status == 1 and report["first_broken"] == "process not known", report
        assert "process.pid" in first_broken(report)["remedy"], report
        status, report = doctor(daemon.api, span["trace"], span["span"])
        assert status == 1 and report["first_broken"] == "process known", report


def span_of(daemon, channel, pid, name, start, end):
    """A span that claims this process, and no thread ever showed; its trace id."""
    number = int.from_bytes(os.urandom(8), "big") | 1
    trace = number.to_bytes(16, "big")
    message = request([(trace, number.to_bytes(8, "big"), b"", name, start, end)], service=name)
    claim = message.resource_spans[0].resource.attributes.add(key="process.pid")
    claim.value.int_value = pid
    export(channel, message)
    wait_for(lambda: daemon.settled(trace.hex()), "the trace to settle")
    return trace.hex()


def check_silent(daemon):
    """A process that is known and has no writer."""
    with Subject("sh", "-c", "echo '\"started\"'; read line") as silent, daemon.channel() as channel:

        def is_known():
            now = time.time_ns()
            trace = span_of(daemon, channel, silent.pid, "silent", now - 1000000, now)
            status, report = doctor(daemon.api, trace)
            assert status == 1, report
            return report["first_broken"] != "process known" and report

        report = wait_for(is_known, "the process to be looked at")
        assert report["first_broken"] == "process publishes", report
        assert "deploy/instrument" in first_broken(report)["remedy"], report
        status, report = doctor(daemon.api)
        assert status == 1 and "silent" in rows(report, "publishes none")[0]["found"], report


def check_never_current(daemon):
    """A process that publishes, and a long span of it that was never made current."""
    with Service(daemon, "with") as subject, daemon.channel() as channel:
        subject.ask("go")  # the kernel has told of its threads from here on
        began = time.time_ns()
        subject.ask("go")
        trace = span_of(daemon, channel, subject.pid, "never current", began, time.time_ns())
        check_span(settled_spans(daemon, trace)["never current"], grades=("inferred",))
        status, report = doctor(daemon.api, trace)
        assert status == 1 and report["first_broken"] == "tag observed", report
        assert "start_as_current_span" in first_broken(report)["remedy"], report


def main():
    daemon = daemon_with_kernel("--settle-ms=300")
    span = check_well(daemon)
    check_unknown(daemon, span)
    check_never_current(daemon)
    check_unpublished(daemon)
    check_silent(daemon)
    assert daemon.stop() == 0, daemon.log()

    status, report = doctor(daemon.api)
    assert status == 1 and report["first_broken"] == "reachable", report
    assert "spanwise serve" in first_broken(report)["remedy"], report


if len(sys.argv) > 1:
    service(*sys.argv[1:])
else:
    run(main)
