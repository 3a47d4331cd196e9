"""How log lines are written, by name."""

from __future__ import annotations

from enum import StrEnum


class LogFormat(StrEnum):
    """AUTO: for whoever reads standard error, a terminal, the journal, or a file."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"
    JOURNAL = "journal"
