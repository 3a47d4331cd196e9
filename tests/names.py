"""A name server of which one name is ours: it hangs, it fails, or it leads to this machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

NAME = "shared-place.example.org"


class Name:
    """What becomes of look-ups of `NAME`. hangs: they wait for `answers`, and then lead to 127.0.0.1.

    first: an address before that one. threads: by whom it was looked up, each time.
    """

    def __init__(self, *, hangs: bool = False, error: OSError | None = None, first: str | None = None) -> None:
        self.answers = threading.Event()
        if not hangs:
            self.answers.set()
        self.error = error
        self.first = first
        self.threads: list[str] = []

    def look_up(self, real: Any, port: Any, *more: Any, **also: Any) -> Any:
        """In place of `socket.getaddrinfo`."""
        self.threads.append(threading.current_thread().name)
        self.answers.wait(60)
        if self.error is not None:
            raise self.error
        addresses = [*([self.first] if self.first else []), "127.0.0.1"]
        return [row for address in addresses for row in real(address, port, *more, **also)]


@contextmanager
def name(**how: Any) -> Iterator[Name]:
    """`NAME` exists meanwhile; every other name is what it is."""
    made, real = Name(**how), socket.getaddrinfo

    def look_up(host: Any, port: Any, *more: Any, **also: Any) -> Any:
        return made.look_up(real, port, *more, **also) if host == NAME else real(host, port, *more, **also)

    with patch("socket.getaddrinfo", look_up):
        try:
            yield made
        finally:
            made.answers.set()
