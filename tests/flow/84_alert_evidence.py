# SPDX-License-Identifier: Apache-2.0
"""Why an alert fires, from spans that really waited: the ratio, the wait, the verdict, and traces that can be opened."""

import os
import sys
import time
import urllib.request

from cli import spanwise
from daemon import PATIENCE_S, Daemon, run, skip, temporary_folder, wait_for
from service import Service, ids, say, trace_to, wait_for_go

RULE = """
[alert waits]
service = subject
window = 10m
min_count = 6
when = ratio < 0.30 and blocked.sleep > 50 %
for = 0s
"""
COUNT = 8


def service(endpoint):
    provider = trace_to(endpoint)
    tracer = provider.get_tracer("subject")
    say("started")
    while wait_for_go() is not None:
        for _ in range(COUNT):
            with tracer.start_as_current_span("GET /sleepy") as root:
                time.sleep(0.03)
        assert provider.force_flush()
        say(ids(root))
    provider.shutdown()


def check_evidence(daemon, alert):
    evidence, condition = alert["evidence"], {row["figure"]: row for row in alert["condition"]}
    assert alert["covered"] == alert["spans"] == COUNT, alert
    assert condition["ratio"]["value"] < 0.3 and condition["blocked.sleep"]["value"] > 0.5, condition
    assert evidence, "an alert that fires says why, from the first moment on"
    assert evidence["dominant_wait"] and evidence["dominant_wait"]["reason"] == "sleep" and evidence["dominant_share"] > 0.5, evidence
    assert evidence["dominant_wait"]["wakers"][0]["kind"] == "timer", evidence
    # On a machine at work the slowest span may have waited for a CPU longer than it slept.
    assert evidence["verdict"]["kind"] in ("waiting", "starved"), evidence
    assert [one["kind"] for one in evidence["exemplars"]] == ["slow", "low_ratio", "typical"], evidence
    assert len({one["trace_id"] for one in evidence["exemplars"]}) == 3, evidence
    for one in evidence["exemplars"]:
        with urllib.request.urlopen(one["link"], timeout=PATIENCE_S) as answer:
            assert one["span_id"] in answer.read().decode(), one
    texts = alert["annotations"]
    assert texts["blocker"] == "timer" and texts["verdict"] == evidence["verdict"]["text"], texts
    assert texts["dominant_wait"].startswith("sleep") and "syscall clock_nanosleep" in texts["dominant_wait"], texts
    shown = spanwise("alerts", api=daemon.api)[1]
    assert texts["exemplar_1"] in shown and "blocker" in shown, shown


def check_exemplars(daemon, alert):
    """Prometheus' own reader finds traces of the operation beside its counters."""
    try:
        from prometheus_client.openmetrics.parser import text_string_to_metric_families
    except ImportError:
        return print("build/venv has no prometheus-client: run tests/run once")
    asked = urllib.request.Request(f"http://{daemon.api}/metrics", headers={"Accept": "application/openmetrics-text"})
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
        families = {family.name: family for family in text_string_to_metric_families(answer.read().decode())}
    exemplars = [sample.exemplar for sample in families["spanwise_span_wall_seconds"].samples
                 if sample.exemplar and sample.labels["operation"] == alert["operation"]]
    assert exemplars, families["spanwise_span_wall_seconds"].samples
    for one in exemplars:
        assert daemon.get("/api/v1/traces/" + one.labels["trace_id"])[0] == 200, one
    blocked = {sample.labels["reason"]: sample.value for sample in families["spanwise_span_blocked_seconds"].samples
               if sample.labels["operation"] == alert["operation"]}
    # Who is held up on its way into a sleep sleeps less: its end was fixed before.
    assert blocked["sleep"] > COUNT * 0.03 * 0.9, blocked


def main():
    config = os.path.join(temporary_folder(), "spanwise.conf")
    with open(config, "w") as file:
        file.write("settle_ms = 300\nalert_interval_s = 1\n" + RULE)
    daemon = Daemon("--config=" + config)
    if os.geteuid() != 0 or not daemon.status()["kernel"]["available"]:
        skip("no eBPF here: " + str(daemon.status()["kernel"]["error"]))
    with Service(daemon) as subject:
        subject.ask("go")
        alert = wait_for(lambda: next((one for one in daemon.get("/api/v1/alerts?rule=waits")[1]["alerts"]
                                       if one["status"] == "firing" and one["spans"] == COUNT), None), "the alert")
    check_evidence(daemon, alert)
    check_exemplars(daemon, alert)
    assert daemon.stop() == 0, daemon.log()


if len(sys.argv) > 1:
    service(*sys.argv[1:])
else:
    run(main)
