# SPDX-License-Identifier: Apache-2.0
"""Programs in every form in which a thread-local variable can live make spans: each gets its ledger, whether the
program ran before the daemon, came later, opened its library late, forked, or became another program."""

import os

from daemon import daemon_with_kernel, export, request, run, skip
from ledgers import blocked, check_cpu, check_span, lost_switches, settled_spans
from service import Subject, wait_until_published

FORMS = os.environ.get("FLOW_FORMS", "")
SLEEP_NS = 20000000
TRIES = 4  # for a span of which the kernel lost a switch: rare, and rarer twice in a row

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
    """False: the kernel did not tell of all its switches, which the ledger says; nothing else may keep it from being sure."""
    span = settled_spans(daemon, facts["trace"])["made by hand"]
    ledger = span["ledger"]
    print(f"{what}: {ledger['grade']} +-{ledger['uncertain_ns']} ns")
    if ledger["grade"] == "partial" and lost_switches(daemon):
        return False
    assert span["pid"] == facts["pid"], (what, facts, span)
    check_span(span)
    check_cpu(span, facts)
    # On a busy machine the time may be over before the thread that waits for it has left its CPU.
    off_cpu = blocked(span, "sleep") + ledger["runnable_ns"]
    assert off_cpu >= SLEEP_NS * 9 // 10, (what, span)
    assert not facts["left"] or blocked(span, "sleep") > 0, (what, facts, span)
    return True


def check_or_again(daemon, channel, subject, word, facts, service="maker"):
    for _ in range(TRIES):
        if check(daemon, facts, f"{subject.name}, {word}, {service}"):
            return
        facts = subject.ask(word)
        tell(channel, facts, service)
    raise AssertionError(f"the kernel lost switches of each of {TRIES} spans of {subject.name}")


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
            check_or_again(daemon, channel, subject, word, facts)


def check_newcomers(daemon, channel, subjects):
    """A resource that names no process, and was never heard of: its first answer is right already."""
    for number, subject in enumerate(subjects):
        facts, service = subject.ask("span"), f"newcomer {number}"
        tell(channel, facts, service)
        check_or_again(daemon, channel, subject, "span", facts, service)


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
    if not os.path.isdir(FORMS):
        skip("the programs are not built: FLOW_FORMS names no folder")
    early = start_all()
    assert len(early) > 8, "glibc's are always built"
    open_libraries(early)
    daemon = daemon_with_kernel("--settle-ms=300")
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
