#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A published writer that is not ours: Python's ddtrace. Installs it into a temporary folder, runs a
# program with spans on two threads, and checks that discovery finds the variable and that the spans
# read from outside are those the program says it is in.
#
#   tests/interop/ddtrace.sh [BUILD_DIR]      default: build/dev; needs root and a package index
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
discover=${1:-$root/build/dev}/tests/context/context_discover
[ -x "$discover" ] || { echo "build the target context_discover first: $discover is missing" >&2; exit 2; }
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || :; rm -rf "$work"' EXIT INT TERM

echo "installing ddtrace into $work"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install 'ddtrace>=4.16'
cat > "$work/program.py" <<'PYTHON'
import sys
import threading
from ddtrace.trace import tracer
import ddtrace

print("ddtrace", ddtrace.__version__, flush=True)
lock = threading.Lock()
stay = threading.Event()
entered = threading.Barrier(3)


def work(name):
    with tracer.trace(name) as span:
        with lock:
            print("span", threading.get_native_id(), f"{span.trace_id:032x}", f"{span.span_id:016x}", flush=True)
        entered.wait()
        stay.wait()


threads = [threading.Thread(target=work, args=(name,), daemon=True) for name in ("one", "two")]
for thread in threads:
    thread.start()
entered.wait()
print("ready", flush=True)
sys.stdin.read()
PYTHON
mkfifo "$work/input"
DD_TRACE_OTEL_CTX_ENABLED=true DD_TRACE_ENABLED=true DD_SERVICE=interop \
	DD_INSTRUMENTATION_TELEMETRY_ENABLED=false DD_REMOTE_CONFIGURATION_ENABLED=false \
	DD_TRACE_STARTUP_LOGS=false DD_TRACE_AGENT_URL=http://127.0.0.1:1 \
	timeout 120 "$work/venv/bin/python" "$work/program.py" <"$work/input" >"$work/said" 2>"$work/errors" &
pid=$!
exec 3>"$work/input"
for _ in $(seq 600); do
	grep -q '^ready' "$work/said" && break
	kill -0 "$pid" 2>/dev/null || { cat "$work/errors" >&2; exit 1; }
	sleep 0.1
done
python=$(pgrep -P "$pid" || echo "$pid") # timeout runs it as its child
"$discover" "$python" 20 >"$work/found" || { cat "$work/found"; echo "no context was found" >&2; exit 1; }
cat "$work/said" "$work/found"
exec 3>&-
sed -n 's/^span //p' "$work/said" | while read -r tid trace span; do
	grep -q "^thread $tid $trace $span\$" "$work/found" || { echo "thread $tid: $trace $span was not found" >&2; exit 1; }
done
echo "every span was found in its thread"
