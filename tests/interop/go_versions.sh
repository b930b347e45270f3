#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every layout of Go's runtime that we know, against the Go that made it: fetches one toolchain of
# each through Go's module proxy and lets tests/context/go_labels.sh check programs made by them.
#
#   tests/interop/go_versions.sh [BUILD_DIR [VERSION...]]    default: build/dev; needs root, Go 1.21 or newer, the proxy
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
watch=${1:-$root/build/dev}/tests/context/context_watch
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- 1.21.13 1.22.12 1.23.12 1.24.13 1.25.7 1.26.8
[ -x "$watch" ] || { echo "build the target context_watch first: $watch is missing" >&2; exit 2; }
go=$(command -v go || echo /usr/local/go/bin/go)
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT INT TERM
for version in "$@"; do
	echo "fetching Go $version"
	made=$(GOMODCACHE="$work/modules" GOTOOLCHAIN="go$version" "$go" env GOROOT)
	"$root/tests/context/go_labels.sh" "$watch" "$root/tests/context/go" "$work/$version" "$made/bin/go"
done
echo "every version's labels were read"
