# SPDX-License-Identifier: Apache-2.0
"""What the interop programs share: commands, what is built once into build/interop, and a line for each check."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "interop"


class Skipped(Exception):
    pass


def sh(*command, ok=True, **options):
    options.setdefault("timeout", 1200)
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if ok and done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout + done.stderr


def build(*command, **options):
    """As sh(); what cannot be built is skipped."""
    try:
        return sh(*command, **options)
    except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
        raise Skipped(str(error).strip().splitlines()[-1]) from error


def digest(folder):
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def built(source, name, *commands):
    """A copy of the program in build/interop/NAME, built there once, and again when it has changed."""
    origin, folder = ROOT / "tests" / "interop" / source, BUILD / name
    marker, now = folder / "built", digest(origin)
    shutil.copytree(origin, folder, dirs_exist_ok=True)
    if not marker.exists() or marker.read_text() != now:
        for command in commands:
            build(*command, cwd=folder)
        marker.write_text(now)
    return folder


def run_checks(checks, names, start):
    """Each check with a daemon of its own; exits with 1 if one of them failed."""
    failed = 0
    for name in names or checks:
        daemon = start()
        try:
            print(f"ok      {name:12} {checks[name](daemon)}", flush=True)
        except Skipped as reason:
            print(f"skipped {name:12} {reason}", flush=True)
        except Exception as error:
            failed += 1
            print(f"FAILED  {name:12} {type(error).__name__}: {error}", flush=True)
        finally:
            daemon.stop()
    sys.exit(1 if failed else 0)


def environment(**more):
    return {**os.environ, **more}
