# SPDX-License-Identifier: Apache-2.0
"""An alert from the first slow span to the last message: it fires, survives kill -9, is told to a webhook that is down
at first and to a real Alertmanager that loses its memory, and ends. Wall time needs no eBPF."""

import atexit
import hashlib
import hmac
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

from cli import spanwise
from daemon import Daemon, export, request, run, temporary_folder, wait_for

SECRET = "a secret"
RULES = """
[alert slow]
service = flow
operation = GET /slow
kind = server
window = 10m
min_count = 5
when = wall_p99 > 1s
for = 0s
keep = 0s
label.severity = page
annotation.runbook = https://wiki.example/slow

[alert silent]
service = flow
operation = GET /never
when = wall_p99 > 1s
"""


class Webhook:
    """Takes messages; answers `status` until told otherwise."""

    def __init__(self):
        self.status, self.taken, self.refused = 503, [], []
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                stamp = self.headers["X-Spanwise-Timestamp"]
                wanted = hmac.new(SECRET.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
                assert self.headers["X-Spanwise-Signature"] == "sha256=" + wanted
                message = json.loads(body)
                assert self.headers["Idempotency-Key"] == message["id"]
                (webhook.taken if webhook.status < 300 else webhook.refused).append(message)
                self.send_response(webhook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Alertmanager:
    """The real one; `restart` makes it forget everything."""

    def __init__(self):
        self.binary = shutil.which("prometheus-alertmanager")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        atexit.register(self.stop)
        self.restart()

    def restart(self):
        self.stop()
        path = os.path.join(temporary_folder(), "am.yml")
        with open(path, "w") as file:
            file.write("route: {receiver: none}\nreceivers: [{name: none}]\n")
        self.process = subprocess.Popen(
            [self.binary, "--config.file=" + path, "--storage.path=" + temporary_folder(),
             f"--web.listen-address=127.0.0.1:{self.port}", "--cluster.listen-address="],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: self.alerts() is not None, "Alertmanager to answer")

    def alerts(self):
        try:
            with urllib.request.urlopen(self.url + "/api/v2/alerts", timeout=5) as answer:
                return json.loads(answer.read())
        except OSError:
            return None

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def send(daemon, first, count, wall_ns):
    now = time.time_ns()
    spans = [((first + i).to_bytes(16, "big"), (first + i).to_bytes(8, "big"), b"", "GET /slow", now - wall_ns, now)
             for i in range(count)]
    with daemon.channel() as channel:
        export(channel, request(spans))


def alerts(daemon, query=""):
    status, answer = daemon.get("/api/v1/alerts" + query)
    assert status == 200, answer
    return answer


def firing(daemon):
    return next((alert for alert in alerts(daemon)["alerts"] if alert["status"] == "firing"), None)


def since(daemon, rule):
    """When it came into its state."""
    return next(alert["since_unix_ns"] for alert in alerts(daemon, "?state=all")["alerts"] if alert["rule"] == rule)


def check_alertmanager(manager, started):
    """One alert, told from others by its labels; sent again with a later end."""
    def only():
        found = manager.alerts()
        return found[0] if found and len(found) == 1 else None

    alert = wait_for(only, "Alertmanager to know the alert")
    assert alert["labels"] == {"alertname": "slow", "service": "flow", "operation": "GET /slow", "kind": "server",
                               "severity": "page"}, alert
    assert alert["annotations"]["runbook"] == "https://wiki.example/slow"
    assert "wall_p99 2 s > 1 s" in alert["annotations"]["condition"], alert
    later = wait_for(lambda: (only() or alert)["endsAt"] > alert["endsAt"] and only(), "it to be sent again")
    assert later["fingerprint"] == alert["fingerprint"] and later["startsAt"] == alert["startsAt"]
    manager.restart()
    again = wait_for(only, "a forgetful Alertmanager to be told again")
    assert again["fingerprint"] == alert["fingerprint"] and again["startsAt"] == alert["startsAt"]
    assert again["startsAt"][:19] == time.strftime("%FT%T", time.gmtime(int(started) // 10**9))


def check_cli(daemon):
    status, shown, said = spanwise("alerts", api=daemon.api)
    assert status == 0 and not said and "slow" in shown and "firing" in shown, (status, shown, said)
    assert "1 no_data" in shown, shown
    status, shown, said = spanwise("alerts", "--json", "--state=all", api=daemon.api)
    assert {(a["rule"], a["state"]) for a in json.loads(shown)["alerts"]} == {("slow", "firing"),
                                                                            ("silent", "no_data")}


def check_test(daemon, rules):
    """The same rule over what is stored, to the end of the minute that runs: it would have fired."""
    to = f"&to={time.time_ns() + 60 * 10**9}"
    status, answer = daemon.get("/api/v1/alerts/test?rule=slow&from=-10m" + to)
    assert status == 200 and not answer["truncated"], answer
    assert [(step["service"], step["operation"], step["state"]) for step in answer["steps"]] == [
        ("flow", "GET /slow", "firing")], answer
    answer = daemon.get("/api/v1/alerts/test?rule=slow&min_count=21&from=-10m" + to)[1]
    assert [step["state"] for step in answer["steps"]] == ["no_data"], answer
    status, shown, said = spanwise("alerts", "test", "slow", "--config", rules, "--from=-10m", "--to", to[4:],
                                   api=daemon.api)
    assert status == 0 and not said and "would have fired 1 times" in shown, (status, shown, said)
    status, shown, said = spanwise("alerts", "test", "fast", "--config", rules, api=daemon.api)
    assert status == 2 and "has no alert fast" in said, said
    assert daemon.get("/api/v1/alerts/test?rule=none")[0] == 404
    status, answer = daemon.get("/api/v1/alerts/test?when=nonsense")
    assert status == 400 and "must be ratio" in answer["error"]["message"], answer


def main():
    folder = temporary_folder()
    config, secret = os.path.join(folder, "spanwise.conf"), os.path.join(folder, "secret")
    webhook, manager = Webhook(), None
    if shutil.which("prometheus-alertmanager"):
        manager = Alertmanager()
    else:
        print("no prometheus-alertmanager here: only the webhook is tested")
    with open(secret, "w") as file:
        file.write(SECRET + "\n")
    with open(config, "w") as file:
        file.write(f"probe = off\nsettle_ms = 100\nalert_interval_s = 1\nalert_resend_s = 1\nalert_defaults = off\n"
                   f"webhook = {webhook.url}\nwebhook_secret_file = {secret}\n"
                   f"alertmanager = {manager.url if manager else ''}\n{RULES}")
    data = os.path.join(temporary_folder(), "data")
    daemon = Daemon("--config=" + config, data=data)
    wait_for(lambda: alerts(daemon)["counts"]["no_data"] == 2, "both rules to be without data")
    send(daemon, 1, 20, 2 * 10**9)
    alert = wait_for(lambda: firing(daemon), "the alert to fire")
    assert alert["rule"] == "slow" and alert["spans"] == 20 and alert["covered"] == 0, alert
    check_cli(daemon)
    check_test(daemon, config)
    # Down at first: the message is kept over a crash, and comes with the same id.
    wait_for(lambda: webhook.refused, "a first attempt")
    silent_since = since(daemon, "silent")
    daemon.kill()
    daemon = Daemon("--config=" + config, data=data)
    after = wait_for(lambda: firing(daemon), "the alert to be known after a crash")
    for told in "id", "started_unix_ns", "condition", "spans", "annotations":
        assert after[told] == alert[told], (told, alert, after)
    assert since(daemon, "silent") == silent_since, "a restart begins no time anew"
    webhook.status = 200
    wait_for(lambda: webhook.taken, "the message to arrive")
    assert {message["id"] for message in webhook.refused + webhook.taken} == {alert["id"]}
    assert webhook.taken[0]["status"] == "firing" and webhook.taken[0]["ended_unix_ns"] is None
    if manager:
        check_alertmanager(manager, alert["started_unix_ns"])
    send(daemon, 1000, 4000, 10**6)
    wait_for(lambda: len(webhook.taken) > 1, "the end to be told")
    over = webhook.taken[-1]
    assert over["status"] == "resolved" and over["id"] != alert["id"], over
    assert over["started_unix_ns"] == alert["started_unix_ns"] < over["ended_unix_ns"], over
    if manager:
        wait_for(lambda: manager.alerts() == [], "Alertmanager to know that it is over")
        manager.stop()
    assert not firing(daemon)
    assert daemon.stop() == 0, daemon.log()
    assert len(webhook.taken) == 2, webhook.taken


run(main)
