# SPDX-License-Identifier: Apache-2.0
"""A flight recording as collapsed stacks: jfr_collapsed.py RECORDING EVENT. Of ExecutionSample the samples, of events
with a duration their microseconds."""

import collections
import json
import re
import subprocess
import sys


def micros(duration):
    return round(float(re.fullmatch(r"PT([0-9.E-]+)S", duration)[1]) * 1e6)


def main():
    text = subprocess.run(["jfr", "print", "--json", "--stack-depth", "64", "--events", sys.argv[2], sys.argv[1]],
                          check=True, capture_output=True, text=True).stdout
    stacks = collections.Counter()
    for event in json.loads(text)["recording"]["events"]:
        values = event["values"]
        if not values.get("stackTrace"):
            continue
        names = [f"{frame['method']['type']['name'].replace('/', '.')}.{frame['method']['name']}"
                 for frame in reversed(values["stackTrace"]["frames"])]
        stacks[";".join(names)] += micros(values["duration"]) if "duration" in values else 1
    for stack, amount in sorted(stacks.items()):
        print(stack, amount)


main()
