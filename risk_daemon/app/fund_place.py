"""Which place a state directory is: the machine and the directory itself, so that a copy elsewhere is another one.

It outlives a restart of the machine, a new host name and a directory that is renamed. A directory that is copied, or
restored from a backup under a new inode, is another place, and so is the same disk in another machine.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from risk_daemon.errors import StateError

MACHINE_ID = Path("/etc/machine-id")
_MACHINE = re.compile(r"[0-9a-f]{32}", re.ASCII)
_LENGTH = 8


def place_of(state_dir: Path) -> str:
    """Such as `machine-3f9ac211.state-04de77aa`: hashes, so it gives no machine's id away. Raises StateError."""
    try:
        inode, file_system = os.stat(state_dir).st_ino, os.statvfs(state_dir).f_fsid
    except OSError as error:
        raise StateError(f"{state_dir}: it can't be said which directory this is: {error.strerror}") from None
    # The file system's own id: a device's number is another one after the next mount of btrfs, NFS or an overlay.
    return f"machine-{_short(_machine())}.state-{_short(f'{file_system}:{inode}')}"


def _machine() -> str:
    """Raises StateError where it has no id, as in a container that was given none."""
    try:
        text = MACHINE_ID.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if _MACHINE.fullmatch(text) is None:
        raise StateError(
            f"{MACHINE_ID}: it has no id of this machine, so a copy of this state elsewhere could not be told from it:"
            " run systemd-machine-id-setup, or give a container the file of its host"
        )
    return text


def _short(text: str) -> str:
    return hashlib.sha256(f"risk-daemon:{text}".encode()).hexdigest()[:_LENGTH]
