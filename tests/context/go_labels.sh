#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Go programs whose goroutines carry spans as pprof labels: as the linker makes them, stripped, and
# position independent. What the BPF programs read is what the goroutines say they are labelled with.
#
#   go_labels.sh WATCH SOURCE WORK_DIR [GO...]
set -eu
watch=$1 source=$2 work=$3
shift 3
[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 77; }
[ $# -gt 0 ] || set -- "$(command -v go || echo /usr/local/go/bin/go)"
[ -x "$1" ] || { echo "skipped: no Go"; exit 77; }
mkdir -p "$work"
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || :' EXIT INT TERM

# check NAME GO [FLAG...]
check() {
	name=$1 go=$2
	shift 2
	(cd "$source" && GOFLAGS=-mod=mod GOWORK=off GOPROXY=off GOTOOLCHAIN=local GOCACHE="${GO_BUILDS:-$work/cache}" \
		"$go" build "$@" -o "$work/$name" .)
	rm -f "$work/input"
	mkfifo "$work/input"
	"$work/$name" <"$work/input" >"$work/said" &
	pid=$!
	exec 3>"$work/input"
	for _ in $(seq 200); do
		grep -q '^ready' "$work/said" && break
		sleep 0.05
	done
	"$watch" "$pid" 15 3 >"$work/found" || :
	exec 3>&-
	wait "$pid"
	pid=
	sed -n 's/^span //p' "$work/said" | while read -r tid trace span; do
		grep -q "^thread $tid $trace $span\$" "$work/found" || {
			cat "$work/said" "$work/found"
			echo "$name: thread $tid: $trace $span was not found"
			exit 1
		}
	done
	echo "$name: $(sed -n 's/^process //p' "$work/found"): found all"
}

for go in "$@"; do
	"$go" version
	check plain "$go"
	check stripped "$go" '-ldflags=-s -w'
	check pie "$go" -buildmode=pie
done
