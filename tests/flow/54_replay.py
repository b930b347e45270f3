# SPDX-License-Identifier: Apache-2.0
"""A recording of a real service on a real kernel makes the same ledgers again; of a damaged, foreign or newer file
no more is believed than what it proves."""

import json
import os
import re
import struct
import sys
import threading
import time

from cli import spanwise
from daemon import daemon_with_kernel, run, temporary_folder
from ledgers import check_span, settled_spans
from service import Service, ids, say, spin, trace_to, wait_for_go

ROUNDS, REQUESTS = 4, 4
HEAD_BYTES, CHUNK_HEAD_BYTES = 16, 24  # collector/record_file.h


def service(endpoint):
    provider = trace_to(endpoint)
    tracer = provider.get_tracer("subject")
    lock = threading.Lock()

    def request(traces):
        for _ in range(REQUESTS):
            with tracer.start_as_current_span("request") as root:
                traces.append(ids(root)["trace"])
                with lock, tracer.start_as_current_span("query"):
                    spin(2000000)
                    time.sleep(0.003)

    say("started")
    while wait_for_go() is not None:
        traces = []
        threads = [threading.Thread(target=request, args=(traces,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert provider.force_flush()
        say(traces)
    provider.shutdown()


def record(path):
    """What the API said of each span, by (trace_id, span_id)."""
    daemon = daemon_with_kernel("--settle-ms=300", command=("record", path))
    told = {}
    with Service(daemon) as subject:
        for _ in range(ROUNDS):  # the spans of one write down the ledgers of the one before
            for trace in subject.ask("go"):
                for span in settled_spans(daemon, trace).values():
                    check_span(span, grades=("exact", "bounded", "inferred"))
                    told[trace, span["span_id"]] = span
    assert daemon.stop() == 0, daemon.log()
    assert len(told) == 2 * 3 * ROUNDS * REQUESTS, len(told)
    return told


def unnamed(waits):
    """A recording holds the ids of stacks; their names are the probe's, and not in it."""
    return [{key: value for key, value in wait.items() if key not in ("stack", "where", "no_stack")} for wait in waits]


def is_unnamed(text, named):
    """The same verdict but for the code that it names."""
    before = len(os.path.commonprefix((text, named)))
    after = len(os.path.commonprefix((text[::-1], named[::-1])))
    return text == named or (before + after >= len(text) and re.search(r" in \S", named))


def check_equal(path, told):
    status, out, said = spanwise("replay", path)
    assert status == 0 and f"equal: {len(told)} ledgers" in said, said
    replayed = [json.loads(line) for line in out.splitlines()]
    assert len(replayed) == len(told)
    for ledger in replayed:
        span = told[ledger["trace_id"], ledger["span_id"]]
        for part in ("ledger", "links", "wall_ns"):
            assert ledger[part] == span[part], (part, ledger, span)
        assert ledger["verdict"]["kind"] == span["verdict"]["kind"], (ledger, span)
        assert is_unnamed(ledger["verdict"]["text"], span["verdict"]["text"]), (ledger["verdict"], span["verdict"])
        for part in ("waits", "code"):
            assert unnamed(ledger[part]) == unnamed(span[part]), (part, ledger, span)


def chunk_ends(data):
    ends, at = [], HEAD_BYTES
    while at < len(data):
        magic, packed = struct.unpack_from("<4sI", data, at)
        assert magic == b"CHNK"
        at += CHUNK_HEAD_BYTES + packed
        ends.append(at)
    return ends


def replay_bytes(path, data):
    with open(path, "wb") as file:
        file.write(data)
    status, out, said = spanwise("replay", path)
    os.unlink(path)
    return status, out.splitlines(), said


def check_truncated(path, data, ledgers):
    """Cut anywhere: the front is read, up to its last whole chunk."""
    ends = chunk_ends(data)
    assert len(ends) > 3, "too few chunks to cut between"
    counts = []
    for end, following in zip(ends, ends[1:]):
        cut = replay_bytes(path, data[:end + 1])
        assert cut[0] == 0 and "ends in the middle" in cut[2] and "equal" in cut[2], cut[2]
        assert replay_bytes(path, data[:following - 1]) == cut
        counts.append(len(cut[1]))
    assert counts == sorted(counts) and counts[-1] <= ledgers, counts
    assert counts[-1] > 0, counts


def check_refused(path, data):
    other_version = data[:8] + struct.pack("<I", 99) + data[12:]
    other_events = data[:12] + struct.pack("<I", 99) + data[16:]
    for changed in (other_version, other_events):
        status, out, said = replay_bytes(path, changed)
        assert status == 1 and not out and "another version of spanwise" in said, said
    for foreign in (b"", b"SPAN", b"\x7fELF" + bytes(100), b"{}\n" * 100):
        status, out, said = replay_bytes(path, foreign)
        assert status == 1 and not out and "no recording of spanwise" in said, (foreign, said)
    status, out, said = spanwise("replay", path)
    assert status == 1 and "No such file" in said, said
    status, out, said = spanwise("replay")
    assert status == 2 and "usage" in said, said


def main():
    path = os.path.join(temporary_folder(), "recording")
    told = record(path)
    check_equal(path, told)
    with open(path, "rb") as file:
        data = file.read()
    check_truncated(path + ".cut", data, len(told))
    check_refused(path + ".changed", data)
    print(f"{len(told)} ledgers from {len(data)} bytes")


if len(sys.argv) > 1:
    service(*sys.argv[1:])
else:
    run(main)
