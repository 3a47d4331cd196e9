"""What may never end is not read, and not waited for."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from risk_daemon.config.regular_file import read_regular


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (os.mkfifo, "it is no regular file"),
        (Path.mkdir, "it is no regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is no regular file"),
        (_socket, "No such device or address"),
        (lambda path: None, "No such file or directory"),
    ],
    ids=["pipe", "directory", "device", "socket", "nothing"],
)
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], object], why: str) -> None:
    path = tmp_path / "config.toml"
    make(path)
    opened = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=why):
        read_regular(path)
    assert len(os.listdir("/proc/self/fd")) == opened


@pytest.mark.parametrize("text", [b"", b"x" * 3_000_000], ids=["empty", "long"])
def test_a_regular_file_is_read_whole_and_let_go_of(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(text)
    (tmp_path / "link").symlink_to(path)
    opened = len(os.listdir("/proc/self/fd"))
    assert read_regular(tmp_path / "link") == text
    assert len(os.listdir("/proc/self/fd")) == opened
