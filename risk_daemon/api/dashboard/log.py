"""The last events, for the page: each is written as a row once, and kept as long as there is room."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from risk_daemon.api.dashboard.html import Markup, tag, text
from risk_daemon.api.dashboard.words import when
from risk_daemon.api.feed import FeedEvent
from risk_daemon.model.event_names import EventName, level_of

KEEP = 10_000
_WIDEST = 400
_TONES = {"info": "", "warning": "warn", "error": "bad", "critical": "bad"}


class Log:
    """Rows of the last events. proven: when the last sweep was proven on a venue, in Unix seconds."""

    def __init__(self, keep: int = KEEP) -> None:
        self._rows: deque[tuple[int, Markup]] = deque(maxlen=keep)
        self.proven: dict[str, float] = {}
        self.last = 0
        self.missed = 0

    def __len__(self) -> int:
        return len(self._rows)

    def note(self, event: FeedEvent) -> None:
        """Take in one event."""
        self.last = max(self.last + 1, event.seq)
        self._rows.append((self.last, _row(event)))
        venue = str(event.fields.get("venue"))
        if event.name == EventName.VENUE_PROVEN:
            self.proven[venue] = event.wall
        elif event.name == EventName.SWEEP_STARTED:
            self.proven.clear()
        elif event.name == EventName.VENUE_UNPROVEN:
            self.proven.pop(venue, None)

    def since(self, number: int, query: str = "") -> Iterator[Markup]:
        """Newest first, what came after `number` and has every word of `query`."""
        words = [text(word).lower() for word in query.split()]
        for at, row in reversed(self._rows):
            if at <= number:
                return
            if not words or all(word in row.lower() for word in words):
                yield row


def _row(event: FeedEvent) -> Markup:
    """An item of a list, and no row of a table: what it says may be long."""
    level = level_of(EventName(event.name)) if event.name in set(EventName) else None
    return tag(
        "li",
        when(event.wall),
        " ",
        tag("span", str(level or ""), class_=f"level {_TONES.get(str(level), '')}".strip()),
        " ",
        tag("strong", event.name),
        " ",
        tag("span", _facts(event.fields)),
    )


def _facts(fields: Mapping[str, Any]) -> str:
    words = ", ".join(f"{name} {value}" for name, value in fields.items() if value is not None)
    return words if len(words) <= _WIDEST else words[: _WIDEST - 1] + "\N{HORIZONTAL ELLIPSIS}"
