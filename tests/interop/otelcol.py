# SPDX-License-Identifier: Apache-2.0
"""An OpenTelemetry Collector, built once from its Go modules into build/interop. Needs go and its module proxy.

    python tests/interop/otelcol.py        builds it and prints where it is
"""

import os
import subprocess
import sys
from pathlib import Path

BUILD = Path(__file__).resolve().parents[2] / "build" / "interop"
VERSION = "v0.158.0"
CORE, CONTRIB = "go.opentelemetry.io/collector", "github.com/open-telemetry/opentelemetry-collector-contrib"
PARTS = {
    "receivers": [f"{CORE}/receiver/otlpreceiver"],
    "processors": [f"{CORE}/processor/batchprocessor"],
    "exporters": [f"{CORE}/exporter/nopexporter", f"{CORE}/exporter/otlpexporter", f"{CORE}/exporter/otlphttpexporter"],
    "extensions": [f"{CONTRIB}/extension/storage/filestorage"],
}


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=1800, **options)
    if done.returncode:
        raise OSError(f"{' '.join(map(str, command))}: {(done.stdout + done.stderr).strip().splitlines()[-1]}")


def build():
    """The path of the binary. OSError: it cannot be built here."""
    binary = BUILD / "otelcol" / f"otelcol-{VERSION}"
    if binary.exists():
        return binary
    BUILD.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GOBIN": str(BUILD), "GOFLAGS": "-buildvcs=false", "CGO_ENABLED": "0"}
    run("go", "install", f"{CORE}/cmd/builder@{VERSION}", env=environment)
    lines = [f"dist: {{name: {binary.name}, output_path: {binary.parent}}}"]
    for kind, modules in PARTS.items():
        lines += [f"{kind}:", *(f"  - gomod: {module} {VERSION}" for module in modules)]
    (BUILD / "otelcol.yaml").write_text("\n".join(lines) + "\n")
    run(BUILD / "builder", "--config", BUILD / "otelcol.yaml", env=environment)
    return binary


if __name__ == "__main__":
    try:
        print(build())
    except OSError as error:
        sys.exit(f"no Collector: {error}")
