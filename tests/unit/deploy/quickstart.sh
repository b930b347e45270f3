#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The quickstart shows what it promises, and leaves nothing behind. Root, for it loads BPF programs.
[ "$(id -u)" -eq 0 ] || {
	echo "needs root"
	exit 77
}
cd "$(dirname "$0")/../../.." || exit 1
folder=$(mktemp -d)
chmod 711 "$folder" # PostgreSQL runs as another user
trap 'rm -rf "$folder"' EXIT
TMPDIR=$folder deploy/quickstart --once >"$folder/output" 2>&1 || {
	echo "exit status $?"
	cat "$folder/output"
	exit 1
}
status=0
for promise in '160 requests answered, 0 failed' 'report-demo  *SELECT report' \
	'GET /report .* net 127.0.0.1:' 'verdict .* waiting: .* for the network .* in database.py: Database' 'Now your own service'; do
	grep -q "$promise" "$folder/output" || {
		echo "missing: $promise"
		status=1
	}
done
left=$(find "$folder" -mindepth 1 ! -name output)
[ -z "$left" ] || {
	echo "left behind: $left"
	status=1
}
[ $status -eq 0 ] || cat "$folder/output"
exit $status
