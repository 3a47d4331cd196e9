"""OKX's book: the bills of the trading account, every change of every coin in it.

Deposits and withdrawals belong to the funding account, which is not read: what moves the trading account's money is a
transfer, type 1. Bills are listed newest first, a hundred to a page: those of seven days in one list, those of three
months in another. `BillReader` reads all that is new, and where that is too much, the transfers by their type.
https://www.okx.com/docs-v5/en/#trading-account-rest-api-get-bills-details-last-7-days
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from adapters.dialect import Book, number, optional_text, text
from risk_daemon.errors import MalformedReply
from risk_daemon.model.events import Flow

FLOW_TYPES = frozenset({"1"})
"""Types that move money in or out. All others, and those that are new, are profit or loss."""

_NEUTRAL = frozenset({"12", "16", "22"})
"""To and from a trading bot, whose money is counted with the account's; borrowed and repaid, which leaves what one
owns as it was."""

RECENT, ARCHIVE = "privateGetAccountBills", "privateGetAccountBillsArchive"
_PAGE_ROWS = 100
_NEWEST_PAGES = 5
_MOST_PAGES = 400
_RECENT_S = 7 * 86_400.0
# A bill may be written later than others that happened after it: how long is not documented.
_OVERLAP_S = 60.0
KEEP_S = 3_600.0

Ask = Callable[[str, dict[str, Any]], Awaitable[Sequence[Mapping[str, Any]]]]
"""One call, by its name in ccxt's client, with these parameters: its rows."""


def parse_rows(venue: str, rows: Iterable[Mapping[str, Any]]) -> tuple[Flow, ...]:
    """bills: each row as the change of what its coin is worth to the account, fees in it, in the order given.

    What goes into the margin of an isolated position leaves the cash (`balChg`) and is in the position (`posBalChg`):
    it is still there.
    """
    parsed = (
        Flow(
            flow_id=f"bill:{text(row, 'billId')}",
            venue=venue,
            asset=text(row, "ccy"),
            amount=number(row, "balChg") + (number(row, "posBalChg") if row.get("posBalChg") else 0),
            wall=float(number(row, "ts")) / 1000,
            kind=text(row, "type"),
            group=optional_text(row, "tradeId", "ordId") or "",
        )
        for row in rows
    )
    return tuple(parsed)


def split(rows: Iterable[Flow]) -> Book:
    """Rows as a book: what moved money in or out, and what is profit or loss. What moves nothing is left out."""
    moved = [row for row in rows if row.amount and row.kind not in _NEUTRAL]
    flows = tuple(row for row in moved if row.kind in FLOW_TYPES)
    return Book(flows, tuple(row for row in moved if row.kind not in FLOW_TYPES))


class BillReader:
    """The bills of one account, as far as this process has read them."""

    def __init__(self, venue: str, ask: Ask) -> None:
        self._venue = venue
        self._ask = ask
        self._forget()

    def _forget(self) -> None:
        """Nothing is known. flows_since: all flows after it are; whole_to: and all rows from before it, up to there."""
        self._rows: dict[str, Flow] = {}
        self._flows_since = float("inf")
        self._whole_to = float("-inf")

    async def read(self, since_wall: float, now_wall: float) -> Book:
        """All flows since then, and the other rows that are known; rows may be given again.

        Raises MalformedReply if the pages do not come to an end.
        """
        if since_wall < self._flows_since:
            self._forget()
            if since_wall < now_wall - _RECENT_S:
                await self._read_flows(ARCHIVE, since_wall)
        await self._read_newest(max(since_wall, self._whole_to - _OVERLAP_S))
        self._flows_since = min(self._flows_since, since_wall)
        self._whole_to = max((row.wall for row in self._rows.values()), default=self._whole_to)
        self._rows = {row_id: row for row_id, row in self._rows.items() if row.wall > since_wall - KEEP_S}
        return split(row for row in self._rows.values() if row.wall >= since_wall)

    async def _read_newest(self, to_wall: float) -> None:
        """All rows back to then; if they are too many, all flows."""
        if not await self._walk(RECENT, {}, to_wall, _NEWEST_PAGES):
            await self._read_flows(RECENT, to_wall)

    async def _read_flows(self, call: str, to_wall: float) -> None:
        for kind in sorted(FLOW_TYPES):
            if not await self._walk(call, {"type": kind}, to_wall, _MOST_PAGES):
                raise MalformedReply(f"the bills' pages of type {kind} do not come to an end")

    async def _walk(self, call: str, query: dict[str, Any], to_wall: float, pages: int) -> bool:
        """Page after page, until one is not full or reaches back far enough. False if it takes more than these."""
        walked: set[str] = set()
        for _ in range(pages):
            page = await self._ask(call, {**query, "limit": str(_PAGE_ROWS)})
            rows = parse_rows(self._venue, page)
            _check_kind(query.get("type"), rows)
            new = {row.flow_id: row for row in rows if row.flow_id not in walked}
            if len(new) < len(rows):
                raise MalformedReply("a page of bills shows a row for the second time")
            walked.update(new)
            self._rows.update(new)
            if len(rows) < _PAGE_ROWS or min(row.wall for row in rows) < to_wall:
                return True
            query = {**query, "after": text(page[-1], "billId")}
        return False


def _check_kind(wanted: str | None, rows: Iterable[Flow]) -> None:
    odd = next((row.kind for row in rows if wanted is not None and row.kind != wanted), None)
    if odd is not None:
        raise MalformedReply(f"bills of type {wanted} have one of type {odd}: that is another listing")
