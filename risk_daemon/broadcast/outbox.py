"""What is still owed to whoever listens: it is in the document that the latch is saved with.

A message is owed until the broker has acknowledged it. Which trips were acknowledged is remembered, so that a trip that
stands is broadcast even where the process that opened it could write nothing down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog

from risk_daemon.broadcast.message import Message, message_of
from risk_daemon.model.event_names import RiskEvent

_LOG = structlog.get_logger(__name__)

BROADCAST = "broadcast"  # the document's key
OWED_MAX = 1_000
SENT_MAX = 200


class Outbox:
    """In memory; oldest first. Nothing here waits or raises but `restore`."""

    def __init__(self) -> None:
        self._owed: dict[str, Message] = {}
        self._sent: dict[str, None] = {}

    def owed(self) -> tuple[Message, ...]:
        return tuple(self._owed.values())

    def acknowledged(self) -> tuple[str, ...]:
        """The ids of the last ones, oldest first."""
        return tuple(self._sent)

    def knows(self, trip_id: str) -> bool:
        """Whether it is owed, or was acknowledged."""
        return trip_id in self._owed or trip_id in self._sent

    def hear(self, records: Sequence[RiskEvent], wall: float) -> bool:
        """Owe what was written down at one moment, if it is to be broadcast. Whether there is something new."""
        found = [message for record in records if (message := message_of(record, wall)) is not None]
        return [self.put(message) for message in found].count(True) > 0

    def put(self, message: Message) -> bool:
        """Owe it. False: it is owed already, or was acknowledged."""
        if self.knows(message.trip_id):
            return False
        while len(self._owed) >= OWED_MAX:
            lost = self._owed.pop(next(iter(self._owed)))
            _LOG.critical("broadcast_lost", trip_id=lost.trip_id, error=f"more than {OWED_MAX} are owed")
        self._owed[message.trip_id] = message
        return True

    def settle(self, trip_id: str) -> None:
        """It was acknowledged, by whomever."""
        self._owed.pop(trip_id, None)
        self._sent.pop(trip_id, None)
        self._sent[trip_id] = None
        while len(self._sent) > SENT_MAX:
            del self._sent[next(iter(self._sent))]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"owed": [message.document() for message in self._owed.values()], "sent": list(self._sent)}

    def restore(self, document: Mapping[str, Any]) -> None:
        """Add what an earlier process left. What can't be understood is shouted, and takes nothing else with it."""
        for trip_id in _listed(document, "sent"):
            if isinstance(trip_id, str):
                self.settle(trip_id)
        for kept in _listed(document, "owed"):
            try:
                self.put(Message.restored(kept))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                _LOG.critical("broadcast_not_restored", message=str(kept)[:500], error=repr(error))


def _listed(document: Mapping[str, Any], key: str) -> Iterable[Any]:
    found = document.get(key, [])
    if not isinstance(found, list):
        _LOG.critical("broadcast_not_restored", message=str(found)[:500], error=f"{key} is no list")
        return ()
    return found
