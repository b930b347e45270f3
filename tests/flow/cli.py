# SPDX-License-Identifier: Apache-2.0
"""The command line, run against a daemon of the test."""

import json
import subprocess

from daemon import BINARY, PATIENCE_S


def spanwise(command, *arguments, api=None):
    """(exit status, standard output, standard error)"""
    place = ["--api=" + api] if api else []
    done = subprocess.run([BINARY, command, *arguments, *place], capture_output=True, text=True,
                          timeout=PATIENCE_S)
    return done.returncode, done.stdout, done.stderr


def doctor(api, *words):
    """(exit status, its findings), which say the same as its words."""
    status, said, _ = spanwise("doctor", *words, api=api)
    status_json, report, _ = spanwise("doctor", "--json", *words, api=api)
    report = json.loads(report)
    assert status == status_json == (0 if report["well"] else 1), said
    if report["well"]:
        assert said.rstrip().endswith("All is well"), said
    else:
        assert said.rstrip().endswith("begin with: " + report["first_broken"]), said
        assert said.count("<- the first that is broken") == 1, said
    return status, report


def rows(report, name):
    return [row for row in report["checks"] if row["name"] == name]


def first_broken(report):
    return next(row for row in report["checks"] if row["level"] == "bad")
