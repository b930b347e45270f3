# SPDX-License-Identifier: Apache-2.0
"""One trace with a query, a contended lock and CPU time, in every format of `flame`: each is read by somebody
else's reader, and each holds the ledgers' ns, exactly. FLAME_TOOLS: a folder with what is not in the venv
(`tests/interop/flame` fills it); what is found nowhere is told and left out."""

import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as xml
from collections import Counter
from urllib.parse import quote

import jsonschema
from opentelemetry.proto.profiles.v1development import profiles_pb2

from daemon import BINARY, PATIENCE_S, daemon_with_kernel, run, temporary_folder, wait_for
from service import Service, ids, say, spin, trace_to, wait_for_go

MS = 1000000
TOOLS = os.environ.get("FLAME_TOOLS", "")
FOLDER = temporary_folder()
SPANS = ("GET /report", "query", "lock", "serialize")


# The service.


def answer_late(listener):
    while True:
        with listener.accept()[0] as peer:
            peer.recv(1)
            time.sleep(0.06)
            peer.send(b"x")


def query(port):
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.send(b"?")
        peer.recv(1)


def report(tracer, port):
    mutex, is_held = threading.Lock(), threading.Event()

    def hold():
        with tracer.start_as_current_span("holder"), mutex:
            is_held.set()
            time.sleep(0.03)

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait()
    with tracer.start_as_current_span(SPANS[0]) as root:
        with tracer.start_as_current_span("lock"), mutex:
            pass
        with tracer.start_as_current_span("query"):
            query(port)
        with tracer.start_as_current_span("serialize"):
            spin(60 * MS)
    holder.join()
    return {**ids(root), "pid": os.getpid(), "tid": threading.get_native_id(), "holder": holder.native_id}


def serve(endpoint):
    provider = trace_to(endpoint)
    tracer = provider.get_tracer("flame")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer_late, args=(listener,), daemon=True).start()
        say("started")
        while wait_for_go():
            facts = report(tracer, listener.getsockname()[1])
            provider.force_flush()
            say(facts)


# The readers.


def fetch(daemon, facts, form, **wishes):
    """The bytes as they come, by the command line; written to a file, which is its second use."""
    path = os.path.join(FOLDER, f"flame.{form}")
    words = wishes.pop("words", [facts["trace"]])
    options = [f"--{key}={value}" for key, value in wishes.items()]
    subprocess.run([BINARY, "flame", *words, "--format", form, "--output", path, "--api=" + daemon.api, *options],
                   check=True, timeout=PATIENCE_S)
    with open(path, "rb") as file:
        return path, file.read()


def tool(name, *places):
    """A program on the path or in FLAME_TOOLS; None is told once."""
    for place in (shutil.which(name), *(os.path.join(TOOLS, place) for place in places if TOOLS)):
        if place and os.path.exists(place):
            return place
    print("left out, for there is no", name)
    return None


def own_total(trace):
    """What a whole trace adds up to: each span's own time."""
    total = Counter()
    for span in trace["spans"]:
        own = span["ledger"]["self"]
        for state in ("running", "runnable", "elsewhere", "unknown"):
            total[state] += own[state + "_ns"]
        for reason, ns in own["blocked_ns"].items():
            total[reason] += ns
            total["blocked"] += ns
    total["all"] = sum(total[state] for state in ("running", "runnable", "elsewhere", "unknown", "blocked"))
    return total


