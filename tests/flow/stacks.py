# SPDX-License-Identifier: Apache-2.0
"""What scenarios about stacks share: programs that make a span at a word, and the order of frames."""

import time

from daemon import export, request, wait_for
from ledgers import measured_spans


def in_order(wanted, stack):
    rest = iter(stack)
    return all(name in rest for name in wanted)


def ask_for_span(channel, subject, word, service):
    """Lets the program make the span, and exports it; the program's own account of it."""
    facts = subject.ask(word)
    export(channel, request([(bytes.fromhex(facts["trace"]), bytes.fromhex(facts["span"]), b"", word,
                              facts["start"], facts["end"])], service=service))
    return facts


def entries_of(daemon, channel, subject, word, of):
    """The span's waits, or its code, once every stack of them has its names. None: some were lost on their way; a stack
    is told again when it is seen again."""
    facts = ask_for_span(channel, subject, word, "chain")
    deadline = time.monotonic() + 15
    while True:
        entries = measured_spans(daemon, facts["trace"])[word][of]
        is_lost = any("no stack: names" in entry.get("no_stack", "") for entry in entries)
        if not is_lost or time.monotonic() > deadline:
            return None if is_lost else entries
        time.sleep(0.05)


def whole_stack(daemon, channel, subject, word, ends=()):
    """The same of a span that is made again until there is one that reaches the thread's first function: tables of
    a program, or of a library that it has just opened, come a moment later, and a busy machine takes its time. `ends`:
    what may stand in place of that function."""

    def look():
        waits = entries_of(daemon, channel, subject, word, "waits")
        stack = max(waits, key=lambda wait: wait["ns"])["stack"] if waits else []
        return stack if stack and (not stack[-1].startswith("[truncated") or stack[-1] in ends) else None

    return wait_for(look, f"a whole stack of {word} in process {subject.pid}")


def whole_code(daemon, channel, subject, word, wanted, names=lambda stack: stack):
    """The code of a span that is made again until ticks found one stack that has these functions, in this order."""

    def look():
        code = entries_of(daemon, channel, subject, word, "code") or []
        return code if any(in_order(wanted, names(entry["stack"])) for entry in code) else None

    return wait_for(look, f"ticks in {wanted[0]} of process {subject.pid}")


def wait_until_walked(daemon, channel, subject):
    """Until the program's unwind tables are there: its first stacks are taken without."""
    whole_stack(daemon, channel, subject, "sleep")
