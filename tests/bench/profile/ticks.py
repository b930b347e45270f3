#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The cost model of `check-config --agent` against spanwise itself: what its samples of running threads cost at
99 and at 1,000 Hz, as the kernel accounts the program that takes them, and what its own processes take beside.

    tests/bench/profile/ticks.py       needs root, bpftool and build/release

The program spins 32 frames deep on every CPU. spanwise resolves names later, each address once; `bench_profile_agent`
beside it resolves them in line."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from daemon import RELEASE, ROOT, Daemon  # noqa: E402

SECONDS = 6
STATS = Path("/proc/sys/kernel/bpf_stats_enabled")
PROGRAM = r"""
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
static volatile unsigned long sink;
__attribute__((noinline)) static void spin(unsigned depth)
{
	if (depth)
		spin(depth - 1);
	else
		for (;;)
			sink++;
	sink--;
}
static void *run(void *arg)
{
	spin(32);
	return arg;
}
int main(int argc, char **argv)
{
	pthread_t id;
	for (int i = 0; i < atoi(argv[1]); i++)
		pthread_create(&id, NULL, run, NULL);
	sleep(60);
	return argc == 0;
}
"""


def ticks():
    """{id: (runs, ns)} of the programs that take samples."""
    shown = json.loads(subprocess.run(["bpftool", "prog", "show", "-j"], capture_output=True, check=True).stdout)
    return {program["id"]: (program.get("run_cnt", 0), program.get("run_time_ns", 0))
            for program in shown if program.get("name") == "tick"}


def predicted(folder, hz):
    config = os.path.join(folder, "ticks.conf")
    Path(config).write_text(f"tick_hz = {hz}\n")
    told = subprocess.run([RELEASE / "spanwise", "check-config", "--agent", config], capture_output=True, text=True).stdout
    return float(re.search(r"about ([\d.]+) %", told).group(1))


def wait_for_tables(daemon):
    deadline = time.monotonic() + 20
    while not daemon.get("/api/v1/status")["probe"]["stacks"]["processes"]:
        if time.monotonic() > deadline:
            raise SystemExit("the program's unwind tables did not come within 20 s")
        time.sleep(0.05)


def measure(folder, hz):
    others = set(ticks())
    cpus = os.cpu_count()
    with Daemon(options=("--tick-hz", str(hz))) as daemon:
        program = subprocess.Popen([os.path.join(folder, "program"), str(cpus)],
                                   env={"LD_PRELOAD": os.path.join(folder, "publish.so")})
        try:
            wait_for_tables(daemon)
            before, cpu = ticks(), daemon.cpu_ns()
            time.sleep(SECONDS)
            after, cpu = ticks(), daemon.cpu_ns() - cpu
        finally:
            program.kill()
            program.wait()
    runs, spent = max((after[mine][0] - before[mine][0], after[mine][1] - before[mine][1])
                      for mine in set(before) & set(after) - others)
    share = 100 * spent / (SECONDS * 1e9 * cpus)
    own = 100 * cpu / (SECONDS * 1e9 * cpus)
    print(f"spanwise, {hz:>5} Hz  {runs / SECONDS / cpus:>6.0f} samples/s CPU  {spent / max(runs, 1) / 1e3:>5.2f} us a sample  "
          f"measured {share:.2f} % + {own:.2f} % by its own processes  predicted {predicted(folder, hz):.2f} %")


def main():
    enabled = STATS.read_text()
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "program.c")
        Path(source).write_text(PROGRAM)
        subprocess.run(["cc", "-O1", "-fno-optimize-sibling-calls", "-pthread", "-o", os.path.join(folder, "program"), source],
                       check=True)
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", os.path.join(folder, "publish.so"),
                        ROOT / "tests/bench/stacks/publish.c"], check=True)
        STATS.write_text("1")
        try:
            for hz in (99, 1000):
                measure(folder, hz)
        finally:
            STATS.write_text(enabled)
    subprocess.run([RELEASE / "tests/bench/profile/bench_profile_agent"], check=True)


main()
