"""The income history of Binance's futures: every change of the wallet is a row, oldest first.

An id is unique only among rows of one type, and a profit and its fee share theirs. A query without an end is said to
reach seven days, so windows are no longer; how late rows come is not documented.
https://developers.binance.com/docs/derivatives/usds-margined-futures/account/rest-api/Get-Income-History
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from adapters.dialect import Book, number, text
from risk_daemon.errors import MalformedReply
from risk_daemon.model.events import Flow

FLOW_TYPES = frozenset(
    {
        "TRANSFER",
        "INTERNAL_TRANSFER",
        "CROSS_COLLATERAL_TRANSFER",
        "STRATEGY_UMFUTURES_TRANSFER",
        "COIN_SWAP_DEPOSIT",
        "COIN_SWAP_WITHDRAW",
        "WELCOME_BONUS",
        "CONTEST_REWARD",
        "BFUSD_REWARD",
        "COMMISSION_REBATE",
        "API_REBATE",
        "REFERRAL_KICKBACK",
        "FEE_RETURN",
    }
)
"""What moves money in or out. All others are profit or loss: trades, fees, funding, and types that are new."""

PAGE_ROWS = 1_000
WINDOW_S = 7 * 86_400.0
KEPT_S = 90 * 86_400.0
LATE_S = 300.0
"""How far behind the newest row we look again for others; for transfers from the whole time that is asked for."""

_MOST_PAGES = 40
_HOUR_S = 3_600.0

Ask = Callable[[dict[str, Any]], Awaitable[Sequence[Mapping[str, Any]]]]


def parse_rows(venue: str, rows: Iterable[Mapping[str, Any]]) -> tuple[Flow, ...]:
    """Rows of the income history, in the order given."""
    return tuple(_flow(venue, row) for row in rows)


def _flow(venue: str, row: Mapping[str, Any]) -> Flow:
    kind, asset, trade = text(row, "incomeType"), text(row, "asset"), str(row.get("tradeId") or "")
    number_of = ":".join((kind, str(row["tranId"]), asset, str(row.get("symbol") or "")))
    return Flow(
        flow_id=number_of,
        venue=venue,
        asset=asset,
        amount=number(row, "income"),
        wall=float(number(row, "time")) / 1000,
        kind=kind.lower(),
        group=f"trade {trade}" if trade else "",
    )


def split(rows: Iterable[Flow]) -> Book:
    """Rows as a book: what moved money in or out, and what is profit or loss."""
    listed = sorted(rows, key=lambda row: (row.wall, row.flow_id))
    flows = tuple(row for row in listed if row.kind.upper() in FLOW_TYPES)
    return Book(flows, tuple(row for row in listed if row.kind.upper() not in FLOW_TYPES))


class IncomeReader:
    """The history of one account, as far as this process has read it. ask: one call with these parameters."""

    def __init__(self, venue: str, ask: Ask) -> None:
        self._venue = venue
        self._ask = ask
        self._rows: dict[str, Flow] = {}
        self._since = float("inf")

    async def read(self, since_wall: float, now_wall: float) -> Book:
        """All flows since then, and the other rows that are known; rows may be given again.

        Raises MalformedReply if the pages do not come to an end.
        """
        since_wall = max(since_wall, now_wall - KEPT_S)
        if since_wall < self._since:
            self._rows = {}
            await self._read_all(since_wall, now_wall)
            self._since = since_wall
        else:
            newest = max((row.wall for row in self._rows.values()), default=since_wall)
            if not await self._walk(max(since_wall, newest - LATE_S), now_wall):
                await self._read_all(since_wall, now_wall)
            await self._walk_type("TRANSFER", since_wall, now_wall)
        self._rows = {row_id: row for row_id, row in self._rows.items() if row.wall > since_wall - _HOUR_S}
        return split(self._rows.values())

    async def _read_all(self, since_wall: float, now_wall: float) -> None:
        """If there are too many rows: those that are flows by their types, and all of the last hour."""
        if await self._walk(since_wall, now_wall):
            return
        for kind in sorted(FLOW_TYPES):
            await self._walk_type(kind, since_wall, now_wall)
        if not await self._walk(max(since_wall, now_wall - _HOUR_S), now_wall):
            raise MalformedReply("the income history of one hour does not come to an end")

    async def _walk_type(self, kind: str, since_wall: float, now_wall: float) -> None:
        if not await self._walk(since_wall, now_wall, incomeType=kind):
            raise MalformedReply(f"the income history of type {kind} does not come to an end")

    async def _walk(self, since_wall: float, now_wall: float, **query: str) -> bool:
        """Window by window to now. False if there are too many pages."""
        start_ms, span_ms, pages = int(since_wall * 1000), int(WINDOW_S * 1000), 0
        while pages < _MOST_PAGES:
            end_ms = start_ms + span_ms
            is_last = end_ms >= now_wall * 1000
            window = {"startTime": start_ms, "limit": PAGE_ROWS, **({} if is_last else {"endTime": end_ms}), **query}
            rows = await self._ask(window)
            pages += 1
            self._rows.update({row.flow_id: row for row in parse_rows(self._venue, rows)})
            if len(rows) < PAGE_ROWS and is_last:
                return True
            start_ms = end_ms if len(rows) < PAGE_ROWS else _after(rows, start_ms)
        return False


def _after(rows: Sequence[Mapping[str, Any]], start_ms: int) -> int:
    """Where the next page begins: at the last row's time, whose other rows may be behind the page's end."""
    times = [int(number(row, "time")) for row in rows]
    if times != sorted(times) or times[0] < start_ms or times[-1] == start_ms:
        raise MalformedReply("a page of the income history is not in the order of time, or leads nowhere")
    return times[-1]
