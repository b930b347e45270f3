# SPDX-License-Identifier: Apache-2.0
"""JavaScript's functions have names where Node says what it compiled: in a perf map, or in a jitdump; Java's a moment
after its machine was asked for a perf map, where it keeps frame pointers."""

import glob
import os
import re
import shutil
import subprocess
import tempfile
import time

from daemon import daemon_with_kernel, export, request, run, skip, wait_for
from ledgers import measured_spans
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
JAVA = """
public class Page {
  static double renderPage() {
    double total = 0;
    for (long end = System.nanoTime() + 100000000; System.nanoTime() < end;)
      for (int i = 0; i < 1000; i++) total += i * total;
    return total;
  }
  static double handleReport() { return renderPage(); }
  public static void main(String[] words) throws Exception {
    System.out.println("\\"started\\"");
    byte[] piece = new byte[256];
    while (System.in.read(piece) > 0) {
      long start = System.currentTimeMillis() * 1000000;
      handleReport();
      System.out.println("{\\"start\\": " + start + ", \\"end\\": " + System.currentTimeMillis() * 1000000
        + ", \\"pid\\": " + ProcessHandle.current().pid() + "}");
    }
  }
}
"""
# only compiled code has names
JAVA_FLAGS = ("-XX:+PreserveFramePointer -XX:TieredStopAtLevel=1 -Xcomp -XX:CompileCommand=quiet "
              "'-XX:CompileCommand=compileonly,Page::*'")
MODES = {"perf map": "--perf-basic-prof", "jitdump": "--perf-prof"}
PUBLISH_ID = os.getpid()  # nobody else on the machine is to publish the same
IDS = PUBLISH_ID.to_bytes(16, "little"), bytes([1] + 7 * [0])  # those of publish.c


def functions_of(stack):
    """JavaScript's among them: JS:*renderPage file:line:column."""
    return [name.split(":")[1].strip("~*^+").split(" ")[0] for name in stack if name.startswith("JS:")]


def methods_of(stack):
    """Java's among them: double Page.renderPage()."""
    return [re.split(r"\.|::", name.split("(")[0])[-1] for name in stack if "Page" in name]


def check(folder, mode, command, wanted, names_of, ready=lambda subject: None):
    daemon = daemon_with_kernel("--settle-ms=300")
    command = f"cd {folder} && LD_PRELOAD={folder}/publish.so exec {command}"
    with daemon.channel() as channel, Subject("sh", "-c", command) as subject:
        wait_for(lambda: daemon.status()["probe"]["stacks"]["processes"], "the tables")
        for _ in range(10):  # the compiler has seen it, and we where its code lies
            subject.ask("go")
        ready(subject)
        facts = [subject.ask("go") for _ in range(10)]
        export(channel, request([(*IDS, b"", "page", facts[0]["start"], facts[-1]["end"])], service="page"))

        def find():
            return [entry["stack"] for entry in measured_spans(daemon, IDS[0].hex())["page"]["code"]
                    if in_order(wanted, names_of(entry["stack"]))]

        stack = wait_for(find, "the span's code")[0]
        print(mode, " < ".join(stack))
        assert stack[-1] in ("_start", "__clone3", "clone3", "start_thread"), (mode, stack)
    assert daemon.stop() == 0, daemon.log()


def name_java(subject):
    """What was seen before is asked for again once some seconds have passed."""
    subprocess.run(["jcmd", str(subject.pid), "Compiler.perfmap"], check=True, capture_output=True)
    end = time.monotonic() + 15
    while time.monotonic() < end:
        subject.ask("go")


def check_java(folder):
    if not all(map(shutil.which, ("java", "javac", "jcmd"))):
        print("left out, for there is no Java with its tools")
        return
    subprocess.run(["javac", "-d", folder, os.path.join(folder, "Page.java")], check=True)
    check(folder, "java", f"java {JAVA_FLAGS} -cp {folder} Page", ["renderPage", "main"], methods_of, name_java)


def main():
    node, compiler = shutil.which("node"), shutil.which("cc")
    if os.geteuid() != 0:
        skip("needs root for eBPF")
    if not compiler:
        skip("no C compiler here")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([compiler, "-shared", "-fPIC", f"-DPUBLISH_ID={PUBLISH_ID}",
                        "-o", os.path.join(folder, "publish.so"), PUBLISH], check=True)
        for name, text in ("page.js", PROGRAM), ("Page.java", JAVA):
            with open(os.path.join(folder, name), "w") as program:
                program.write(text)
        before = set(glob.glob("/tmp/perf-*.map"))
        for mode, flag in MODES.items() if node else ():
            check(folder, mode, f"{node} {flag} --interpreted-frames-native-stack page.js", ["renderPage", "handleReport"],
                  functions_of)
        check_java(folder)
        for path in set(glob.glob("/tmp/perf-*.map")) - before:
            os.unlink(path)


run(main)