def collapsed(daemon, facts, total):
    path, text = fetch(daemon, facts, "collapsed")
    lines = text.decode().splitlines()
    assert sum(int(line.rsplit(" ", 1)[1]) for line in lines) == total["all"], (lines, total)
    for state, reason in (("cpu", ""), ("blocked", ""), ("runnable", ""), ("blocked", "lock"), ("blocked", "net")):
        wishes = {"state": state, **({"reason": reason} if reason else {})}
        part = fetch(daemon, facts, "collapsed", **wishes)[1].decode().splitlines()
        wanted = total[reason] if reason else total["running" if state == "cpu" else state]
        assert sum(int(line.rsplit(" ", 1)[1]) for line in part) == wanted, (state, reason, part, total)
    path = fetch(daemon, facts, "collapsed")[0]
    perl = "/usr/share/perl5/Devel/NYTProf/flamegraph.pl"
    for program in (tool("inferno-flamegraph", "bin/inferno-flamegraph"), perl if os.path.exists(perl) else None):
        if program:
            drawn = subprocess.run([program, "--countname", "ns", path], check=True, capture_output=True, timeout=PATIENCE_S)
            assert f"{total['all']:,} ns" in drawn.stdout.decode(), drawn.stdout.decode()[:4000]
            xml.fromstring(drawn.stdout)


def pprof(daemon, facts, total):
    path, packed = fetch(daemon, facts, "pprof")
    assert gzip.decompress(packed)
    go = tool("go")
    if not go:
        return
    # Go builds the tool when it is first used, which takes a minute.
    run_it = lambda *words: subprocess.run([go, "tool", "pprof", *words, path], check=True, capture_output=True,
                                           text=True, timeout=400, env={**os.environ, "PPROF_TMPDIR": FOLDER}).stdout
    top = run_it("-top", "-nodecount=1000", "-unit=ns")
    assert f"{total['all']}ns" in top.replace(" total", ""), top
    assert top.startswith("File: python"), top.splitlines()[0]
    lock = next(line for line in top.splitlines() if line.endswith("[lock]"))
    assert lock.split()[0] == f"{total['lock']}ns", (lock, total)
    raw = run_it("-raw")
    assert "events/count all/nanoseconds" in raw and "state:[blocked]" in raw, raw


def speedscope(daemon, facts, total):
    scope = json.loads(fetch(daemon, facts, "speedscope")[1])
    assert sum(scope["profiles"][0]["weights"]) == total["all"] == scope["profiles"][0]["endValue"], scope
    schema = tool("file-format-schema.json", "package/dist/release/file-format-schema.json")
    if schema:
        with open(schema, encoding="utf-8") as file:
            jsonschema.validate(scope, json.load(file))


def otlp(daemon, facts, trace, total):
    data = profiles_pb2.ProfilesData.FromString(fetch(daemon, facts, "otlp")[1])
    tables = data.dictionary
    for table in (tables.mapping_table, tables.location_table, tables.function_table, tables.attribute_table,
                  tables.stack_table):
        assert table[0] == type(table[0])(), table[0]
    assert tables.string_table[0] == "" and len(set(tables.string_table)) == len(tables.string_table)
    assert tables.link_table[0].trace_id == bytes(16) and tables.link_table[0].span_id == bytes(8)
    assert [resource.resource.attributes[0].value.string_value for resource in data.resource_profiles] == ["subject"]
    sums, of_span = Counter(), Counter()
    for profile in data.resource_profiles[0].scope_profiles[0].profiles:
        kind = tables.string_table[profile.sample_type.type_strindex]
        assert tables.string_table[profile.sample_type.unit_strindex] == "nanoseconds"
        for sample in profile.samples:
            link = tables.link_table[sample.link_index]
            assert link.trace_id.hex() == facts["trace"], link
            sums[kind] += sample.values[0]
            of_span[link.span_id.hex()] += sample.values[0]
            for index in sample.attribute_indices:
                attribute = tables.attribute_table[index]
                assert tables.string_table[attribute.key_strindex] == "spanwise.wait.reason"
                sums[attribute.value.string_value] += sample.values[0]
            names = [tables.string_table[tables.function_table[line.function_index].name_strindex]
                     for at in tables.stack_table[sample.stack_index].location_indices
                     for line in tables.location_table[at].lines]
            assert names and all(names), sample
    assert sums["cpu"] == total["running"] and sums["off_cpu"] == total["blocked"], (sums, total)
    assert sums["lock"] == total["lock"] and sums["net"] == total["net"], (sums, total)
    for span in trace["spans"]:
        assert of_span[span["span_id"]] == sum(own_total({"spans": [span]})[k] for k in ("all",)), (span, of_span)


