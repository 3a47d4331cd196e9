"""What whoever guards orders must be able to answer."""

from __future__ import annotations

from typing import Any, Protocol

from risk_daemon.bot.answers import GateAnswer
from risk_daemon.bot.orders import ProposedOrder


class OrderGate(Protocol):
    """Whoever answers for single orders and is told what became of them: TradingGate, DaemonGate."""

    def check(self, order: ProposedOrder | None = None, /, **fields: Any) -> GateAnswer: ...

    async def acheck(self, order: ProposedOrder | None = None, /, **fields: Any) -> GateAnswer: ...

    def report_sent(
        self, *, venue: str, symbol: str, side: str, order_id: str | None = None, client_order_id: str | None = None
    ) -> bool: ...

    def report_rejected(self, *, venue: str | None = None, detail: str = "") -> bool: ...

    def report_error(self, kind: str, *, venue: str | None = None, detail: str = "") -> bool: ...
