"""Several people behind one channel: who has an alert, who still waits for it, and what that makes of the try."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from risk_daemon.alerts.channels.base import Attempted, delivered, later, refused
from risk_daemon.alerts.channels.trying import said

_ALERTS_KEPT = 256


class Owed:
    """Who still waits for which alert, so that a second try does not tell everybody again."""

    def __init__(self, recipients: Sequence[str]) -> None:
        self._everybody = tuple(recipients)
        self._reached: OrderedDict[str, set[str]] = OrderedDict()

    def of(self, alert_id: str) -> tuple[str, ...]:
        reached = self._reached.get(alert_id, set())
        return tuple(recipient for recipient in self._everybody if recipient not in reached)

    def reached(self, alert_id: str, recipient: str) -> None:
        self._reached.setdefault(alert_id, set()).add(recipient)
        while len(self._reached) > _ALERTS_KEPT:
            self._reached.popitem(last=False)


def together(tries: Mapping[str, Attempted]) -> Attempted:
    """One answer for all: delivered when everybody has it, tried again while that may help anybody."""
    missed = {recipient: one for recipient, one in tries.items() if not one.delivered}
    status = ", ".join(dict.fromkeys(one.status for one in (missed or tries).values()))
    if not missed:
        return delivered(status or "already", next((one.answer for one in tries.values()), ""))
    answer = said("; ".join(f"{recipient}: {one.answer or one.status}" for recipient, one in missed.items()))
    if not any(one.may_retry for one in missed.values()):
        return refused(status, answer)
    waits = [one.retry_after_s for one in missed.values() if one.retry_after_s is not None]
    return later(status, answer, retry_after_s=max(waits, default=None))
