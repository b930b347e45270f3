# SPDX-License-Identifier: Apache-2.0
"""JavaScript's functions have names where Node says what it compiled: in a perf map, or in a jitdump."""

import glob
import os
import shutil
import subprocess
import tempfile

from daemon import Daemon, export, request, run, skip, wait_for
from ledgers import settled_spans
from service import Subject
from stacks import in_order

PUBLISH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench", "stacks", "publish.c")
PROGRAM = """
const fs = require('fs');
function renderPage() {
  let total = 0;
  for (const end = Date.now() + 100; Date.now() < end;) for (let i = 0; i < 1000; i++) total += i * total;
  return total;
}
function handleReport() { return renderPage(); }
console.log('"started"');
const piece = Buffer.alloc(256);
while (fs.readSync(0, piece) > 0) {
  const start = Date.now() * 1e6;
  handleReport();
  fs.writeSync(1, JSON.stringify({ start, end: Date.now() * 1e6, pid: process.pid }) + '\\n');
}
"""
MODES = {"perf map": "--perf-basic-prof", "jitdump": "--perf-prof"}
IDS = bytes([1] + 15 * [0]), bytes([1] + 7 * [0])  # those of publish.c


def functions_of(stack):
    """JavaScript's among them: JS:*renderPage file:line:column."""
    return [name.split(":")[1].strip("~*^+").split(" ")[0] for name in stack if name.startswith("JS:")]


def check(node, folder, mode, flag):
    daemon = Daemon("--settle-ms=300")
    kernel = daemon.status()["kernel"]
    if not kernel["available"]:
        skip("no eBPF here: " + str(kernel["error"]))
    command = f"cd {folder} && LD_PRELOAD={folder}/publish.so exec {node} {flag} --interpreted-frames-native-stack page.js"
    with daemon.channel() as channel, Subject("sh", "-c", command) as subject:
        wait_for(lambda: daemon.status()["probe"]["stacks"]["processes"], "the tables")
        for _ in range(10):  # the compiler has seen it, and we where its code lies
            subject.ask("go")
        facts = [subject.ask("go") for _ in range(10)]
        export(channel, request([(*IDS, b"", "page", facts[0]["start"], facts[-1]["end"])], service="node"))

        def find():
            return [entry["stack"] for entry in settled_spans(daemon, IDS[0].hex())["page"]["code"]
                    if in_order(["renderPage", "handleReport"], functions_of(entry["stack"]))]

        stack = wait_for(find, "the span's code")[0]
        print(mode, " < ".join(stack))
        assert stack[-1] == "_start", (mode, stack)
    assert daemon.stop() == 0, daemon.log()


def main():
    node, compiler = shutil.which("node"), shutil.which("cc")
    if os.geteuid() != 0:
        skip("needs root for eBPF")
    if not node or not compiler:
        skip("no Node or no C compiler here")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([compiler, "-shared", "-fPIC", "-o", os.path.join(folder, "publish.so"), PUBLISH], check=True)
        with open(os.path.join(folder, "page.js"), "w") as program:
            program.write(PROGRAM)
        before = set(glob.glob("/tmp/perf-*.map"))
        for mode, flag in MODES.items():
            check(node, folder, mode, flag)
        for path in set(glob.glob("/tmp/perf-*.map")) - before:
            os.unlink(path)


run(main)
