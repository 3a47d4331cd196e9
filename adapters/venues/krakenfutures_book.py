"""Kraken Futures' book, the account log: every change of every wallet, and of every position beside it.

Its entries have ids that rise, so `LogReader` asks for those above the last it knows. A call costs by the
rows that it may give, of a pool of 100 that takes 10 minutes to fill.
https://docs.kraken.com/api-reference/account-history/get-account-log
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from adapters.dialect import Book, number, optional_text, text
from risk_daemon.errors import MalformedReply
from risk_daemon.model.events import Flow

FLOW_TYPES = frozenset({"transfer", "subaccount transfer", "cross-exchange transfer", "admin transfer"})
"""Entries that move money in or out. A move between own wallets is a pair that adds up to zero.

All others are profit or loss: trades, liquidations, assignments, funding, interest, settlements,
conversions from one currency of the account to another, taxes, and entries that are new.
"""

_COUNTS = (25, 1_000, 5_000)
"""Rows asked for by one call and the next: the first costs one of the pool, the second 3, the third 6."""

_PAGES_OF_ONE_TYPE = 100
KEEP_S = 3_600.0

NOT_MONEY = frozenset({"KFEE"})
_NAMES = {"XBT": "BTC", "XDG": "DOGE"}


def asset_code(raw: str) -> str:
    """`xbt` is BTC."""
    return _NAMES.get(raw.upper(), raw.upper())


def is_contract(raw: str) -> bool:
    """Whether the name of an asset is that of a contract: accounts and log list positions among the currencies."""
    return "_" in raw


def parse_rows(venue: str, rows: Iterable[Mapping[str, Any]]) -> tuple[Flow, ...]:
    """account-log: each entry of a wallet as its change, in the order given.

    A trade is two entries: one has the wallet's balance before and after, one the position's size. The
    first has profit, funding and fees in it already. The documentation does not say with how many
    digits balances are written; they are taken as they stand. Entries of one execution or booking are
    one group.
    """
    return tuple(
        Flow(
            flow_id=str(row["id"]),
            venue=venue,
            asset=asset_code(text(row, "asset")),
            amount=number(row, "new_balance") - number(row, "old_balance"),
            wall=datetime.fromisoformat(text(row, "date")).timestamp(),
            kind=text(row, "info"),
            group=optional_text(row, "execution", "booking_uid") or "",
        )
        for row in rows
        if not is_contract(text(row, "asset")) and asset_code(row["asset"]) not in NOT_MONEY
    )


def split(rows: Iterable[Flow]) -> Book:
    """Rows as a book: what moved money in or out, and what is profit or loss."""
    listed = tuple(rows)
    flows = tuple(row for row in listed if row.kind in FLOW_TYPES)
    return Book(flows, tuple(row for row in listed if row.kind not in FLOW_TYPES))


class LogReader:
    """The account log of one account, as far as this process has read it.

    ask: one call of account-log with these parameters, giving its `logs`.
    """

    def __init__(self, venue: str, ask: Callable[[dict[str, Any]], Awaitable[list[Mapping[str, Any]]]]) -> None:
        self._venue = venue
        self._ask = ask
        self._rows: dict[str, Flow] = {}
        self._known_to: int | None = None
        self._since = float("inf")

    async def read(self, since_wall: float) -> Book:
        """All flows since then, and the other rows that are known; rows may be given again.

        Raises MalformedReply if the pages do not come to an end.
        """
        if since_wall < self._since or self._known_to is None or not await self._read_newer(self._known_to):
            newest_id = await self._read_all(since_wall)
            self._since = min(self._since, since_wall)
            self._knows(newest_id)
        self._rows = {row_id: row for row_id, row in self._rows.items() if row.wall > since_wall - KEEP_S}
        return split(self._rows.values())

    def _knows(self, newest_id: int | None) -> None:
        """All entries up to this one are read."""
        if newest_id is not None:
            self._known_to = max(newest_id, self._known_to or 0)

    async def _read_newer(self, known_id: int) -> bool:
        """The entries above the last known one. False if they are so many that asking by type costs less."""
        for count in _COUNTS:
            page = await self._page({"from": known_id + 1, "sort": "asc", "count": count})
            known_id = max(page, default=known_id)
            self._knows(known_id)
            if len(page) < count:
                return True
        return False

    async def _read_all(self, since_wall: float) -> int | None:
        """The newest entries first; if they are too many, all flows by their types. Gives the newest id."""
        query: dict[str, Any] = {"since": int(since_wall * 1000), "sort": "desc"}
        newest_id = None
        for count in _COUNTS:
            page = await self._page({**query, "count": count})
            newest_id = max(page, default=None) if newest_id is None else newest_id
            if len(page) < count:
                return newest_id
            query["to"] = min(page) - 1
        for info in sorted(FLOW_TYPES):
            await self._read_type({"since": int(since_wall * 1000), "sort": "desc", "info": info})
        return newest_id

    async def _read_type(self, query: dict[str, Any]) -> None:
        count = _COUNTS[1]
        for _ in range(_PAGES_OF_ONE_TYPE):
            page = await self._page({**query, "count": count})
            if len(page) < count:
                return
            query = {**query, "to": min(page) - 1}
        raise MalformedReply("the account log's pages do not come to an end")

    async def _page(self, query: dict[str, Any]) -> list[int]:
        """The ids on one page."""
        rows = await self._ask(query)
        self._rows.update({row.flow_id: row for row in parse_rows(self._venue, rows)})
        return [int(number(row, "id")) for row in rows]
