# SPDX-License-Identifier: Apache-2.0
"""A disk that takes only so much a second from one process: the block controller of cgroups, version 2 or 1. Root."""

import os
from pathlib import Path

V2, V1 = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/blkio")


def whole_disk(path):
    """The numbers of the disk that holds it, not of a partition."""
    device = os.stat(path).st_dev
    place = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    return (place.parent if (place / "partition").exists() else place).joinpath("dev").read_text().strip()


class SlowDisk:
    def __init__(self, pid, path, bytes_a_second):
        disk = whole_disk(path)
        if (V2 / "cgroup.controllers").exists():
            (V2 / "cgroup.subtree_control").write_text("+io")
            self.root, limit = V2, ("io.max", f"{disk} wbps={bytes_a_second}")
        else:
            self.root, limit = V1, ("blkio.throttle.write_bps_device", f"{disk} {bytes_a_second}")
        self.pid, self.group = pid, self.root / f"spanwise-bench-{pid}"
        self.limit = limit

    def __enter__(self):
        self.group.mkdir()
        (self.group / self.limit[0]).write_text(self.limit[1])
        (self.group / "cgroup.procs").write_text(str(self.pid))
        return self

    def __exit__(self, *_):
        try:
            (self.root / "cgroup.procs").write_text(str(self.pid))
        except ProcessLookupError:
            pass
        self.group.rmdir()
