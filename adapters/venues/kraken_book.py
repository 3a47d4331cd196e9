"""Kraken's book, the ledger: every change of every balance, read newest page first until it is known.

A page costs two calls of the counter, so nothing is read twice: `LedgerReader` keeps the rows of the time
asked for, and the venue's own count of them says whether any is missing.
https://docs.kraken.com/api-reference/account-data/get-ledgers-info
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from adapters.dialect import Book, number, text
from adapters.lane import current_urgency
from risk_daemon.errors import MalformedReply
from risk_daemon.model.events import Flow

FLOW_TYPES = frozenset({"deposit", "withdrawal", "transfer", "custodytransfer", "adjustment", "credit", "invite bonus"})
"""Ledger types that move money in or out. All others, and those that are new, are profit or loss."""

_FILTERS = ("deposit", "withdrawal", "transfer")
_RARE_FILTERS = ("adjustment", "credit")
"""Of the flow types those that a listing can be asked for. The rare ones wait for a second one that is not urgent."""

_PAGE_ROWS = 50
_PAGES_OF_ONE_FILTER = 400
KEEP_S = 3_600.0
"""For how long before the time asked for rows are kept: a clock may be set back."""

NOT_MONEY = frozenset({"KFEE"})

WALLET_SUFFIX = re.compile(r"\.(?:F|S|M|B|P|HOLD)$")
_BONDED_DAYS = re.compile(r"^([A-Z]{2,})\d{2}$")
_LEGACY_NAMES = {
    "XBT": "BTC",
    "XDG": "DOGE",
    "XXDG": "DOGE",
    "XXBT": "BTC",
    "XETH": "ETH",
    "XETC": "ETC",
    "XLTC": "LTC",
    "XMLN": "MLN",
    "XREP": "REP",
    "XXLM": "XLM",
    "XXMR": "XMR",
    "XXRP": "XRP",
    "XZEC": "ZEC",
    "ZAUD": "AUD",
    "ZCAD": "CAD",
    "ZEUR": "EUR",
    "ZGBP": "GBP",
    "ZJPY": "JPY",
    "ZUSD": "USD",
    "ETH2": "ETH",
}


def asset_code(raw: str) -> str:
    """One name for an asset, whichever wallet holds it: XXBT, XBT.F and XBT.M are all BTC."""
    name = WALLET_SUFFIX.sub("", raw)
    if name != raw:
        bonded = _BONDED_DAYS.match(name)
        name = bonded.group(1) if bonded else name
    return _LEGACY_NAMES.get(name, name)


def parse_rows(venue: str, ledger: Mapping[str, Mapping[str, Any]]) -> tuple[Flow, ...]:
    """Ledgers: each row as the change of its asset's amount, oldest first.

    The balance moves by amount - fee; both are in the row's asset. Moves between own wallets come in
    pairs of one group and cancel out. The documentation does not say whether drawing on a credit line
    writes rows of type `credit`; BalanceEx is read less `credit_used`, so such a row would be a deposit
    that no holding shows.
    """
    rows = (
        Flow(
            flow_id=ledger_id,
            venue=venue,
            asset=asset_code(text(row, "asset")),
            amount=number(row, "amount") - number(row, "fee"),
            wall=float(number(row, "time")),
            kind=text(row, "type"),
            group=str(row.get("refid") or ""),
        )
        for ledger_id, row in ledger.items()
    )
    return tuple(sorted(rows, key=lambda row: (row.wall, row.flow_id)))


def split(rows: Iterable[Flow]) -> Book:
    """Rows as a book: what moved money in or out, and what is profit or loss. What is no money is left out."""
    money = tuple(row for row in rows if row.asset not in NOT_MONEY)
    flows = tuple(row for row in money if row.kind in FLOW_TYPES)
    return Book(flows, tuple(row for row in money if row.kind not in FLOW_TYPES))


class LedgerReader:
    """The ledger of one account, as far as this process has read it.

    ask: one call of Ledgers with these parameters, giving its `result`. Readers of the same ledger may
    overlap: what one has read, the other need not.
    """

    def __init__(self, venue: str, ask: Callable[[dict[str, Any]], Awaitable[Mapping[str, Any]]]) -> None:
        self._venue = venue
        self._ask = ask
        self._forget()

    def _forget(self) -> None:
        """Nothing is known. whole_since: all rows after it are; flows_since: all flows after it, once none is left."""
        self._rows: dict[str, Flow] = {}
        self._whole_since: int | None = None
        self._flows_since = math.inf
        self._filters_left: list[str] = []

    async def read(self, since_wall: float) -> Book:
        """All flows since then, and the other rows that are known; rows may be given again.

        Raises MalformedReply if pages and counts do not agree.
        """
        if since_wall < self._flows_since:
            self._forget()
            self._flows_since = since_wall
        is_first = self._whole_since is None
        if is_first:
            await self._read_newest(int(since_wall))
        for name in tuple(self._filters_left):
            if name in _RARE_FILTERS and (is_first or current_urgency().goes_first):
                break
            await self._read_filter(name)
        if not is_first:
            # Last, so that one that is cut short goes on where it stood and pays for no page twice.
            await self._read_newest(int(max(since_wall, self._whole_since or 0)))
        self._drop_before(since_wall - KEEP_S)
        return split(sorted(self._rows.values(), key=lambda row: (row.wall, row.flow_id)))

    async def _read_newest(self, start: int) -> None:
        """Page by page until every row after `start` is known; or only the first, where asking by type costs less.

        What is written meanwhile shifts the pages, but leaves none out; it is found by the next listing.
        """
        page, counted = await self._page({"type": "all", "start": start})
        walked = {row.flow_id: row for row in page}
        if counted - self._known(start) > _PAGE_ROWS * len(_FILTERS + _RARE_FILTERS):
            self._filters_left = [*_FILTERS, *_RARE_FILTERS]
        else:
            while self._known(start) < counted:
                page, _ = await self._page({"type": "all", "start": start, "ofs": len(walked)})
                before = len(walked)
                walked.update({row.flow_id: row for row in page})
                if len(walked) == before:
                    raise MalformedReply("the ledger's pages do not add up to its count")
        is_cut = self._known(start) < counted
        oldest = math.ceil(min((row.wall for row in walked.values()), default=start)) if is_cut else start
        self._whole_since = max(self._whole_since or 0, oldest)

    def _known(self, start: int) -> int:
        """How many rows after `start` we know: the venue counts them as well."""
        return sum(row.wall > start for row in self._rows.values())

    async def _read_filter(self, name: str) -> None:
        """All flows of one type since the first listing: a page, as a rule."""
        query = {"type": name, "start": int(self._flows_since)}
        found: set[str] = set()
        for _ in range(_PAGES_OF_ONE_FILTER):
            page, counted = await self._page({**query, "ofs": len(found)} if found else query)
            found.update(row.flow_id for row in page)
            if len(found) >= counted:
                self._filters_left = [left for left in self._filters_left if left != name]
                return
            if not page:
                break
        raise MalformedReply(f"the ledger's pages of type {name} do not add up to their count")

    async def _page(self, query: dict[str, Any]) -> tuple[tuple[Flow, ...], int]:
        """The rows of one page, and how many there are on all of them."""
        result = await self._ask(query)
        rows, counted = parse_rows(self._venue, result["ledger"]), int(number(result, "count"))
        if counted < len(rows):
            raise MalformedReply(f"the ledger has {len(rows)} rows and a count of {counted}")
        self._rows.update({row.flow_id: row for row in rows})
        return rows, counted

    def _drop_before(self, wall: float) -> None:
        self._rows = {row_id: row for row_id, row in self._rows.items() if row.wall > wall}
        self._flows_since = max(self._flows_since, wall)
        self._whole_since = max(self._whole_since or 0, math.ceil(wall))