def nested(slices):
    """Slices of one track, as a viewer stacks them."""
    open_until = []
    for start, end in sorted(slices, key=lambda slice: (slice[0], -slice[1])):
        while open_until and open_until[-1] <= start:
            open_until.pop()
        assert not open_until or end <= open_until[-1], (slices, start, end)
        open_until.append(end)


def perfetto(daemon, facts, trace, total):
    events = json.loads(fetch(daemon, facts, "perfetto")[1])
    origin = int(events["otherData"]["origin_unix_ns"])
    assert origin == min(int(span["start_unix_ns"]) for span in trace["spans"])
    at = lambda event, key="ts": round(event[key] * 1000)
    tracks = {}
    for event in events["traceEvents"]:
        if event["ph"] == "X":
            tracks.setdefault((event["pid"], event["tid"]), []).append((at(event), at(event) + at(event, "dur")))
    for slices in tracks.values():
        nested(slices)
    own = [event for event in events["traceEvents"] if event["ph"] == "X" and event["tid"] == facts["tid"]
           and event["cat"] != "wake"]
    assert {"on CPU", "lock", "net"} <= {event["name"] for event in own}, own
    # The thread of the request carried nothing else: its track is the root's ledger.
    root = next(span for span in trace["spans"] if span["name"] == SPANS[0])
    if not any(event.get("args", {}).get("slices_truncated") for event in events["traceEvents"]):
        for state, ns in (("running", root["ledger"]["running_ns"]), ("runnable", root["ledger"]["runnable_ns"]),
                          ("blocked", sum(root["ledger"]["blocked_ns"].values()))):
            assert sum(at(event, "dur") for event in own if event["cat"] == state) == ns, (state, ns, own)
    begun = {event["id"]: event for event in events["traceEvents"] if event["ph"] == "b" and "args" in event}
    for span in trace["spans"]:
        event = begun["0x" + span["span_id"]]
        assert event["name"] == span["name"] and at(event) + origin == int(span["start_unix_ns"])
        assert event["args"]["verdict"] == span["verdict"]["text"]
    arrows(events["traceEvents"], facts)
    named = {(event["pid"], event["tid"]): event["args"]["name"] for event in events["traceEvents"]
             if event["ph"] == "M"}
    assert named[facts["pid"], 0] == "subject", named


def arrows(events, facts):
    """Who released the lock is where the arrow begins; it ends where the wait did."""
    flows = {}
    for event in events:
        if event["ph"] in "sf":
            flows.setdefault(event["id"], {})[event["ph"]] = event
    assert flows and all(set(flow) == {"s", "f"} for flow in flows.values()), flows
    waited = next(event for event in events if event["ph"] == "X" and event["tid"] == facts["tid"]
                  and event["name"] == "lock" and event["dur"] > 5000)
    ends = round((waited["ts"] + waited["dur"]) * 1000)
    flow = next(flow for flow in flows.values()
                if flow["f"]["tid"] == facts["tid"] and round(flow["f"]["ts"] * 1000) == ends)
    assert flow["s"]["tid"] == facts["holder"] and flow["s"]["ts"] == flow["f"]["ts"], flow


def svg(daemon, facts, total):
    path, text = fetch(daemon, facts, "svg")
    tree = xml.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    titles = [title.text for title in tree.iter(space + "title")]
    locks = [title for title in titles if title.startswith("[lock]")]
    assert all("%" in title for title in locks), locks
    # Frames of less than a fifth of a pixel are left out.
    drawn = sum(int(title.split("), ")[1].split(" ")[0].replace(",", "")) for title in locks)
    assert total["lock"] * 0.99 < drawn <= total["lock"], (locks, total)
    colours = {group.find(space + "title").text.split(":")[0]: group.find(space + "rect").get("fill")
               for group in tree.iter(space + "g")}
    assert colours["[lock]"] != colours["[net]"] and not colours["[lock]"].startswith("rgb("), colours
    legend = " ".join(text.text or "" for text in tree.iter(space + "text"))
    assert "lock " in legend and "on CPU " in legend, legend
    browser = tool("chromium")
    if browser:
        print("in the browser:", in_browser("flame_browser.js", browser, path))


