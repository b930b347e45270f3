# SPDX-License-Identifier: Apache-2.0
"""Profiles of real programs with a fault put in on purpose: spanwise says what was written down before."""

import json
import os
import subprocess

from daemon import BINARY, PATIENCE_S, run

CASES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cases")


def ask(command):
    done = subprocess.run([BINARY, *command, "--json"], cwd=CASES, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, (command, done.stderr)
    return json.loads(done.stdout)


def verdict_of(said):
    return next((finding for finding in said["findings"] if finding["role"] == "verdict"), None)


def wrong(case, said):
    """Why the answer is not the expected one; None: it is."""
    is_diff = case["command"][0] == "diff"
    verdict = verdict_of(said) if is_diff else said["verdict"]
    rule = verdict and verdict["rule"]
    side = said[case["side"]] if "side" in case else said
    frame = verdict_of(side)["frame"] if "frame" in case or "frame_has" in case else None
    if rule not in case["rule"]:
        return f"rule {rule}, not {case['rule']}: {verdict}"
    if "frame" in case and frame not in case["frame"]:
        return f"frame {frame}, not {case['frame']}: {verdict}"
    if rule == "heap-holder":  # "who -> what": the frame is what was allocated
        frame = verdict["text"]
    if "frame_has" in case and not any(part in str(frame) for part in case["frame_has"]):
        return f"frame {frame} has none of {case['frame_has']}: {verdict}"
    if "caller" in case and said["functions"][0]["caller"] != case["caller"]:
        return f"caller {said['functions'][0]['caller']}"
    if "suspect" in case and not {said["functions"][0][key] for key in ("function", "caller")} & set(case["suspect"]):
        return f"suspect {said['functions'][0]}"
    first = said["functions"][0] if "suspect_has" in case else {}
    if first and not any(part in f"{first['caller']} {first['function']}" for part in case["suspect_has"]):
        return f"suspect {first} has none of {case['suspect_has']}"
    missing = set(case.get("also", [])) - {finding["rule"] for finding in said.get("findings", [])}
    return f"not said: {missing}" if missing else None


def main():
    cases = []
    for name in ("expected.json", "held_out.json", "third.json"):
        with open(os.path.join(CASES, name), encoding="utf-8") as file:
            cases += json.load(file)
    complaints = []
    for case in cases:
        why = wrong(case, ask(case["command"]))
        if why:
            complaints.append(f"{case['name']} ({case['fault']}): {why}")
    assert len(cases) >= 88
    assert not complaints, f"{len(complaints)} of {len(cases)}:\n" + "\n".join(complaints)


run(main)
