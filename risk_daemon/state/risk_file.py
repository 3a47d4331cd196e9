"""`risk.json`: how things stand, for programs that only read a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from risk_daemon.errors import RecordError
from risk_daemon.model.clock import Instant
from risk_daemon.state.files import json_text, replace_file

FILE_NAME = "risk.json"
_EVERY_S = 1.0


class RiskFile:
    """The writer: whole or not at all, at most once a second."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._due_mono = float("-inf")

    def due(self, now: Instant) -> bool:
        """Would `write` write? So that nobody builds a document in vain."""
        return now.mono >= self._due_mono

    def write(self, document: Mapping[str, Any], now: Instant, *, force: bool = False) -> bool:
        """Put `document` there: Decimals as strings, ratios as numbers, unknown as null. False: too early.

        Raises RecordError when it can't be written (the old one stays), InvariantError for NaN.
        """
        if not force and not self.due(now):
            return False
        data = json_text(document).encode("ascii") + b"\n"
        self._due_mono = now.mono + _EVERY_S
        try:
            replace_file(self.path, data)
        except OSError as error:
            raise RecordError(f"{self.path}: the risk file could not be written: {error}") from error
        return True