def in_browser(script, browser, *arguments):
    """What a script of this folder saw, that drives the browser by what is in FLAME_TOOLS; None: that is not there."""
    node, script = tool("node"), os.path.join(os.path.dirname(os.path.abspath(__file__)), script)
    modules = os.path.join(TOOLS, "node_modules")
    if not node or not os.path.isdir(modules):
        return None
    said = subprocess.run([node, script, browser, *arguments], capture_output=True, text=True, timeout=PATIENCE_S,
                          env={**os.environ, "NODE_PATH": modules})
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout.strip()


def speedscope_page(daemon, facts, total):
    """speedscope itself: what its importers make of four formats."""
    browser, page = tool("chromium"), tool("index.html", "package/dist/release/index.html")
    forms = ("speedscope", "collapsed", "pprof", "perfetto")
    said = browser and page and in_browser("flame_speedscope.js", browser, os.path.dirname(page),
                                           *(fetch(daemon, facts, form)[0] for form in forms))
    for form, line in zip(forms, (said or "").splitlines()):
        rows = {row[2]: row for row in json.loads(line)["rows"] if len(row) == 3}
        print("in speedscope:", form, len(rows), "functions")
        if form == "perfetto":  # a track at a time, the first one
            assert len(rows) > 1, line
            continue
        share = float(rows["[lock]"][1].split("(")[1].strip("<%)"))
        assert abs(share - 100 * total["lock"] / total["all"]) < 0.6, (form, rows["[lock]"], total)


