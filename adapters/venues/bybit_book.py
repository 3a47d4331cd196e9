"""Bybit's book, the transaction log: every change of the unified wallet, 50 rows a page and 7 days a call.

A busy account has more rows than can be read; then what moved money is asked for by its types. Ids repeat, even in
the documentation's own example, so a row is known by all of it that does not change.
https://bybit-exchange.github.io/docs/v5/account/transaction-log, types: .../docs/v5/enum#typeuta-translog
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from adapters.dialect import Book, number, text
from risk_daemon.errors import MalformedReply
from risk_daemon.model.events import Flow

_IN_AND_OUT = frozenset({"TRANSFER_IN", "TRANSFER_OUT"})
FLOW_TYPES = _IN_AND_OUT | frozenset(
    {
        *("AIRDROP", "BONUS", "BONUS_RECOLLECT", "BONUS_TRANSFER_IN", "BONUS_TRANSFER_OUT"),
        *("PEF_TRANSFER_IN", "PEF_TRANSFER_OUT", "PREMARKET_TRANSFER_OUT"),
        *("TRANSFER_IN_INS_LOAN", "TRANSFER_OUT_INS_LOAN", "INSTITUTION_LOAN_IN", "INSTITUTION_PAYBACK_PRINCIPAL_OUT"),
        *("INSTITUTION_LOAN_TRANSFER_IN", "INSTITUTION_LOAN_TRANSFER_OUT", "INSTITUTION_LOAN_WITHOUT_WITHDRAW"),
        *("INSTITUTION_LOAN_RESERVE_IN", "INSTITUTION_LOAN_RESERVE_OUT", "BORROWED_AMOUNT_INS_LOAN"),
        *("PRINCIPLE_REPAYMENT_INS_LOAN", "AUTO_PRINCIPLE_REPAYMENT_INS_LOAN", "INSTITUTION_LIQ_PRINCIPAL_OUT"),
        *("LOANS_BORROW_FUNDS", "LOANS_PLEDGE_ASSET"),
        *("TOKENS_SUBSCRIPTION", "TOKENS_REDEMPTION", "FLEXIBLE_STAKING_SUBSCRIPTION", "FLEXIBLE_STAKING_REDEMPTION"),
        *("FLEXIBLE_STAKING_REFUND", "FIXED_STAKING_SUBSCRIPTION", "FIXED_STAKING_REFUND"),
        *("ONCHAINEARN_SUBSCRIPTION", "ONCHAINEARN_REDEMPTION", "ONCHAINEARN_REFUND"),
        *("STRUCTURE_PRODUCT_SUBSCRIPTION", "STRUCTURE_PRODUCT_REFUND", "CLASSIC_WEALTH_MANAGEMENT_SUBSCRIPTION"),
        *("PREMIMUM_WEALTH_MANAGEMENT_SUBSCRIPTION", "PREMIMUM_WEALTH_MANAGEMENT_REFUND"),
        *("LIQUIDITY_MINING_SUBSCRIPTION", "LIQUIDITY_MINING_REFUND", "PWM_SUBSCRIPTION", "PWM_REFUND"),
        *("DEFI_INVESTMENT_SUBSCRIPTION", "DEFI_INVESTMENT_REFUND", "DEFI_INVESTMENT_REDEMPTION"),
        *("CUSTODY_LOCK", "CUSTODY_UNLOCK", "CUSTODY_UNLOCK_REFUND"),
        *("DBS_CASH_OUT", "DBS_CASH_IN", "DBS_CASH_OUT_TR", "DBS_CASH_IN_TR", "CUSTODY_CASH_RECOVER_TR"),
        *("TWAP_BUDGET_AIRDROP", "TWAP_BUDGET_RECALL", "ALPHA_SMALL_TOKEN_REFUND", "AUTO_DEDUCTION"),
        *("PLATFORM_TOKEN_MNT_LIQRECALLEDMMNT", "PLATFORM_TOKEN_MNT_LIQRETURNEDMNT"),
    }
)
"""Types that move money in or out. All others, and those that are new, are profit or loss."""

NEUTRAL_TYPES = frozenset({"BORROW", "REPAY", "FLOATING_TO_FIXED_BORROW", "FLOATING_TO_FIXED_REPAY"})
"""What is borrowed lies in the wallet and is owed: held less owed it changes nothing."""

PAGE_ROWS = 50
WINDOW_S = 7 * 86_400.0
DAY_S = 86_400.0
_MOST_PAGES = 20
"""Of rows of all types in one reading; beyond that only flows are read."""

_PAGES_OF_ONE_TYPE = 400
LATE_S = 60.0
KEEP_S = 3_600.0

_UNCHANGING = ("id", "type", "currency", "transactionTime", "change", "cashBalance", "tradeId")


def parse_row(venue: str, row: Mapping[str, Any], code: Callable[[str], str]) -> Flow:
    """transaction-log: a row as the change of its coin's amount; fees and funding are in it already."""
    return Flow(
        flow_id=":".join(str(row.get(name) or "") for name in _UNCHANGING),
        venue=venue,
        asset=code(text(row, "currency")),
        amount=number(row, "change"),
        wall=float(number(row, "transactionTime")) / 1000,
        kind=text(row, "type"),
        group=str(row.get("tradeId") or ""),
    )


