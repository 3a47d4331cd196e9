"""What people at a terminal are told while something takes its time: on standard error, and nowhere else.

Nothing that goes wrong with the output may reach the work.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

FIRST_S = 2.0
EVERY_S = 5.0


def is_watched() -> bool:
    """Whether anybody sits there."""
    with suppress(OSError, ValueError, AttributeError):
        return sys.stderr.isatty()
    return False


def say(sentence: str) -> None:
    """A step, for whoever sits there."""
    if is_watched():
        _write(f"risk-daemon: {sentence}")


@contextmanager
def patience(sentence: str) -> Iterator[None]:
    """While this lasts: what is being waited for, once it takes long, and now and then that it still does."""
    if not is_watched():
        yield
        return
    done = threading.Event()
    teller = threading.Thread(target=_tell, args=(sentence, done), name="patience", daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def _tell(sentence: str, done: threading.Event) -> None:
    waited_s = FIRST_S
    if done.wait(FIRST_S):
        return
    _write(f"risk-daemon: {sentence} ...")
    while not done.wait(EVERY_S):
        waited_s += EVERY_S
        _write(f"risk-daemon: ... still at it, {waited_s:.0f} s")


def changes(line_of: Callable[[str, Any], str]) -> Callable[[Mapping[str, Any]], None] | None:
    """Tells how each venue stands, one line whenever that changed; None where nobody sits there."""
    if not is_watched():
        return None
    shown: dict[str, str] = {}

    def show_changes(verdicts: Mapping[str, Any]) -> None:
        for venue, verdict in verdicts.items():
            line = line_of(venue, verdict)
            if shown.get(venue) != line:
                shown[venue] = line
                _write(line)

    return show_changes


def _write(line: str) -> None:
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
