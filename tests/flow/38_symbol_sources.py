# SPDX-License-Identifier: Apache-2.0
"""A stripped program has the names that lie elsewhere: in .gnu_debugdata, beside it by debug link, in /usr/lib/debug by
build id; but none of a debug file that is of another build. What nobody names is told as module+0x1234."""

import lzma
import os
import re
import shutil
import subprocess
import tempfile

from daemon import daemon_with_kernel, run, skip
from service import Subject, wait_until_published
from stacks import in_order, wait_until_walked, whole_stack

FOLDER = os.path.join(os.environ.get("FLOW_FORMS", ""), "glibc")
PROGRAM, OTHER = os.path.join(FOLDER, "chain_O2"), os.path.join(FOLDER, "chain_O0")
EXPORTED = ["wait_for_row", "query_rows", "handle_report", "main"]
STATIC = "make_span"  # its name is in .symtab alone
BY_BUILD_ID = """mount -t tmpfs none /usr/lib/debug && mkdir -p "/usr/lib/debug/.build-id/$3" &&
cp "$2" "/usr/lib/debug/.build-id/$3/$4.debug" && exec "$1" """


def objcopy(*words):
    subprocess.run(["objcopy", *words], check=True)


def build_id(path):
    notes = subprocess.run(["readelf", "-nW", path], check=True, capture_output=True, text=True).stdout
    return re.search(r"Build ID: ([0-9a-f]+)", notes).group(1)


class Form:
    """A stripped copy of the program, in a folder of its own, and the debug file that its link names."""

    def __init__(self, folder, name):
        self.folder = os.path.join(folder, name)
        os.makedirs(os.path.join(self.folder, ".debug"))
        self.path = os.path.join(self.folder, name)
        self.debug = os.path.join(self.folder, ".debug", "chain.debug")

    def strip(self, *flags, program=PROGRAM):
        objcopy(*flags, "--only-keep-debug", program, self.debug)
        objcopy(*flags, "--strip-all", PROGRAM, self.path)

    def link(self):
        objcopy(f"--add-gnu-debuglink={self.debug}", self.path)

    def command(self):
        return [self.path]


def exported(form):
    form.strip()


def packed(form):
    form.strip()
    section = os.path.join(form.folder, "section")
    with open(PROGRAM, "rb") as whole, open(section, "wb") as out:
        out.write(lzma.compress(whole.read(), check=lzma.CHECK_CRC32))
    objcopy(f"--add-section=.gnu_debugdata={section}", form.path)


def linked(form):
    form.strip()
    form.link()


def of_another_build(form):
    form.strip(program=OTHER)
    form.link()


def linked_without_id(form):
    form.strip("--remove-section=.note.gnu.build-id")
    form.link()


def changed_without_id(form):
    linked_without_id(form)
    with open(form.debug, "ab") as debug:
        debug.write(b"another")


def by_build_id(form):
    form.strip()
    number = build_id(PROGRAM)
    form.command = lambda: ["unshare", "--mount", "--propagation", "private", "sh", "-c", BY_BUILD_ID, "sh", form.path,
                            form.debug, number[:2], number[2:]]


# how it is made -> does it have all names?
FORMS = {exported: False, packed: True, linked: True, of_another_build: False, linked_without_id: True,
         changed_without_id: False, by_build_id: True}


def check(daemon, channel, form, has_names):
    with Subject(*form.command()) as subject:
        wait_until_published(daemon, subject.pid)
        wait_until_walked(daemon, channel, subject)
        stack = whole_stack(daemon, channel, subject, "sleep")
    print(os.path.basename(form.path), " < ".join(stack))
    assert in_order(EXPORTED, stack), (form.path, stack)
    between = stack[stack.index("handle_report") + 1:stack.index("main")]
    assert len(between) == 1, (form.path, stack)
    if has_names:
        assert between == [STATIC], (form.path, stack)
    else:
        assert re.fullmatch(re.escape(os.path.basename(form.path)) + r"\+0x[0-9a-f]+", between[0]), (form.path, stack)


def main():
    if not os.path.exists(PROGRAM) or not shutil.which("objcopy"):
        skip("the program is not built: FLOW_FORMS names no folder" if shutil.which("objcopy") else "no objcopy here")
    daemon = daemon_with_kernel("--settle-ms=300")
    with tempfile.TemporaryDirectory() as folder, daemon.channel() as channel:
        for make, has_names in FORMS.items():
            if make is by_build_id and not os.path.isdir("/usr/lib/debug"):
                print("left out, for there is no /usr/lib/debug")
                continue
            form = Form(folder, make.__name__)
            make(form)
            check(daemon, channel, form, has_names)
    assert daemon.stop() == 0, daemon.log()


run(main)
