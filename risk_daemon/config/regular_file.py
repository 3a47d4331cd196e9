"""Reading a file that somebody else names: what is no regular file may never end, and is refused. Standard library."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_regular(path: Path) -> bytes:
    """All of it. Raises OSError, also for a pipe, a socket, a device or a directory, which are not waited for.

    A regular file on a network file system that does not answer hangs all the same: no flag of `open` prevents that.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)
