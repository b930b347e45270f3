# SPDX-License-Identifier: Apache-2.0
"""What a memray recording says was never freed, as collapsed stacks of bytes: memray_collapsed.py RECORDING"""

import collections
import os
import sys

from memray import FileReader


def main():
    stacks = collections.Counter()
    for record in FileReader(sys.argv[1]).get_leaked_allocation_records(merge_threads=True):
        names = [f"{name} ({os.path.basename(file)}:{line})" for name, file, line in record.stack_trace()]
        stacks[";".join(reversed(names))] += record.size
    for stack, size in sorted(stacks.items()):
        if stack:
            print(stack, size)


main()
