# SPDX-License-Identifier: Apache-2.0
"""What scenarios about stacks share: programs that make a span at a word, and the order of frames."""

from daemon import export, request


def in_order(wanted, stack):
    rest = iter(stack)
    return all(name in rest for name in wanted)


def ask_for_span(channel, subject, word, service):
    """Lets the program make the span, and exports it; the program's own account of it."""
    facts = subject.ask(word)
    export(channel, request([(bytes.fromhex(facts["trace"]), bytes.fromhex(facts["span"]), b"", word,
                              facts["start"], facts["end"])], service=service))
    return facts
