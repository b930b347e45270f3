# SPDX-License-Identifier: Apache-2.0
"""What makes starting impossible is named, with what to do; nothing on disk is touched."""

import os
import subprocess

from daemon import BINARY, Daemon, run, temporary_folder


def refused(*arguments, data=None, status=1):
    daemon = Daemon("--probe=off", *arguments, data=data, wait=False)
    assert daemon.wait() == status, (daemon.process.returncode, daemon.log())
    assert not any(line.startswith("ready ") for line in daemon.lines)
    return daemon.log()


def snapshot(folder):
    found = {}
    for path, _, files in os.walk(folder):
        for name in files:
            with open(os.path.join(path, name), "rb") as file:
                found[os.path.join(path, name)] = file.read()
    return found


def foreign_folder():
    folder = temporary_folder()
    with open(os.path.join(folder, "thesis.tex"), "w") as file:
        file.write("ten years of work")
    before = snapshot(folder)
    said = refused(data=folder)
    assert folder in said, said
    assert snapshot(folder) == before


def unwritable_folder():
    said = refused(data="/proc/spanwise")
    assert "/proc/spanwise" in said, said


MARK = b"spanwise data\0\0\0"  # the version follows, little-endian


def of_version(content, change):
    """The same state file, written by a version that is `change` ahead."""
    assert content.count(MARK) == 1
    at = content.index(MARK) + len(MARK)
    version = int.from_bytes(content[at:at + 4], "little")
    return content[:at] + (version + change).to_bytes(4, "little") + content[at + 4:]


def other_version(data, change, word):
    path = os.path.join(data, "state", "state.mdb")
    with open(path, "rb") as file:
        ours = file.read()
    with open(path, "wb") as file:
        file.write(of_version(ours, change))
    before = snapshot(data)
    said = refused(data=data)
    assert data in said and word in said, said
    assert snapshot(data) == before
    with open(path, "wb") as file:
        file.write(ours)


def check_config(*arguments):
    done = subprocess.run([BINARY, "check-config", *arguments], capture_output=True, text=True)
    return done.returncode, done.stderr


def bad_config():
    path = os.path.join(temporary_folder(), "collector.conf")
    with open(path, "w") as file:
        file.write("# ours\nsettle_ms = soon\n")
    status, said = check_config("--config", path)
    assert status == 2 and f"{path}:2: settle_ms: \"soon\"" in said and "100 to 600000" in said, said
    said = refused("--config", path, status=2)
    assert "settle_ms" in said
    status, said = check_config("--grpc=0.0.0.0:4317")
    assert status == 2 and "loopback" in said and "without encryption" in said, said
    assert check_config("--config", "/dev/null")[0] == 0


def main():
    foreign_folder()
    unwritable_folder()
    bad_config()
    daemon = Daemon("--probe=off")
    said = refused("--grpc=" + daemon.grpc)
    assert "in use" in said and daemon.grpc in said and "another" in said, said
    said = refused("--http=" + daemon.http)
    assert "in use" in said and daemon.http in said, said
    said = refused("--api=" + daemon.api)
    assert "in use" in said and daemon.api in said, said
    said = refused(data=daemon.data)
    assert daemon.data in said and "another" in said, said
    assert daemon.stop() == 0, daemon.log()
    other_version(daemon.data, 1, "newer")
    other_version(daemon.data, -1, "older")
    daemon = Daemon("--probe=off", data=daemon.data)
    assert daemon.stop() == 0, daemon.log()


run(main)
