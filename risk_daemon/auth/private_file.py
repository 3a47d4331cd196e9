"""Files with secrets: for their owner only, replaced whole, written by one process at a time."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from risk_daemon.errors import StateError
from risk_daemon.state.files import sync_directory

_WRITABLE = stat.S_IWGRP | stat.S_IWOTH
_READABLE = stat.S_IRGRP | stat.S_IROTH


def read_privately(path: Path, *, is_secret: bool = False) -> bytes | None:
    """None if there is no file. Raises OSError; ValueError for a file that others may write to.

    is_secret: one that others may read is refused as well.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if mode & _WRITABLE:
            raise ValueError(f"others can write to it: run `chmod 600 {path}`")
        if is_secret and mode & _READABLE:
            raise ValueError(f"others can read it: run `chmod 600 {path}`")
        return file.read()


def replace_privately(path: Path, data: bytes) -> None:
    """All of `data` or the old content, on disk, readable by its owner only. Raises OSError.

    Written by root, it belongs to whoever owns the directory: the daemon must be able to read it.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            if os.geteuid() == 0:
                owner = path.parent.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


@contextmanager
def alone(path: Path, what: str) -> Iterator[None]:
    """One writer at a time, among all processes, of the files beside `path`. what: its content, for the sentence.

    Raises StateError.
    """
    try:
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StateError(f"{path}: the {what} can't be written: {error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
