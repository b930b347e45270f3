# SPDX-License-Identifier: Apache-2.0
"""Go's functions stand in the stacks by name down to the goroutine's first one, also in programs that are stripped,
position independent, and linked by another linker."""

import os
import shutil
import subprocess
import tempfile

from daemon import Daemon, run, skip, wait_for
from ledgers import settled_spans
from service import Subject, wait_until_published
from stacks import ask_for_span, in_order

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "forms", "chain_go")
STRIPPED = "-ldflags=-s -w"
FORMS = {
    "plain": [],
    "stripped": [STRIPPED],
    "stripped_pie": [STRIPPED, "-buildmode=pie"],
    "stripped_cgo": [STRIPPED, "-tags=cgo"],
    "stripped_cgo_pie": [STRIPPED, "-tags=cgo", "-buildmode=pie"],
}
WAIT = ["main.waitForRow", "main.queryRows"]
ENDS = ["main.handleReport", "main.makeSpan.func1", "main.makeSpan", "main.main", "runtime.main"]
WORDS = {
    "sleep": WAIT + ENDS,
    "method": WAIT + ["main.(*report).make"] + ENDS,
    "sort": WAIT + ["main.handleReport.func1"] + ENDS,
}


def build(go, folder, name, flags):
    path = os.path.join(folder, name)
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOWORK": "off", "GOPROXY": "off", "GOTOOLCHAIN": "local",
                   "GOCACHE": os.environ.get("GOCACHE", os.path.join(folder, "cache")),
                   "CGO_ENABLED": str(int("cgo" in name))}
    subprocess.run([go, "build", *flags, "-o", path, "."], cwd=SOURCE, env=environment, check=True)
    return path


def stacks_of(daemon, channel, subject, word, of):
    """Until no name is missing."""
    facts = ask_for_span(channel, subject, word, "go")

    def look():
        entries = settled_spans(daemon, facts["trace"])[word][of]
        return None if any("names lost" in entry.get("no_stack", "") for entry in entries) else entries

    return wait_for(look, f"the stacks of {word}")


def check(daemon, channel, path):
    name = os.path.basename(path)
    with Subject(path) as subject:
        wait_until_published(daemon, subject.pid)

        def is_walked():
            waits = stacks_of(daemon, channel, subject, "sleep", "waits")
            stack = max(waits, key=lambda wait: wait["ns"])["stack"]
            return stack and not stack[-1].startswith("[truncated")

        wait_for(is_walked, f"the tables of {name}")
        for word, wanted in WORDS.items():
            stack = max(stacks_of(daemon, channel, subject, word, "waits"), key=lambda wait: wait["ns"])["stack"]
            print(name, word, " < ".join(stack))
            assert in_order(wanted, stack), (name, word, stack)
            assert stack[-1].startswith("runtime.goexit"), (name, word, stack)
        code = stacks_of(daemon, channel, subject, "spin", "code")
        inside = sum(entry["ns"] for entry in code if in_order(["main.renderPage", *ENDS], entry["stack"]))
        print(name, f"spin: {inside} of {sum(entry['ns'] for entry in code)} ns in main.renderPage")
        assert inside > 0, (name, code)


def main():
    go = shutil.which("go", path=os.environ["PATH"] + ":/usr/local/go/bin")
    if os.geteuid() != 0:
        skip("needs root for eBPF")
    if not go:
        skip("no Go here")
    daemon = Daemon("--settle-ms=300")
    kernel = daemon.status()["kernel"]
    if not kernel["available"] or "raw_tp" in kernel["features"]:
        skip("no eBPF here that walks by tables: " + str(kernel["error"]))
    with tempfile.TemporaryDirectory() as folder, daemon.channel() as channel:
        for name, flags in FORMS.items():
            check(daemon, channel, build(go, folder, name, flags))
    assert daemon.stop() == 0, daemon.log()


run(main)
