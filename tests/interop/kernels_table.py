# SPDX-License-Identifier: Apache-2.0
"""What tests did on other kernels, over all runs: kernels_table.py FILE [RELEASE COMMIT LOG]

Takes what ctest -V wrote in LOG into FILE, where the last result of each test on each kernel is kept, tells why
tests failed in it, and prints all as a table. Exits with 1 if one failed in LOG.
"""

import re
import sys
from pathlib import Path

ENDED = re.compile(r"Test +#(\d+): (\S+) \.*\s*(?:\*\*\*)?(Passed|Skipped|Failed|Timeout|Exception[^ ]*|Not Run)[^\d]*([\d.]+) sec")
LAST_LINES = 30


def read_log(path):
    """By test: its last result, what it took, and how often it ran; and what each said the last time."""
    ran, said, lines = {}, {}, {}
    for line in path.read_text(errors="replace").splitlines():
        number, separator, text = line.partition(": ")
        if separator and number.isdigit():
            lines.setdefault(number, []).append(text)
        elif ended := ENDED.search(line):
            number, test, result, seconds = ended.groups()
            said[test] = lines.pop(number, [])
            ran[test] = (result, seconds, ran.get(test, ("", "", 0))[2] + 1)
    return ran, said


def cell_of(result, attempts, said):
    if result == "Skipped":
        reason = [line for line in said if line.startswith("skipped: ")]
        return reason[-1] if reason else "skipped"
    if result == "Passed":
        return "passes" if attempts == 1 else f"passes, at attempt {attempts}"
    return "FAILS" if result == "Failed" else f"FAILS ({result.lower()})"


def read_results(path):
    lines = path.read_text().splitlines() if path.exists() else []
    return {tuple(line.split("\t")[:2]): line.split("\t")[2:] for line in lines}


def print_table(results, commit):
    kernels = sorted({kernel for kernel, _ in results}, key=lambda kernel: [int(part) for part in re.findall(r"\d+", kernel)])
    print("| |", " | ".join(kernels), "|")
    print("|---" * (len(kernels) + 1) + "|")
    for test in sorted({test for _, test in results}):
        cells = []
        for kernel in kernels:
            cell, seconds, its_commit = results.get((kernel, test), ("not run", "", commit))
            time = f", {float(seconds):.0f} s" if seconds else ""
            cells.append(cell + time + (f" ({its_commit})" if its_commit != commit else ""))
        print(f"| `{test}` |", " | ".join(cells), "|")


def main(path, kernel="", commit="", log=""):
    results, failed = read_results(path), False
    ran, said = read_log(Path(log)) if log and Path(log).exists() else ({}, {})
    for test, (result, seconds, attempts) in ran.items():
        cell = cell_of(result, attempts, said[test])
        results[kernel, test] = [cell, seconds, commit]
        if cell.startswith("FAILS"):
            failed = True
            print(f"{kernel}: {test}: {cell}", *said[test][-LAST_LINES:], sep="\n    ")
    path.write_text("".join("\t".join([*key, *value]) + "\n" for key, value in sorted(results.items())))
    print_table(results, commit)
    return 1 if failed or (log and not ran) else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
