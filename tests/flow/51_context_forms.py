# SPDX-License-Identifier: Apache-2.0
"""Programs in every form in which a thread-local variable can live make spans: each gets its ledger, whether the
program ran before the daemon, came later, opened its library late, forked, or became another program."""

import os

from daemon import Daemon, export, request, run, skip
from ledgers import blocked, check_cpu, check_span, settled_spans
from service import Subject, wait_until_published

FORMS = os.environ.get("FLOW_FORMS", "")
SLEEP_NS = 20000000

# program -> the library it opens, if any
PROGRAMS = {
    "own_pie": "", "own_no_pie": "", "own_static": "", "own_static_pie": "", "linked_descriptor": "",
    "linked_dynamic": "", "linked_initial": "", "opener": "libdescriptor.so",
}
# glibc has no room for late static blocks of any size, and allocates others on first use.
LIBRARIES = ("libdescriptor.so", "libdescriptor_big.so", "libdynamic.so")


def start(libc, program, library=""):
    folder = os.path.join(FORMS, libc)
    if not os.path.exists(os.path.join(folder, program)):
        return None
    subject = Subject(os.path.join(folder, program))
    subject.name = " ".join(part for part in (libc, program, library) if part)
    subject.library = os.path.join(folder, library) if library else ""
    return subject


def start_all():
    cases = [(libc, program, library) for libc in ("glibc", "musl") for program, library in PROGRAMS.items()]
    cases += [(libc, "opener", library) for libc in ("glibc", "musl") for library in LIBRARIES[1:]]
    return [subject for subject in (start(*case) for case in cases) if subject]


def open_libraries(subjects):
    for subject in subjects:
        if subject.library:
            assert subject.ask("open " + subject.library) == "opened"


def tell(channel, facts, service="maker"):
    """Exports the span as its program told it."""
    span = (bytes.fromhex(facts["trace"]), bytes.fromhex(facts["span"]), b"", "made by hand",
            facts["start"], facts["end"])
    export(channel, request([span], service=service))


def check(daemon, facts, what):
    span = settled_spans(daemon, facts["trace"])["made by hand"]
    print(f"{what}: {span['ledger']['grade']} +-{span['ledger']['uncertain_ns']} ns")
    assert span["pid"] == facts["pid"], (what, facts, span)
    check_span(span)
    check_cpu(span, facts)
    assert blocked(span, "sleep") >= SLEEP_NS * 9 // 10, (what, span)


def check_words(daemon, channel, subjects, *words):
    """Each subject makes a span for each word, all at the same time."""
    for subject in subjects:
        wait_until_published(daemon, subject.pid)
    for word in words:
        for subject in subjects:
            subject.go(word)
        told = [(subject, subject.told()) for subject in subjects]
        for _, facts in told:
            tell(channel, facts)
        for subject, facts in told:
            check(daemon, facts, f"{subject.name}, {word}")


def check_newcomers(daemon, channel, subjects):
    """A resource that names no process, and was never heard of: its first answer is right already."""
    for number, subject in enumerate(subjects):
        facts = subject.ask("span")
        tell(channel, facts, f"newcomer {number}")
        check(daemon, facts, f"{subject.name}, as a newcomer")


def check_exec(daemon, channel, libc):
    subject = start(libc, "own_pie")
    if not subject:
        return
    with subject:
        wait_until_published(daemon, subject.pid, "own_pie")
        assert subject.ask("exec " + os.path.join(FORMS, libc, "linked_dynamic")) == "started"
        wait_until_published(daemon, subject.pid, "linked_dynamic")
        subject.name = f"{libc} own_pie, then linked_dynamic"
        check_words(daemon, channel, [subject], "span", "thread")


def main():
    if os.geteuid() != 0:
        skip("needs root for eBPF")
    if not os.path.isdir(FORMS):
        skip("the programs are not built: FLOW_FORMS names no folder")
    early = start_all()
    assert len(early) > 8, "glibc's are always built"
    open_libraries(early)
    daemon = Daemon("--settle-ms=300")
    if not daemon.status()["kernel"]["available"]:
        skip("no eBPF here: " + str(daemon.status()["kernel"]["error"]))
    with daemon.channel() as channel:
        check_words(daemon, channel, early, "span", "thread", "fork")
        late = start_all()
        open_libraries(late)
        check_words(daemon, channel, late, "thread", "span", "fork")
        check_newcomers(daemon, channel, late[:3])
        for libc in ("glibc", "musl"):
            check_exec(daemon, channel, libc)
    for subject in early + late:
        subject.__exit__()
    assert daemon.stop() == 0, daemon.log()


run(main)
