# SPDX-License-Identifier: Apache-2.0
"""Go's functions stand in the stacks by name down to the goroutine's first one, also in programs that are stripped,
position independent, and linked by another linker: also below C, which is called on the thread's own stack."""

import os
import shutil
import subprocess
import tempfile

from daemon import daemon_with_kernel, run, skip
from service import Subject, wait_until_published
from stacks import in_order, wait_until_walked, whole_code, whole_stack

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "forms", "chain_go")
STRIPPED = "-ldflags=-s -w"
FORMS = {
    "stripped": [STRIPPED],
    "stripped_pie": [STRIPPED, "-buildmode=pie"],
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
                   "GOCACHE": os.environ.get("GO_BUILDS") or os.path.join(folder, "go-cache"),
                   "CGO_ENABLED": str(int("cgo" in name))}
    subprocess.run([go, "build", *flags, "-o", path, "."], cwd=SOURCE, env=environment, check=True)
    return path


def check(daemon, channel, path):
    name = os.path.basename(path)
    with Subject(path) as subject:
        wait_until_published(daemon, subject.pid)
        wait_until_walked(daemon, channel, subject)
        for word, wanted in WORDS.items():
            stack = whole_stack(daemon, channel, subject, word)
            print(name, word, " < ".join(stack))
            assert in_order(wanted, stack), (name, word, stack)
            assert stack[-1].startswith("runtime.goexit"), (name, word, stack)
        if "cgo" in name:
            stack = whole_stack(daemon, channel, subject, "cgo")
            print(name, "cgo", " < ".join(stack))
            calls = [at for at, frame in enumerate(stack) if frame.startswith("runtime.asmcgocall")]
            assert calls and calls[0] >= 4 and in_order(["main.callC", *ENDS], stack[calls[0]:]), (name, stack)
            assert stack[-1].startswith("runtime.goexit"), (name, stack)
            check_callback(daemon, channel, subject, name)
        wanted = ["main.renderPage", *ENDS]
        code = whole_code(daemon, channel, subject, "spin", wanted)
        inside = sum(entry["ns"] for entry in code if in_order(wanted, entry["stack"]))
        print(name, f"spin: {inside} of {sum(entry['ns'] for entry in code)} ns in main.renderPage")
        assert inside > 0, (name, code)


def check_callback(daemon, channel, subject, name):
    """From Go through C, which keeps no frame pointers, back into Go."""
    stack = whole_stack(daemon, channel, subject, "callback")
    print(name, "callback", " < ".join(stack))
    assert in_order(["main.waitForRow", "main.queryRows", "crosscall2", "runtime.asmcgocall", "main.callBack", *ENDS],
                    [frame.removesuffix(".abi0") for frame in stack]), (name, stack)
    calls = [at for at, frame in enumerate(stack) if frame.startswith(("crosscall2", "runtime.asmcgocall"))]
    assert calls[1] - calls[0] >= 4, (name, stack)  # goQueryRows, and C functions of which the names are stripped
    assert stack[-1].startswith("runtime.goexit"), (name, stack)


def main():
    go = shutil.which("go", path=os.environ["PATH"] + ":/usr/local/go/bin")
    if not go:
        skip("no Go here")
    daemon = daemon_with_kernel("--settle-ms=300")
    with tempfile.TemporaryDirectory() as folder, daemon.channel() as channel:
        for name, flags in FORMS.items():
            check(daemon, channel, build(go, folder, name, flags))
    assert daemon.stop() == 0, daemon.log()


run(main)
