#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every .c and .h file is as clang-format 14 and .clang-format would have it. Run from the root.
command -v clang-format-14 >/dev/null || {
	echo "clang-format-14 is missing: apt-get install clang-format-14, or use tests/run" >&2
	exit 1
}
find . -path ./build -prune -o -path './build-*' -prune -o -path ./.git -prune -o \
	-type f \( -name '*.c' -o -name '*.h' \) -print0 |
	xargs -0 clang-format-14 --dry-run -Werror