def slowest_locks(daemon, asked):
    """How many spans `lock` are the slower half of these traces', and what they waited for it."""
    spans = [span for facts in asked for span in daemon.trace(facts["trace"])["spans"] if span["name"] == "lock"]
    spans.sort(key=lambda span: span["wall_ns"])
    half = spans[len(spans) // 2:]
    return len(half), sum(span["ledger"]["blocked_ns"]["lock"] for span in half)


def differences(daemon, asked, totals):
    first, second = asked[-2:]
    diff = json.loads(fetch(daemon, first, "json", words=["--diff", first["trace"], second["trace"]])[1])
    assert diff["a"]["mean_ns"] == totals[0]["all"] and diff["b"]["mean_ns"] == totals[1]["all"], diff
    assert abs(sum(stack["change_ns"] for stack in diff["stacks"]) - (totals[1]["all"] - totals[0]["all"])) < 100
    text = fetch(daemon, first, "collapsed", words=["--diff", "trace=" + first["trace"], second["trace"]])[1].decode()
    for side in (0, 1):
        assert sum(int(line.split(" ")[-2:][side]) for line in text.splitlines()) == totals[side]["all"], text
    picture = fetch(daemon, first, "svg", words=["--diff", first["trace"], second["trace"]])[1]
    assert b"red is slower in b" in xml.tostring(xml.fromstring(picture))
    nothing = fetch(daemon, first, "json", words=["--diff", first["trace"], first["trace"]])[1]
    assert all(stack["change_ns"] == 0 for stack in json.loads(nothing)["stacks"]), nothing
    sides = f"a={quote('operation=query')}&b={quote('operation=lock')}&state=blocked"
    spans = daemon.get(f"/api/v1/flame?service=subject&{sides}")[1]
    assert spans["a"]["spans"] == len(asked) and spans["b"]["spans"] == len(asked), spans
    slowest = daemon.get("/api/v1/flame?service=subject&operation=lock&quantile=0.5&state=blocked&reason=lock")[1]
    assert (slowest["spans"], slowest["total_ns"]) == slowest_locks(daemon, asked), slowest
    assert daemon.get(f"/api/v1/flame?{sides}&format=pprof")[0] == 400
    assert daemon.get("/api/v1/flame?a=trace%3Dxyz&b=trace%3Dxyz")[0] == 400
    done = subprocess.run([BINARY, "flame", "--diff", first["trace"], "--api=" + daemon.api], capture_output=True)
    assert done.returncode == 2, done


def told(daemon, *words):
    done = subprocess.run([BINARY, *words, "--api=" + daemon.api, "--color=never"], capture_output=True, text=True,
                          timeout=PATIENCE_S)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


def stories(daemon, facts, trace):
    """What `trace` says below its picture, and what `diagnose` makes of the stored stacks."""
    text = told(daemon, "trace", facts["trace"])
    assert "of what ran, " in text, text
    whole = told(daemon, "trace", facts["trace"], "--stacks")
    waits = [wait for span in trace["spans"] if span["name"] == "query" for wait in span["waits"]]
    wait = next((wait for wait in waits if wait["reason"] == "net" and wait["stack"]), None)
    assert wait, waits
    assert all(name in whole for name in wait["stack"]) and len(whole) > len(text), whole
    read = told(daemon, "diagnose", "--trace", facts["trace"])
    assert "waiting" in read and "on a CPU" in read and "in neither" not in read, read
    read = told(daemon, "diagnose", "--operation", "subject serialize", "--from", "-1h")
    assert "the slowest of them" in read and "in neither" not in read, read
    picture = os.path.join(FOLDER, "diagnosis.svg")
    said = json.loads(told(daemon, "diagnose", "--trace", facts["trace"], "--json", "--svg", picture))
    assert said["span"]["span_id"] == facts["span"], (said["span"], facts)
    assert abs(said["profiles"]["wall_ns"] - said["span"]["wall_ns"]) <= 1, said
    assert said["profiles"]["off_cpu"]["verdict"]["share"] > 0, said
    assert xml.parse(picture).getroot().tag.endswith("svg")


def named_trace(daemon, facts):
    """The trace, once the names of its stacks are there."""
    trace = wait_for(lambda: daemon.settled(facts["trace"]), "the trace to settle")
    lost = lambda: "no stack: names" in json.dumps(daemon.trace(facts["trace"]))
    wait_for(lambda: not lost(), "names")
    assert {span["name"] for span in trace["spans"]} == set(SPANS), trace
    return trace


def has_stacks(trace):
    """Not before the service's unwind tables are read."""
    return any(wait["reason"] == "net" and wait["stack"] and not wait["stack"][-1].startswith("[truncated")
               for span in trace["spans"] if span["name"] == "query" for wait in span["waits"])


def until_stacks(daemon, service):
    """Asks until the service's stacks are whole; what it was asked."""
    asked = []

    def look():
        asked.append(service.ask("report"))
        return has_stacks(named_trace(daemon, asked[-1]))

    wait_for(look, "whole stacks")
    return asked


def main():
    daemon = daemon_with_kernel("--settle-ms=300")
    with Service(daemon, "report") as service:
        asked = until_stacks(daemon, service)
        asked += [service.ask("report"), service.ask("report")]
        first, second = asked[-2:]
        traces = [named_trace(daemon, facts) for facts in (first, second)]
        totals = [own_total(trace) for trace in traces]
        print("ns:", dict(totals[0]))
        collapsed(daemon, first, totals[0])
        pprof(daemon, first, totals[0])
        speedscope(daemon, first, totals[0])
        otlp(daemon, first, traces[0], totals[0])
        perfetto(daemon, first, traces[0], totals[0])
        svg(daemon, first, totals[0])
        speedscope_page(daemon, first, totals[0])
        differences(daemon, asked, totals)
        stories(daemon, first, traces[0])
    assert daemon.stop() == 0, daemon.log()


if len(sys.argv) > 1:
    serve(sys.argv[2])
else:
    run(main)
