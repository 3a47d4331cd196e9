"""What the API needs of the daemon, and nothing of how it is done."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from risk_daemon.api.feed import Subscription
from risk_daemon.auth.desk import Opened
from risk_daemon.gate.restraints import OrderAnswer, OrderRequest, Veto
from risk_daemon.metrics.reading import Reading
from risk_daemon.model.account import Instrument
from risk_daemon.model.events import ErrorReported, Input, OrderReported, ResetRequested


class Control(Protocol):
    """The daemon, as bots and people see it. All of it is called in the loop's thread."""

    def state(self) -> Mapping[str, Any]:
        """How things stand, JSON-able; `recent` has the last orders, fills, errors, vetoes and deeds of operators."""
        ...

    def reading(self) -> Reading:
        """All that a scrape tells, as it is now."""
        ...

    def history(self) -> Sequence[Mapping[str, Any]]:
        """Equity, a point a minute, oldest first; each JSON-able."""
        ...

    def is_ready(self) -> bool: ...

    def is_alive(self) -> bool:
        """Whether the evaluation loop turns. If not, no order is allowed."""
        ...

    async def command(self, event: Input) -> Mapping[str, Any]:
        """Put an operator's event through the engine: `accepted`, `reason`, `state`, `trip_id`.

        With `asked`, nothing was done yet: wardens are asked, and it says where.
        """
        ...

    def why_not(self, event: ResetRequested) -> str | None:
        """Why it would be refused now; None: it would not. Nothing is changed, and nobody is asked."""
        ...

    async def cancel_all(self, venue: str | None, market: str | None, operator: str) -> Mapping[str, Any]:
        """Sweep; an answer as `oms.SweepResult.document` makes it. Not to be ended by a caller that hangs up.

        operator: who asks; it is written down with what comes of it.
        """
        ...

    async def close_positions(self, venue: str | None, operator: str) -> Mapping[str, Any]:
        """Cancel, prove and close; an answer as `oms.CloseResult.document` makes it. See `cancel_all`."""
        ...

    async def fund_transfer(self, to: str, amount: Decimal, by: str) -> Mapping[str, Any]:
        """Give another member of the fund headroom: `accepted` once it is durable and published, and `reason`."""
        ...

    async def reload(self, by: str, *, dry_run: bool, acts: bool, digest: str | None) -> Mapping[str, Any]:
        """Read the configuration again and take it, or only say what would come of it.

        `accepted` false: `reason` says why, and nothing was changed. acts: also what trips or vetoes at once.
        """
        ...

    def alerts(self) -> Mapping[str, Any]:
        """Who is told, of which trip, and what came of it, JSON-able."""
        ...

    def acknowledge(self, trip_id: str | None, who: str) -> str | None:
        """Somebody heard of the trip (None: the one that is not over). Its id; None where there is none such."""
        ...

    async def test_alerts(self, channel: str | None) -> Mapping[str, Any]:
        """Send a test through every channel, or one, and say by channel what came of it."""
        ...

    def check_order(self, order: OrderRequest) -> OrderAnswer:
        """Decide at this moment, and take the order's place in the order rate."""
        ...

    def report(self, event: OrderReported | ErrorReported) -> None:
        """Take what a bot tells. Returns at once."""
        ...

    def vetoed(self, order: OrderRequest | None, veto: Veto, bot: str | None, *, ago_s: float, untold: int) -> None:
        """Write down what the memory map refused `bot`. Returns at once.

        order None: it was not read. untold: as many before it can't be told of any more.
        """
        ...

    def instrument(self, venue: str, symbol: str) -> Instrument | None:
        """None: the venue is not known to have such a symbol."""
        ...

    def venues(self) -> Collection[str]:
        """The venues of the configuration."""
        ...

    def subscribe(self) -> Subscription:
        """Every event from now on. Raises TooManyReaders."""
        ...


class Wardens(Protocol):
    """Who may resume, as those at the terminal see it."""

    async def enroll(self, name: str, asked_by: str) -> Opened: ...

    async def revoke(self, name: str, reason: str, asked_by: str) -> Opened: ...

    async def break_glass(self, asked_by: str, sentence: str, *, is_root: bool) -> Mapping[str, Any]:
        """Forget every warden, in two steps with a waiting time between."""
        ...

    async def stop_break_glass(self, asked_by: str) -> Mapping[str, Any]: ...

    async def progress(self) -> Mapping[str, Any] | None:
        """Of the last attempt; None: there was none."""
        ...

    async def withdraw(self, attempt: str, who: str) -> None: ...
