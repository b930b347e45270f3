# SPDX-License-Identifier: Apache-2.0
"""Spans and ledgers of a real service, as a recording: the demo (Flask, the official SDK, PostgreSQL) under
load, watched by `spanwise record` with its defaults. Root.

    capture.py FILE [--seconds 60] [--at-a-time 6]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 60


def wait_for_line(log, word, process):
    """The key=value pairs of the line that begins with `word`."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            if line.startswith(word):
                return dict(pair.split("=", 1) for pair in line.split()[1:] if "=" in pair)
        time.sleep(0.05)
    raise SystemExit(f"{log}: no line {word!r}:\n{log.read_text()}")


def start(command, log, **environment):
    with open(log, "wb") as out:
        return subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **environment})


def stop(process):
    process.terminate()
    if process.wait(PATIENCE_S):
        raise SystemExit(f"{process.args[0]} ended with {process.returncode}")


def capture(arguments, folder):
    address = "127.0.0.1:0"
    record = start([arguments.build / "spanwise", "record", arguments.file, "--grpc", address, "--http", address,
                    "--api", address, "--data", folder / "data"], folder / "record.log")
    grpc = wait_for_line(folder / "record.log", "ready", record)["grpc"]
    app = start([sys.executable, ROOT / "deploy/demo/app.py"], folder / "app.log",
                OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{grpc}", ARCHIVE_DIR=str(folder))
    port = wait_for_line(folder / "app.log", "ready", app)["port"]
    subprocess.run([sys.executable, ROOT / "deploy/demo/load.py", f"http://127.0.0.1:{port}", "--requests", "1000000",
                    "--seconds", str(arguments.seconds), "--at-a-time", str(arguments.at_a_time)],
                   check=True, stdout=subprocess.DEVNULL)
    stop(app)
    stop(record)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "release")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--at-a-time", type=int, default=6)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spanwise-capture.") as name:
        folder = Path(name)
        folder.chmod(0o711)
        postgres = ROOT / "deploy/demo/private_postgres"
        url = subprocess.run([postgres, "start", folder], check=True, stdout=subprocess.PIPE, text=True).stdout
        os.environ["DATABASE_URL"] = url.strip()
        try:
            capture(arguments, folder)
        finally:
            subprocess.run([postgres, "stop", folder], check=True)


if __name__ == "__main__":
    main()
