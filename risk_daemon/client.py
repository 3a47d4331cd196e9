"""What a bot imports: may I send orders now? Standard library only.

    gate = TradingGate("/var/lib/risk-daemon")
    if gate.is_open():
        ...

The answer comes from the daemon's memory map (`lock/shared.py` has its layout). No file, no daemon, a daemon
that has not evaluated for a second, or anything odd: the answer is no.
"""

from __future__ import annotations

import mmap
import os
import time
from functools import partial
from pathlib import Path

from risk_daemon.lock.base import boot_id
from risk_daemon.lock.shared import (
    FILE_NAME,
    HEAD,
    MAX_VALID_MS,
    OPEN,
    SEQUENCE,
    SEQUENCE_AT,
    map_to_read,
    prefix,
    read_map,
)

_NS_IN_MS = 1_000_000
_now_ns = partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)
_head = HEAD.unpack_from
_sequence = SEQUENCE.unpack_from


class TradingGate:
    """The daemon's gate, read from its state directory, or from the file `gate.bin` itself. Thread-safe.

    May be made before there is a daemon: the gate is shut until there is one.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        given = Path(path)
        self._path = given if given.suffix == ".bin" else given / FILE_NAME
        self._mapped: tuple[mmap.mmap, os.stat_result] | None = None
        self._boot = _boot_id_or_none()
        self._prefix = prefix(self._boot) if self._boot is not None else None

    def is_open(self) -> bool:
        """True only while a living daemon says so. Raises nothing."""
        mapped = self._mapped
        if mapped is not None:
            view = mapped[0]
            found, sequence, stamp_ns, state, valid_ms = _head(view)
            if state == OPEN and found == self._prefix and not sequence & 1:
                age_ns = _now_ns() - stamp_ns
                if 0 <= age_ns <= _NS_IN_MS * (valid_ms if valid_ms < MAX_VALID_MS else MAX_VALID_MS):
                    return bool(_sequence(view, SEQUENCE_AT)[0] == sequence) or self._ask_again()
        return self._ask_again()

    def reason(self) -> str:
        """Why it is shut: the cause of the lock, `locked` if that can't be read; empty while it is open."""
        view = self._current()
        if view is None or self._boot is None:
            return "locked"
        record = read_map(view, self._boot, _now_ns)
        return record.cause if record.locked else ""

    def _ask_again(self) -> bool:
        """The slow way: another file may stand there now, and a write may have been under way."""
        view = self._current()
        if view is None or self._boot is None:
            return False
        return not read_map(view, self._boot, _now_ns).locked

    def _current(self) -> mmap.mmap | None:
        """The map of the file that stands there now. One that is gone is not asked any more."""
        mapped = self._mapped
        try:
            if mapped is None or not os.path.samestat(mapped[1], os.stat(self._path)):
                self._mapped = mapped = map_to_read(self._path)
        except (OSError, ValueError):
            self._mapped = None
            return None
        return mapped[0]


def _boot_id_or_none() -> bytes | None:
    try:
        return boot_id()
    except OSError:
        return None
