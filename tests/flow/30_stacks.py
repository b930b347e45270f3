# SPDX-License-Identifier: Apache-2.0
"""Programs without frame pointers wait and work at places that they know: each span names them, from the innermost
to the thread's first function, and every flame graph of it adds up to its ledger."""

import os

from daemon import daemon_with_kernel, export, request, run, skip, wait_for
from ledgers import blocked, measured_spans
from service import Subject, wait_until_published

FOLDER = os.path.join(os.environ.get("FLOW_FORMS", ""), "glibc")
WAIT = ["wait_for_row", "query_rows"]
# word -> what must stand in the stack, in this order
WORDS = {
    "sleep": WAIT + ["handle_report", "make_span", "main"],
    "sort": WAIT + ["compare_rows", "sort_rows", "handle_report", "make_span", "main"],
    "frame": WAIT + ["frame_rows", "handle_report", "make_span", "main"],
    "signal": WAIT + ["on_signal", "handle_report", "make_span", "main"],
    "thread": WAIT + ["handle_report", "make_span"],
}
FIRST = ("_start", "__clone3", "clone3", "__clone", "clone", "start_thread")


def in_order(wanted, stack):
    rest = iter(stack)
    return all(name in rest for name in wanted)


def make_span(channel, subject, word):
    facts = subject.ask(word)
    export(channel, request([(bytes.fromhex(facts["trace"]), bytes.fromhex(facts["span"]), b"", word,
                              facts["start"], facts["end"])], service="chain"))
    return facts


def named(daemon, facts, word, of):
    """The entries of the span that have a stack, once its names are there."""

    def look():
        span = measured_spans(daemon, facts["trace"])[word]
        entries = [entry for entry in span[of] if entry["stack"]]
        return span, entries if all("no stack: names" not in entry.get("no_stack", "") for entry in span[of]) else None

    wait_for(lambda: look()[1], f"the stacks of {word}")
    return look()


def flame(daemon, facts, **wishes):
    query = "&".join(f"{key}={value}" for key, value in wishes.items())
    status, text = daemon.get(f"/api/v1/flame?trace={facts['trace']}&span={facts['span']}&{query}")[:2]
    assert status == 200, (status, text)
    return text


def check_flame(daemon, facts, span):
    """Each state's weights add up to the ledger, reason by reason."""
    ledger = span["ledger"]
    for reason, ns in ledger["blocked_ns"].items():
        lines = flame(daemon, facts, state="blocked", reason=reason, format="collapsed").splitlines()
        assert sum(int(line.rsplit(" ", 1)[1]) for line in lines) == ns, (reason, ns, lines)
        assert all(line.rsplit(" ", 1)[0].endswith(f"[{reason}]") for line in lines), lines
    lines = flame(daemon, facts, state="cpu", format="collapsed").splitlines()
    assert sum(int(line.rsplit(" ", 1)[1]) for line in lines) == ledger["running_ns"], (ledger, lines)
    scope = flame(daemon, facts, format="speedscope")
    assert sum(scope["profiles"][0]["weights"]) == span["wall_ns"] == scope["profiles"][0]["endValue"], scope
    assert flame(daemon, facts, format="svg").lstrip().startswith("<"), "no SVG"


def whole_sleep(daemon, channel, subject, word):
    """A span that has a stack of its sleep down to the thread's first function: tables come a moment later."""
    facts = make_span(channel, subject, word)
    span, waits = named(daemon, facts, word, "waits")
    asleep = [wait for wait in waits if wait["reason"] == "sleep"]
    return (facts, span, asleep) if asleep[0]["stack"] and asleep[0]["stack"][-1] in FIRST else None


def check_waits(daemon, channel, subject, word):
    facts, span, asleep = wait_for(lambda: whole_sleep(daemon, channel, subject, word), f"a whole stack of {word}")
    stack = asleep[0]["stack"]
    print(subject.name, word, " < ".join(stack))
    assert in_order(WORDS[word], stack), (subject.name, word, stack)
    assert stack[-1] in FIRST, (subject.name, word, stack)
    if "static" not in subject.name:  # there the C library lies in the same file
        assert asleep[0]["where"][:2] == WAIT, asleep[0]
    assert sum(wait["ns"] for wait in span["waits"] if wait["reason"] == "sleep") == blocked(span, "sleep"), span
    check_flame(daemon, facts, span)


def check_spin(daemon, channel, subject):
    facts = make_span(channel, subject, "spin")
    span, code = named(daemon, facts, "spin", "code")
    found = sum(entry["ns"] for entry in code if in_order(["render_page", "handle_report", "main"], entry["stack"]))
    print(f"{subject.name} spin: {found} of {span['ledger']['running_ns']} ns found in render_page")
    assert found > 0, code
    assert sum(entry["ns"] for entry in span["code"]) == span["ledger"]["running_ns"], span
    check_flame(daemon, facts, span)


def start(daemon, program):
    subject = Subject(os.path.join(FOLDER, program))
    subject.name = program
    wait_until_published(daemon, subject.pid)
    return subject


def main():
    if not os.path.isdir(FOLDER):
        skip("the programs are not built: FLOW_FORMS names no folder")
    daemon = daemon_with_kernel("--settle-ms=300")
    with daemon.channel() as channel:
        subjects = [start(daemon, program) for program in ("chain_O0", "chain_O2", "chain_static_pie")]
        wait_for(lambda: daemon.status()["probe"]["stacks"]["processes"] >= len(subjects), "the tables of all")
        for subject in subjects:
            for word in WORDS:
                check_waits(daemon, channel, subject, word)
            check_spin(daemon, channel, subject)
    print("stacks:", daemon.status()["probe"]["stacks"])
    assert daemon.stop() == 0, daemon.log()


run(main)
