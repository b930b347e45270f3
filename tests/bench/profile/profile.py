# SPDX-License-Identifier: Apache-2.0
"""How fast large profiles are read, and in how much memory, beside flamegraph.pl and go tool pprof.

profile.py [--collapsed-mib 1024] [--pprof-mib 100] [--folder DIR]: prints one line for each. The other tools
are run when they are there (libdevel-nytprof-perl, golang-go). `distinct` is the size of the distinct stacks
as text; the peak is to stay below twice that.
"""

import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import time

FLAMEGRAPH = "/usr/share/perl5/Devel/NYTProf/flamegraph.pl"
FUNCTIONS = 4000


def call_graph(seed=1):
    rng = random.Random(seed)
    names = [f"pkg{rng.randrange(60)}.(*Type{rng.randrange(40)}).Method{i}" for i in range(FUNCTIONS)]
    return rng, names, [[rng.randrange(FUNCTIONS) for _ in range(4)] for _ in names]


def stacks(rng, callees):
    while True:
        function, stack = rng.randrange(200), []
        for _ in range(rng.randrange(8, 40)):
            stack.append(function)
            function = callees[function][min(3, int(rng.expovariate(1.8)))]
        yield stack


def write_collapsed(path, mib):
    rng, names, callees = call_graph()
    distinct, seen = 0, set()
    with open(path, "w", buffering=1 << 20) as file:
        size = 0
        for stack in stacks(rng, callees):
            text = ";".join([names[i] for i in stack])
            key = hash(text)
            if key not in seen:
                seen.add(key)
                distinct += len(text)
            size += file.write(f"{text} {rng.randrange(1, 50)}\n")
            if size >= mib << 20:
                return distinct


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def write_pprof(path, mib):
    rng, names, callees = call_graph(2)
    ids = [varint(i + 1) for i in range(FUNCTIONS)]
    strings = ["", "samples", "count", "cpu", "nanoseconds"] + names
    distinct, seen = 0, set()
    with open(path, "wb", buffering=1 << 20) as file:
        size = file.write(field(1, field(1, 1) + field(2, 2)) + field(1, field(1, 3) + field(2, 4)))
        for stack in stacks(rng, callees):
            packed = b"".join([ids[i] for i in reversed(stack)])
            if packed not in seen:
                seen.add(packed)
                distinct += sum(len(names[i]) + 1 for i in stack)
            size += file.write(field(2, field(1, packed) + field(2, varint(1) + varint(10000000))))
            if size >= mib << 20:
                break
        for i in range(FUNCTIONS):
            file.write(field(4, field(1, i + 1) + field(3, 4096 + i) + field(4, field(1, i + 1))))
            file.write(field(5, field(1, i + 1) + field(2, i + 5) + field(3, i + 5)))
        for text in strings:
            file.write(field(6, text.encode()))
        file.write(field(11, field(1, 3) + field(2, 4)) + field(12, 10000000))
    return distinct


def measure(command):
    """Seconds and peak MiB of a child, by wait4; its output is thrown away."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, command
    cpu = usage.ru_utime + usage.ru_stime
    return time.perf_counter() - start, cpu, usage.ru_maxrss / 1024


def compare(what, path, distinct, other):
    ours = measure([os.environ["SPANWISE"], "diagnose", path])
    print(f"{what}: {os.path.getsize(path) >> 20} MiB, distinct stacks {distinct / (1 << 20):.0f} MiB")
    print(f"  spanwise diagnose  {ours[0]:6.2f} s  {ours[1]:6.2f} s CPU  peak {ours[2]:5.0f} MiB"
          f" = {ours[2] / (distinct / (1 << 20)):.2f} x distinct", flush=True)
    if other:
        theirs = measure(other)
        print(f"  {os.path.basename(other[0]) + ' ' + other[1]:18.18s} {theirs[0]:6.2f} s  {theirs[1]:6.2f} s CPU"
              f"  peak {theirs[2]:5.0f} MiB: {theirs[0] / ours[0]:.1f} times as long", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--collapsed-mib", type=int, default=1024)
    parser.add_argument("--pprof-mib", type=int, default=100)
    parser.add_argument("--folder", default="/tmp")
    arguments = parser.parse_args()
    os.environ.setdefault("SPANWISE", os.path.join(os.path.dirname(__file__), "../../../build/release/spanwise"))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    path = os.path.join(arguments.folder, f"spanwise-bench-{os.getpid()}")
    try:
        if arguments.pprof_mib:
            go = ["go", "tool", "pprof", "-top", path] if shutil.which("go") else None
            compare("pprof", path, write_pprof(path, arguments.pprof_mib), go)
        if arguments.collapsed_mib:
            perl = ["perl", FLAMEGRAPH, path] if os.path.exists(FLAMEGRAPH) else None
            compare("collapsed", path, write_collapsed(path, arguments.collapsed_mib), perl)
    finally:
        if os.path.exists(path):
            os.unlink(path)


sys.exit(main())
