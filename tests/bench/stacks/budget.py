#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How much of the time that threads were blocked has no stack for want of budget, at so many switches a second.

    tests/bench/stacks/budget.py [SWITCHES_A_SECOND_AND_CPU...]      default 1000 10000 30000; needs root, build/release
"""

import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "flow"))
os.environ.setdefault("SPANWISE", os.path.join(ROOT, "build", "release", "spanwise"))

from daemon import Daemon, export, request, wait_for  # noqa: E402
from ledgers import measured_spans  # noqa: E402

IDS = bytes([1] + 15 * [0]), bytes([1] + 7 * [0])  # those of publish.c
SECONDS = 4
# One thread for each CPU: switches that are mostly short waits, and each so often a long one.
PROGRAM = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static long turns, pause_ns;
static void *wait(void *arg)
{
	for (long turn = 0; turn < turns; turn++) {
		struct timespec moment = { 0, turn % 100 ? pause_ns : 50 * pause_ns };
		nanosleep(&moment, NULL);
	}
	return arg;
}
int main(int argc, char **argv)
{
	long rate = atol(argv[1]), threads = atol(argv[2]), seconds = atol(argv[3]);
	pthread_t ids[64];
	pause_ns = rate > 15000 ? 1 : 1000000000 / rate / 2;
	threads *= rate > 15000 ? 2 : 1;
	turns = rate * seconds / (rate > 15000 ? 2 : 1);
	for (long i = 0; i < threads; i++)
		pthread_create(&ids[i], NULL, wait, NULL);
	for (long i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	(void)argc;
	getchar();
	return 0;
}
"""


def measure(folder, rate):
    daemon = Daemon("--settle-ms=300")
    cpus = os.cpu_count()
    with daemon.channel() as channel:
        process = subprocess.Popen([os.path.join(folder, "program"), str(rate), str(cpus), str(SECONDS)],
                                   stdin=subprocess.PIPE, env={"LD_PRELOAD": os.path.join(folder, "publish.so")})
        wait_for(lambda: daemon.status()["probe"]["stacks"]["processes"], "the tables")
        start = time.time_ns()
        time.sleep(SECONDS / 2)
        end = time.time_ns()
        export(channel, request([(*IDS, b"", "waits", start, end)], service="budget"))
        span = measured_spans(daemon, IDS[0].hex())["waits"]
        process.stdin.close()
        process.wait()
    waits = span["waits"]
    blocked = sum(wait["ns"] for wait in waits)
    missing = sum(wait["ns"] for wait in waits if wait.get("no_stack") == "[no stack: budget]")
    count = sum(wait["count"] for wait in waits)
    seconds = (end - start) / 1e9
    print(f"{rate:>10} {count / seconds / cpus:>12.0f} {blocked / 1e6:>12.0f} {100 * missing / blocked:>10.3f} %"
          f"   sum of waits = blocked: {blocked == sum(span['ledger']['blocked_ns'].values())}")
    assert daemon.stop() == 0


def main():
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "program.c")
        with open(source, "w") as file:
            file.write(PROGRAM)
        subprocess.run(["cc", "-O2", "-pthread", "-o", os.path.join(folder, "program"), source], check=True)
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", os.path.join(folder, "publish.so"),
                        os.path.join(ROOT, "tests", "bench", "stacks", "publish.c")], check=True)
        print(f"{'asked':>10} {'waits/s CPU':>12} {'blocked ms':>12} {'no stack':>12}")
        for rate in map(int, sys.argv[1:] or (1000, 10000, 30000)):
            measure(folder, rate)


main()