def split(rows: Iterable[Flow]) -> Book:
    """Rows as a book: what moved money in or out, and what is profit or loss."""
    listed = [row for row in rows if row.kind not in NEUTRAL_TYPES]
    flows = tuple(row for row in listed if row.kind in FLOW_TYPES)
    return Book(flows, tuple(row for row in listed if row.kind not in FLOW_TYPES))


class _TooMany(Exception):
    """More pages than are read."""


class LogReader:
    """The log of one account, as far as this process has read it.

    ask: one call of transaction-log with these parameters, giving its `result`. code: our name of a coin.
    """

    def __init__(
        self,
        venue: str,
        ask: Callable[[dict[str, Any]], Awaitable[Mapping[str, Any]]],
        code: Callable[[str], str],
    ) -> None:
        self._venue = venue
        self._ask = ask
        self._code = code
        self._rows: dict[str, Flow] = {}
        self._since = float("inf")
        self._known_to = float("-inf")

    async def read(self, since_wall: float, now_wall: float) -> Book:
        """All flows since then, and the other rows that are known; rows may be given again.

        Raises MalformedReply if the pages do not come to an end.
        """
        if since_wall < self._since:
            await self._read(since_wall, now_wall)
            self._since = since_wall
        else:
            await self._read(max(self._since, self._known_to - LATE_S), now_wall)
            # A row may be written long after what it tells of; of these none may be missed.
            await self._read_types(_IN_AND_OUT, max(self._since, now_wall - DAY_S), now_wall)
        self._known_to = max((row.wall for row in self._rows.values()), default=since_wall)
        self._since = max(self._since, since_wall - KEEP_S)
        self._rows = {row_id: row for row_id, row in self._rows.items() if row.wall > since_wall - KEEP_S}
        return split(sorted(self._rows.values(), key=lambda row: (row.wall, row.flow_id)))

    async def _read(self, start: float, now_wall: float) -> None:
        """Every row since `start`, or where these are too many the flows among them."""
        left = _MOST_PAGES
        try:
            for window in _windows(start, now_wall):
                left -= await self._walk(window, left)
        except _TooMany:
            await self._read_types(FLOW_TYPES, start, now_wall)

    async def _read_types(self, types: frozenset[str], start: float, now_wall: float) -> None:
        for name in sorted(types):
            for window in _windows(start, now_wall):
                try:
                    await self._walk({**window, "type": name}, _PAGES_OF_ONE_TYPE)
                except _TooMany:
                    raise MalformedReply(f"the log's pages of type {name} do not come to an end") from None

    async def _walk(self, query: Mapping[str, Any], most: int) -> int:
        """All pages of a window; how many there were. A full page has a cursor, and so may one that is not."""
        cursor: Any = None
        for page in range(1, most + 1):
            result = await self._ask({**query, "limit": PAGE_ROWS} | ({"cursor": cursor} if cursor else {}))
            rows = [parse_row(self._venue, row, self._code) for row in result["list"]]
            self._rows.update({row.flow_id: row for row in rows})
            following = result["nextPageCursor"]
            if following and following == cursor:
                raise MalformedReply("the log's next page is the same page")
            if not following and len(rows) >= PAGE_ROWS:
                raise MalformedReply("a full page of the log leads nowhere")
            if not following or not rows:
                return page
            cursor = following
        raise _TooMany


def _windows(start: float, now_wall: float) -> Iterable[dict[str, Any]]:
    """From now backwards. The last one is open where it may be, so that no clock of ours cuts off the newest rows."""
    if now_wall - start < DAY_S - LATE_S:
        yield {"startTime": int(start * 1000)}
        return
    end = now_wall + LATE_S
    while end > start:
        begin = max(start, end - WINDOW_S)
        yield {"startTime": int(begin * 1000), "endTime": int(end * 1000)}
        end = begin
