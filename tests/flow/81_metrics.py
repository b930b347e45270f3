# SPDX-License-Identifier: Apache-2.0
"""/metrics in both formats: what promtool accepts, what the rules and the dashboard ask for, bounded however many
operations come."""

import glob
import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

try:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_parser
except ImportError:
    from daemon import skip
    skip("build/venv has no prometheus-client: run tests/run once")

from daemon import PATIENCE_S, Daemon, export, one_span, request, run, wait_for

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SAMPLE = re.compile(r'^[a-z_]+(\{([a-z_]+="(\\.|[^"\\])*",?)*\})? [0-9.e+-]+'
                    r'( # \{trace_id="[0-9a-f]{32}"\} [0-9.e+-]+ [0-9.]+)?$')


def scrape(daemon, accept):
    asked = urllib.request.Request(f"http://{daemon.api}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def check_open(daemon):
    kind, text = scrape(daemon, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8", kind
    for older in "text/plain;q=0.9, application/openmetrics-text;q=0.1", "application/openmetrics-text;q=0, */*":
        assert scrape(daemon, older)[0].startswith("text/plain; version=0.0.4"), older
    lines = text.splitlines()
    assert text.endswith("# EOF\n") and lines.count("# EOF") == 1
    families, family = {}, None
    for line in lines[:-1]:
        if line.startswith("# TYPE "):
            family, kind = line.split()[2:]
            assert family not in families, f"{family} stands in two places"
            families[family] = kind
        elif not line.startswith("#"):
            name = re.match("[a-z_]+", line)[0]
            wanted = family + ("_total" if families[family] == "counter" else "")
            assert SAMPLE.match(line) and name == wanted, line
    assert families["spanwise_span_wall_seconds"] == "counter"


def check_parsed(daemon):
    """By Prometheus' own reader of OpenMetrics, which is strict."""
    families = {family.name: family for family in openmetrics_parser(scrape(daemon, "application/openmetrics-text")[1])}
    assert all(len({(sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples}) == len(family.samples)
               for family in families.values()), "a series stands there twice"
    for name in "wall", "cpu", "runnable":
        assert f"spanwise_span_{name}_seconds" in families, sorted(families)
    limits = {sample.labels["limit"] for sample in families["spanwise_correlator_limits"].samples}
    assert limits == set(daemon.status()["correlator"]["limits"]), limits


def check_old(daemon):
    kind, text = scrape(daemon, "text/plain")
    assert kind == "text/plain; version=0.0.4; charset=utf-8" and "# EOF" not in text, kind
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0 and not done.stderr, done.stderr
    return text


def check_bound(text):
    """Three have series of their own; what the others spent is not lost."""
    settled = [line for line in text.splitlines() if line.startswith("spanwise_spans_settled_total")]
    assert len(settled) == 2 * 4, settled
    assert sum(float(line.rsplit(" ", 1)[1]) for line in settled) == 40, settled
    assert 'operation="(other)",kind="(other)",covered="false"} 37' in text
    assert r'operation="a \"quoted\" \\ name\n0"' in text, settled


def check_deploy(text):
    """Nothing is asked for that nobody counts."""
    known = set(re.findall("^# TYPE ([a-z_]+)", text, re.M))
    rules = (DEPLOY / "prometheus/spanwise.rules.yml").read_text()
    board = (DEPLOY / "grafana/spanwise.json").read_text()
    for name, where in (("rules", rules), ("dashboard", board)):
        asked = set(re.findall(r"\bspanwise_[a-z_]+\b", where))
        assert asked and asked <= known, (name, asked - known)
    panels = json.loads(board)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 8
    if shutil.which("promtool"):
        for path in glob.glob(str(DEPLOY / "prometheus/*.test.yml")):
            done = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True, timeout=PATIENCE_S)
            assert done.returncode == 0, done.stdout + done.stderr


def main():
    daemon = Daemon("--probe=off", "--settle-ms=100", "--metrics-operations=3")
    names = [f'a "quoted" \\ name\n{number}' for number in range(40)]
    with daemon.channel() as channel:
        for number, name in enumerate(names):
            export(channel, request([one_span(number + 1, name)]))
    wait_for(lambda: daemon.metric("spanwise_spans_settled_total") == 40, "all spans to be settled")
    check_open(daemon)
    check_parsed(daemon)
    text = check_old(daemon)
    check_bound(text)
    check_deploy(text)
    if not shutil.which("promtool"):
        print("no promtool here: names and format were checked by this test alone")
    assert daemon.stop() == 0, daemon.log()


run(main)
