# SPDX-License-Identifier: Apache-2.0
"""What scenarios about stacks share: programs that make a span at a word, and the order of frames."""

from daemon import export, request, wait_for
from ledgers import settled_spans


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
    """The span's waits, or its code, once every stack of them has its names."""
    facts = ask_for_span(channel, subject, word, "chain")

    def look():
        entries = settled_spans(daemon, facts["trace"])[word][of]
        return None if any("names lost" in entry.get("no_stack", "") for entry in entries) else entries

    return wait_for(look, f"the stacks of {word}")


def longest_stack(daemon, channel, subject, word):
    """That of the longest wait."""
    return max(entries_of(daemon, channel, subject, word, "waits"), key=lambda wait: wait["ns"])["stack"]


def wait_until_walked(daemon, channel, subject):
    """Until the program's unwind tables are there: its first stacks are taken without."""

    def is_walked():
        facts = ask_for_span(channel, subject, "sleep", "chain")
        waits = settled_spans(daemon, facts["trace"])["sleep"]["waits"]
        stack = max(waits, key=lambda wait: wait["ns"])["stack"] if waits else []
        return stack and not stack[-1].startswith("[truncated")

    wait_for(is_walked, f"the tables of process {subject.pid}")
