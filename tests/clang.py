#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""clang warns of what gcc does not, and the fuzz targets need clang: every source of the daemon and of the fuzz targets
passes it with the project's warnings. clang.py BUILD_FOLDER; prints what clang says."""
import concurrent.futures
import itertools
import json
import os
import re
import shlex
import subprocess
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDERS = re.compile(r"(collector|otlp|bpf|correlate|storage|tests/fuzz)/.*\.c$")


def check(entry):
    """The output of clang for one entry of compile_commands.json: empty where all is well."""
    flags = itertools.dropwhile(lambda word: not word.startswith("-"), shlex.split(entry["command"]))
    found = subprocess.run(["clang-14", "-fsyntax-only", *flags], cwd=entry["directory"],
                           capture_output=True, text=True, check=False)
    return found.stderr if found.returncode else ""


with open(os.path.join(sys.argv[1], "compile_commands.json"), encoding="utf-8") as file:
    entries = [entry for entry in json.load(file) if FOLDERS.match(os.path.relpath(entry["file"], SOURCE))]
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    complaints = [said for said in pool.map(check, entries) if said]
print("".join(complaints), f"{len(entries)} files, {len(complaints)} with complaints", sep="")
sys.exit(1 if complaints or not entries else 0)
