# SPDX-License-Identifier: Apache-2.0
"""diagnose, diff and check-config --agent on their worked examples, in every format, and on what they must
refuse; and diagnose on stored data."""

import json
import os
import subprocess
import xml.etree.ElementTree as xml

from daemon import BINARY, PATIENCE_S, Daemon, export, one_span, request, run, temporary_folder, trace_id, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
REFERENCE = os.path.join(HERE, "..", "cases", "reference")
CORPUS = os.path.join(HERE, "..", "fuzz", "corpus")
FOLDER = temporary_folder()


def spanwise(*arguments, status=0):
    done = subprocess.run([BINARY, *arguments], cwd=REFERENCE, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout if status == 0 else done.stdout + done.stderr


def expect(text, *parts):
    for part in parts:
        assert part in text, f"{part!r} is not in:\n{text}"


def write(name, data):
    path = os.path.join(FOLDER, name)
    with open(path, "wb") as file:
        file.write(data)
    return path


def cpu():
    picture = os.path.join(FOLDER, "cpu.svg")
    text = spanwise("diagnose", "cpu.collapsed", "--svg", picture)
    expect(text, "2,180 samples (70 %) under serializeResponse", "aggregateRows comes first and holds 95 samples (3.0 %)",
           "queryDB: 210 samples (6.7 %) is only its time on a CPU", "width is time, not the number of calls",
           "*serializeResponse 70%")
    tree = xml.parse(picture).getroot()
    marked = [group for group in tree.iter("{http://www.w3.org/2000/svg}g") if group.get("class") == "f m"]
    assert len(marked) == 1 and "serializeResponse" in marked[0][0].text
    said = json.loads(spanwise("diagnose", "cpu.collapsed", "--json"))
    assert said["total"] == 3125 and said["verdict"]["frame"] == "serializeResponse"
    assert abs(said["verdict"]["share"] - 0.6976) < 1e-9
    # The order of lines means nothing.
    with open(os.path.join(REFERENCE, "cpu.collapsed"), encoding="utf-8") as file:
        turned = "".join(reversed(file.readlines()))
    again = json.loads(spanwise("diagnose", write("turned", turned.encode()), "--json"))
    assert again["verdict"] == said["verdict"]


def together():
    text = spanwise("diagnose", "on_cpu.collapsed", "--off-cpu", "off_cpu.collapsed", "--unit", "us", "--wall", "612ms")
    expect(text, "92 % waiting: 540 ms (88 %) in sql.(*DB).QueryContext; leave the CPU code alone",
           "38 ms on a CPU + 561 ms waiting of 612 ms wall", "not sync.(*Mutex).Lock: it is only 18 ms",
           "not the CPU: it is only 6.2 % of the wall")
    expect(spanwise("diagnose", "on_cpu.collapsed", "--off-cpu", "off_cpu.collapsed", status=2), "--hz", "--unit")
    # Side by side, in any order, and without a unit: the wall tells it.
    for pair in (("on_cpu.collapsed", "off_cpu.collapsed"), ("off_cpu.collapsed", "on_cpu.collapsed")):
        expect(spanwise("diagnose", *pair, "--wall", "612ms"), "92 % waiting: 540 ms (88 %) in sql.(*DB).QueryContext",
               "taken as us, which fits the wall")
    expect(spanwise("diagnose", "on_cpu.collapsed", "off_cpu.collapsed", "--wall", "3s"), "80 % of the wall is in neither profile")
    expect(spanwise("diagnose", "on_cpu.collapsed", "--wall", "612ms", status=2), "give both files")
    # Alone and without a word, it is no CPU profile either.
    expect(spanwise("diagnose", "off_cpu.collapsed"), "off-cpu profile", "waits in sql.(*DB).QueryContext, called by handleReport",
           "96 % of it ends where threads wait", "does not tell the unit")


def heap():
    text = spanwise("diff", "heap_base.collapsed", "heap_current.collapsed", "--unit", "bytes", "--interval", "45m")
    expect(text, "(*logEntry).format -> strings.Join retains memory: +410 MB (61.2 % of all change)",
           "json.Marshal +94.6 MB (14.1 %", "+42 MB      6.3 %", "bytes.growSlice", "GOGC")
    expect(spanwise("diff", "cpu.collapsed", "heap_base.collapsed", "--unit", "bytes", "--type", "x", status=1), "no type x")
    expect(spanwise("diff", "cpu.collapsed", os.path.join(CORPUS, "profile_pprof/small"), status=1), "unlike")
    expect(spanwise("diff", "cpu.collapsed", status=2), "two profiles are needed")


def agents():
    text = spanwise("check-config", "--agent", "agent.yaml", "--measured", "12%", status=1)
    expect(text, "over the budget of 5.0 %: 12.0 %", "lower the sampling rate from 1000 to 100 Hz",
           "resolve symbols asynchronously", "cutting it to 8 would corrupt the stacks", "uploading every 1 s is cheap")
    assert text.index("sampling rate") < text.index("symbols asynchronously") < text.index("uploading")
    said = json.loads(spanwise("check-config", "--agent", "../agents/otel.yaml", "--json"))
    assert said["agent"] == "OpenTelemetry eBPF profiler" and said["in_budget"]
    expect(spanwise("check-config", "--agent", "cpu.collapsed", status=2), "no setting of a profiling agent")


def refusals():
    expect(spanwise("diagnose", write("empty", b""), status=1), "it is empty")
    expect(spanwise("diagnose", write("noise", b"\x00\x01\x02nothing" * 50), status=1), "spanwise: ")
    expect(spanwise("diagnose", os.path.join(FOLDER, "missing"), status=1), "No such file")
    expect(spanwise("diagnose", FOLDER, status=1), "no regular file")
    with open(os.path.join(CORPUS, "profile_pprof/go_cpu.gz"), "rb") as file:
        packed = file.read()
    expect(spanwise("diagnose", write("cut.gz", packed[: len(packed) // 2]), status=1), "take it again")
    expect(spanwise("diagnose", write("bare", b"0x55aa;0x55ab 400\n0x55aa 200\n")), "code without symbols", "debug symbols")
    expect(spanwise("diagnose", write("few", b"main;a 7\nmain;b 5\n")), "only 12 samples")
    with open(os.path.join(REFERENCE, "cpu.collapsed"), "rb") as file:
        text = file.read()
    expect(spanwise("diagnose", write("cut", text[:-5])), "the file ends in the middle")
    expect(spanwise("diagnose", write("x.jfr", b"FLR\0\0\2"), status=1), "jfrconv")
    expect(spanwise("diagnose", write("x.json", b'{"a":1}'), status=1), "neither speedscope's nor a .cpuprofile")
    expect(spanwise("diagnose", "--explain", "dominant-subtree"), "widest child")
    assert len(spanwise("diagnose", "--explain", "all").splitlines()) >= 40
    expect(spanwise("diagnose", "--explain", "nonsense", status=2), "--explain all")


def stored():
    daemon = Daemon("--settle-ms=200")
    with daemon.channel() as channel:
        export(channel, request([one_span(7)]))
    wait_for(lambda: daemon.settled(trace_id(7)), "a ledger")
    api = "--api=" + daemon.api
    expect(spanwise("diagnose", "--trace", trace_id(7), api), "verdict", "wall", trace_id(7))
    said = json.loads(spanwise("diagnose", "--trace", "latest", "--json", api))
    assert said["trace_id"] == trace_id(7) and said["profiles"] is None  # nobody published: no stacks
    assert said["span"]["verdict"]["kind"] == "none"
    service = said["span"]["service"] + " " + said["span"]["name"]
    expect(spanwise("diagnose", "--operation", service, "--from", "-100000h", api), "the slowest of them", "verdict")
    said = json.loads(spanwise("diagnose", "--operation", service, "--from", "-100000h", "--json", api))
    assert said["operation"] == service and said["slowest"]["trace_id"] == trace_id(7)
    expect(spanwise("diagnose", "--trace", "latest", "--svg", os.path.join(FOLDER, "x.svg"), api, status=1), "no picture")
    expect(spanwise("diagnose", "--operation", "nobody NOTHING", api, status=1), "no such spans")
    assert daemon.stop() == 0, daemon.log()


def main():
    for scenario in (cpu, together, heap, agents, refusals, stored):
        scenario()


run(main)
