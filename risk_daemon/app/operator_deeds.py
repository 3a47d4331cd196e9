"""What operators have a running guard do at the venues: who asked is on record and shown, and so is what came of it.

Without a guard it is `deeds`. Nothing waits for a line: what can't be written is shouted, and done all the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from risk_daemon.app.deeds import Deed
from risk_daemon.model.event_names import EventName, RiskEvent

KEEP = 20


class OperatorDeeds:
    """The last `KEEP` of this run. note: has an event written down, without waiting; wall: Unix seconds."""

    def __init__(self, note: Callable[[RiskEvent], None], wall: Callable[[], float]) -> None:
        self._note = note
        self._wall = wall
        self._shown: deque[dict[str, Any]] = deque(maxlen=KEEP)

    @contextmanager
    def on_record(self, what: str, asked: EventName, finished: EventName, facts: Mapping[str, Any]) -> Iterator[Deed]:
        """Lines named `asked` and `finished` with these facts, however it ends; `what` is how people know it.

        facts: `operator` and `venues` are among them.
        """
        deed = Deed()
        row = {**facts, "what": what, "time_wall": self._wall(), "ended_wall": None, "came_to": None}
        self._shown.append(row)
        self._note(RiskEvent(asked, facts))
        try:
            yield deed
        except BaseException as error:
            deed.ended({"reason": str(error) or type(error).__name__})
            raise
        finally:
            self._note(RiskEvent(finished, {**facts, **deed.outcome}))
            row |= {"ended_wall": self._wall(), "came_to": _words(deed.outcome)}

    def document(self) -> list[dict[str, Any]]:
        """JSON-able, oldest first. ended_wall, came_to: null while it is under way."""
        return [dict(row) for row in self._shown]


def _words(outcome: Mapping[str, Any]) -> str:
    """What it came to, for people. What is not known to be done is not done."""
    told = outcome.get("outcome")
    if not isinstance(told, Mapping):
        return f"NOT DONE: {outcome.get('reason')}"
    word = "flat" if "flat" in told else "proven"
    return word if told.get(word) is True else f"NOT {word.upper()}"
