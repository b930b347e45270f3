# SPDX-License-Identifier: Apache-2.0
"""The manual page and the completions are made of the tables that parse: shells and mandoc accept them, and they name
every command and every option that --help names."""

import os
import pty
import re
import select
import shutil
import subprocess
import time

from cli import spanwise
from daemon import BINARY, PATIENCE_S, run, temporary_folder


def made(*words):
    status, out, said = spanwise(*words)
    assert status == 0 and not said, (words, status, said)
    return out


def accepted(out, *command):
    """By a checker that reads standard input; left out where it is not installed."""
    if not shutil.which(command[0]):
        print(f"no {command[0]} here")
        return
    done = subprocess.run(command, input=out, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0 and not done.stderr and not done.stdout, (command, done.stdout + done.stderr)


def completed(script, line):
    """What bash offers at the end of `line`."""
    words = line.split(" ")
    text = (f'{script}\nCOMP_WORDS=({" ".join(repr(word) for word in words)})\nCOMP_CWORD={len(words) - 1}\n'
            '_spanwise\nprintf "%s\\n" "${COMPREPLY[@]}"')
    return subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout.split()


class Zsh:
    """A real one at a terminal, with the script where zsh looks for it."""

    def __init__(self, script):
        folder = temporary_folder()
        with open(os.path.join(folder, "_spanwise"), "w") as file:
            file.write(script)
        os.symlink(BINARY, os.path.join(folder, "spanwise"))
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="dumb", PATH=f"{folder}:{os.environ['PATH']}", ZDOTDIR=folder)
            os.execvp("zsh", ["zsh", "-f", "-i"])
        self.say(f"fpath=({folder} $fpath); autoload -U compinit; compinit -u -D; LISTMAX=1000; PS1='ready''> '\n", "ready> ")

    def say(self, keys, until):
        os.write(self.fd, keys.encode())
        heard, deadline = "", time.monotonic() + PATIENCE_S
        while until not in heard:
            assert time.monotonic() < deadline, (keys, until, heard)
            if select.select([self.fd], [], [], 0.1)[0]:
                heard += os.read(self.fd, 65536).decode(errors="replace")
        return heard

    def completes(self, line, to):
        self.say(line + "\t", to)
        self.say("\x15\n", "ready> ")

    def end(self):
        os.write(self.fd, b"\x15exit\n")
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def check_zsh(script):
    if not shutil.which("zsh"):
        print("no zsh here")
        return
    accepted(script, "zsh", "-n")
    shell = Zsh(script)
    shell.completes("spanwise tr", "spanwise trace ")
    shell.completes("spanwise trace --co", "--color=")
    shell.completes("spanwise trace --color al", "always")
    shell.completes("spanwise serve --prob", "--probe=")
    assert "exact, bounded, inferred" in shell.say("spanwise search --\t", "--to")
    shell.end()


def main():
    bash, zsh, page = made("completion", "bash"), made("completion", "zsh"), made("man")
    accepted(bash, "bash", "-n")
    accepted(bash, "shellcheck", "-s", "bash", "-")
    check_zsh(zsh)
    accepted(page, "mandoc", "-T", "lint", "-W", "error")
    plain = page.replace("\\-", "-").replace("\\e", "\\")
    commands = re.findall(r"^  ([a-z-]+) ", made("help"), re.M)
    assert len(commands) > 12, commands
    for command in commands:
        assert re.search(rf"^\.SS {command} ", plain, re.M), command
        assert command in completed(bash, "spanwise "), command
        shown = made(command, "--help")
        assert f"spanwise {command}" in shown and made("help", command) == shown, command
        if command in ("help", "version", "man", "completion", "replay"):
            continue
        options = set(re.findall(r"^  (--[a-z-]+)", shown, re.M))
        assert options, shown
        offered = set(completed(bash, f"spanwise {command} --"))
        assert options <= offered, (command, options - offered)
        for option in options - {"--help"}:
            assert f"\\fB{option}\\fR" in plain, (command, option)
            assert option in zsh, (command, option)
    assert completed(bash, "spanwise trace --color a") == ["auto", "always"]
    assert completed(bash, "spanwise trace --color = n") == ["never"]
    assert completed(bash, "spanwise serve --probe o") == ["on", "off"]
    assert completed(bash, "spanwise se") == ["serve", "search"]
    assert spanwise("completion", "fish")[0] == 2


run(main)
