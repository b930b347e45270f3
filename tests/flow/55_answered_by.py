# SPDX-License-Identifier: Apache-2.0
"""A request answered by another process, over every way that leads there, by one thread, a pool, or an event loop with
a pool behind it: the caller's wait leads to the span that answered, by the trace, and by who ended the wait, be it in
a trace of its own and its answer passed on by others; `spanwise trace` says what it was blocked on. So it does when
that span comes late; before it comes, nothing is made up."""

import json
import os
import re
import subprocess

from cli import spanwise
from daemon import daemon_with_kernel, export, request, run, temporary_folder, wait_for
from ledgers import blocked, check_span, measured_spans

PROGRAM = os.environ.get("FLOW_PAIRS", "")
WAYS = {"tcp": "net", "udp": "net", "unix": "net", "pipe": "pipe"}
# who works, and how the caller's wait leads there
STYLES = {"plain": "waker", "pool": "waker", "loop": "chain"}
WORKS = ("disk", "lock", "child")
TRACES = ("same", "other")
KINDS = {"query": 3, "report": 2, "serve": 2, "compact": 1}
MOSTLY = 0.5  # on a busy machine
TRIES = 5  # where it is so busy that it was the CPU that was waited for, or that who answers lost it on the way
MOST_HELD_UP = 6  # of all cases: it is the exception
SKEW_NS = 2000000  # of two processes' clocks


class Program:
    def __init__(self, daemon, folder, service, *arguments):
        self.service = service
        self.process = subprocess.Popen([PROGRAM, *arguments], text=True, cwd=folder, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.address = json.loads(self.process.stdout.readline()) if arguments[0] == "serve" else None
        wait_for(lambda: any(process["pid"] == self.process.pid
                             for process in daemon.status()["probe"]["publishing"]), service + " to be seen publishing")

    def finish(self, word=""):
        header, *spans = map(json.loads, self.process.communicate(word)[0].splitlines())
        assert self.process.returncode == 0, self.service
        self.instance = header["instance_id"]
        self.spans = {span["name"]: span for span in spans}

    def send(self, daemon):
        message = request([(bytes.fromhex(span["trace_id"]), bytes.fromhex(span["span_id"]),
                            bytes.fromhex(span["parent_id"]), span["name"], span["start_ns"], span["end_ns"])
                           for span in self.spans.values()], service=self.service,
                          **{"service.instance.id": self.instance})
        for span in message.resource_spans[0].scope_spans[0].spans:
            span.kind = KINDS[span.name]
        with daemon.channel() as channel:
            export(channel, message)


def play(daemon, folder, way, style, work, trace):
    """Neither has told of its spans yet."""
    server = Program(daemon, folder, "store", "serve", way, style, work, trace)
    client = Program(daemon, folder, "shop", "ask", way, server.address)
    client.finish("!")
    server.finish()
    return client, server


def draw(daemon, trace_id):
    status, said, failure = spanwise("trace", trace_id, api=daemon.api)
    assert status == 0, failure
    return said


def links_to(span, other):
    return {link["via"]: link["ns"] for link in span["links"] if link["span_id"] == other["span_id"]}


def overlap(a, b):
    ends = min(a["end_ns"], b["end_ns"])
    return ends - max(a["start_ns"], b["start_ns"])


def check_client(case, client, server, spans):
    way, style, _, trace = case
    query = spans["query"]
    check_span(query)
    links, waited = links_to(query, server.spans["serve"]), blocked(query, WAYS[way])
    assert waited >= query["wall_ns"] * MOSTLY, (case, query)
    assert links.get(STYLES[style], 0) >= waited * MOSTLY, (case, query)
    assert ("parent" in links) == (trace == "same"), (case, query)
    if trace == "same":
        shared = overlap(client.spans["query"], server.spans["serve"])
        assert abs(links["parent"] - shared) <= SKEW_NS, (case, query, shared)


def check_server(case, server, serve):
    """What it was blocked on; and by whom, where that is another trace's span."""
    check_span(serve)
    work = case[2]
    assert blocked(serve, work), (case, serve)
    if work == "lock":
        wait = max((wait for wait in serve["waits"] if wait["reason"] == "lock"), key=lambda wait: wait["ns"])
        holder = wait["holders"][0]
        assert (holder["kind"], holder["span_id"]) == ("held", server.spans["compact"]["span_id"]), (case, wait)
        assert holder["ns"] >= wait["ns"] * MOSTLY, (case, wait)


def check_story(case, said, serve):
    _, style, _, trace = case
    label = "answered" if trace == "same" else "released"
    passed = ", passed on" if trace == "other" and style == "loop" else ""
    # the longest of the trace has a story, and those of most time of their own
    stories = re.findall(r"\n(?:report|query) \(shop\).*?(?=\n\n|$)", said, re.DOTALL)
    assert stories, (case, said)
    for story in stories:
        found = re.search(rf"{label} +[0-9.]+ m?s +[0-9]+ %  by serve in store(?:, taken up .* after the call began)?{passed}: (.*)", story)
        assert found and found.group(1) == serve["verdict"]["text"], (case, said, serve["verdict"])


def check(daemon, case, client, server):
    spans = measured_spans(daemon, client.spans["query"]["trace_id"])
    serve = measured_spans(daemon, server.spans["serve"]["trace_id"])["serve"]
    check_client(case, client, server, spans)
    check_server(case, server, serve)
    check_story(case, draw(daemon, client.spans["query"]["trace_id"]), serve)


def play_case(daemon, folder, case):
    """How often it had to be played again."""
    for left in reversed(range(TRIES)):
        client, server = play(daemon, folder, *case)
        client.send(daemon)
        server.send(daemon)
        try:
            check(daemon, case, client, server)
            return TRIES - 1 - left
        except AssertionError as error:
            if not left:
                raise
            print("is played again:", error)


def play_all(daemon, folder):
    """Each way and style, with one work after the other."""
    count = held_up = 0
    for way in WAYS:
        for style in STYLES:
            for trace in TRACES:
                case = way, style, WORKS[count % len(WORKS)], trace
                count += 1
                held_up += play_case(daemon, folder, case)
            count += 1  # so that both meet all works
    assert held_up <= MOST_HELD_UP, held_up


def play_late(daemon, folder):
    """The caller's trace settles before the other's spans have come: its wait names the span by its id alone."""
    for trace in TRACES:
        case = "tcp", "plain", "child", trace
        client, server = play(daemon, folder, *case)
        client.send(daemon)
        trace_id, serve = client.spans["query"]["trace_id"], server.spans["serve"]
        query = measured_spans(daemon, trace_id)["query"]
        assert links_to(query, serve).keys() == {"waker"}, query
        said = draw(daemon, trace_id)
        assert f"in span {serve['span_id']}" in said and "serve" not in said and "store" not in said, said
        server.send(daemon)
        wait_for(lambda: daemon.settled(serve["trace_id"]), "the late span's trace to settle")
        wait_for(lambda: "serve" in measured_spans(daemon, serve["trace_id"]), "the late span")
        check(daemon, case, client, server)


def main():
    daemon = daemon_with_kernel("--settle-ms=200")
    folder = temporary_folder()
    play_all(daemon, folder)
    play_late(daemon, folder)
    assert daemon.stop() == 0, daemon.log()


run(main)
