#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every shell script is clean in the eyes of shellcheck. Run from the root.
command -v shellcheck >/dev/null || {
	echo "shellcheck is missing: apt-get install shellcheck, or use tests/run" >&2
	exit 1
}
find . -path ./build -prune -o -path './build-*' -prune -o -path ./.git -prune -o -type f -print0 |
	xargs -0 grep -lE -m1 -- '^#!/bin/(ba)?sh' | xargs shellcheck -x
