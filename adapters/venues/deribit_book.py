"""Deribit's transaction log: every change of the cash of one currency, newest first, in pages that lead to the next.

Profit of contracts is not among them until it is settled, at 08:00 UTC, so only what moved money in or out is taken.
https://docs.deribit.com/api-reference/account-management/private-get_transaction_log
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from adapters.dialect import number, text
from risk_daemon.errors import MalformedReply
from risk_daemon.model.events import Flow

FLOW_TYPES = frozenset({"deposit", "withdrawal", "transfer"})
"""Entries that move money in or out. A swap changes one currency for another; all others, and new ones, are profit."""

PAGE_ROWS = 250
AHEAD_S = 3_600.0
LATE_S = 3_600.0
"""So much of what is known is read again: an entry may be written after a younger one."""

KEEP_S = 3_600.0
_MOST_PAGES = 400

Ask = Callable[[dict[str, Any]], Awaitable[Mapping[str, Any]]]


def parse_row(venue: str, row: Mapping[str, Any], code: Callable[[str], str]) -> Flow:
    """An entry as the change of its currency's cash; fees are in it already. Ids are counted in each currency."""
    currency = text(row, "currency")
    return Flow(
        flow_id=f"{currency}:{int(number(row, 'id'))}",
        venue=venue,
        asset=code(currency),
        amount=number(row, "change"),
        wall=float(number(row, "timestamp")) / 1000,
        kind=text(row, "type"),
    )


class LogReader:
    """The log of one account, as far as this process has read it: a call costs an eighth of what there is.

    ask: one call of get_transaction_log, giving its `result`.
    """

    def __init__(self, venue: str, ask: Ask, code: Callable[[str], str]) -> None:
        self._venue = venue
        self._ask = ask
        self._code = code
        self._rows: dict[str, Flow] = {}
        self._from: dict[str, float] = {}
        self._to: dict[str, float] = {}

    async def read(
        self, currencies: Iterable[str], moving: frozenset[str], since_wall: float, now_wall: float
    ) -> tuple[Flow, ...]:
        """All flows since then. moving: the currencies of which there is or was something: what none had is read once.

        Where it is interrupted it goes on from there.
        """
        for currency in currencies:
            is_new = since_wall < self._from.get(currency, float("inf"))
            if not is_new and currency not in moving:
                continue
            await self._walk(currency, since_wall if is_new else max(since_wall, self._to[currency] - LATE_S), now_wall)
            self._from[currency] = min(since_wall, self._from.get(currency, since_wall))
            self._to[currency] = now_wall
        self._rows = {row_id: row for row_id, row in self._rows.items() if row.wall > since_wall - KEEP_S}
        return tuple(sorted(self._rows.values(), key=lambda row: (row.wall, row.flow_id)))

    async def _walk(self, currency: str, start: float, now_wall: float) -> None:
        query: dict[str, Any] = {
            "currency": currency,
            "start_timestamp": int(start * 1000),
            "end_timestamp": int((now_wall + AHEAD_S) * 1000),
            "count": PAGE_ROWS,
        }
        found: dict[str, Flow] = {}
        for _ in range(_MOST_PAGES):
            page = await self._ask(query)
            rows = [parse_row(self._venue, row, self._code) for row in page["logs"]]
            if rows and all(row.flow_id in found for row in rows):
                raise MalformedReply(f"the log of {currency} shows a page for the second time")
            found.update({row.flow_id: row for row in rows})
            if page["continuation"] is None:
                self._rows.update({row_id: row for row_id, row in found.items() if row.kind in FLOW_TYPES})
                return
            query = {**query, "continuation": page["continuation"]}
        raise MalformedReply(f"the pages of the log of {currency} do not come to an end")
