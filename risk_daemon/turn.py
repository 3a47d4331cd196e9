"""What one turn of the engine collects on its way to a decision."""

from __future__ import annotations

from typing import Any

from risk_daemon.clock import Instant
from risk_daemon.decision import Action, Answer
from risk_daemon.events import EventName, RiskEvent


class Turn:
    """by_prices: the event of this turn changed prices, nothing else."""

    __slots__ = ("actions", "answer", "by_prices", "now", "persist", "records", "seq")

    def __init__(self, now: Instant, seq: int) -> None:
        self.now = now
        self.seq = seq
        self.by_prices = False
        self.actions: list[Action] = []
        self.records: list[RiskEvent] = []
        self.persist = False
        self.answer: Answer | None = None

    def act(self, action: Action) -> None:
        """Have the shell do this."""
        self.actions.append(action)

    def record(self, name: EventName, **fields: Any) -> None:
        """Write this down."""
        self.records.append(RiskEvent(name, fields))
