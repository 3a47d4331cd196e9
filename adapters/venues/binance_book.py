"""What moved money into or out of Binance's spot and margin wallets: a listing for each way it can go, and no ledger.

Each is walked newest first, window by window and page by page, from now to the time asked for. A transfer between
two wallets that are both guarded is none. Trades are listed by symbol only, so they are not read: a fall that no
row here explains waits for none. https://developers.binance.com/en/docs/catalog/core-wallet
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from adapters.cancel_plans import NO_PARAMS, Row
from adapters.dialect import number, text
from adapters.order_books import rows_at
from risk_daemon.errors import MalformedReply, VenueRejected
from risk_daemon.model.events import Flow

DAY_S = 86_400.0
LONG_AGO_S = 5 * 365 * DAY_S
OVERLAP_S = 3 * DAY_S
"""Deposits and withdrawals are listed by when they began; what began before may count since."""

MOST_PAGES = 200
SPOT_WORDS = frozenset({"MAIN", "FUNDING"})
MARGIN_WORDS = frozenset({"MARGIN", "ISOLATEDMARGIN"})
# Every pair of wallets that money moves between, as `asset/transfer` names them, but those within isolated margin.
_WAYS = (
    *(("MAIN", other) for other in ("UMFUTURE", "CMFUTURE", "MARGIN", "FUNDING", "OPTION", "PORTFOLIO_MARGIN")),
    *(("FUNDING", other) for other in ("UMFUTURE", "CMFUTURE", "MARGIN", "OPTION")),
    *(("MARGIN", other) for other in ("UMFUTURE", "CMFUTURE", "OPTION")),
)
# Account types of a sub-account's transfers that are wallets of ours.
_SUB_TYPES = {"SPOT": "MAIN", "MARGIN": "MARGIN", "ISOLATED_MARGIN": "ISOLATEDMARGIN"}
_CREDITED = frozenset({"1", "6"})
_LEFT = frozenset({"0", "2", "4", "6"})
_NOT_LEFT = frozenset({"1", "3", "5"})
_DONE = frozenset({"CONFIRMED", "SUCCESS"})

_SUBS, _SUB_ROWS = "sub-account list", 200

ReadRow = Callable[[Row], Flow | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One listing. read: a row as a flow; None: it moved nothing.

    at: where its rows stand. size, page: the params of how many rows a page has and of which one; page None: the
    next one ends where this one's eldest row stands. first: the number of the first page, counted in `step`s.
    span_s, back_s: the longest window, and how far back it can be asked. optional: an account of another sort is
    refused here, and has no such rows.
    """

    call: str
    read: ReadRow
    rows: int
    params: Mapping[str, Any] = field(default_factory=lambda: NO_PARAMS)
    at: tuple[str, ...] = ()
    size: str = "limit"
    page: str | None = None
    first: int = 0
    step: int = 1
    time: str = ""
    span_s: float
    back_s: float = LONG_AGO_S
    optional: bool = False


class FlowReader:
    """Reads every source of one account. words: the wallets that are guarded, as transfers name them."""

    def __init__(self, venue: str, words: Collection[str], client: Any) -> None:
        self._venue = venue
        self._words = frozenset(words)
        self._client = client
        self._refused: set[str] = set()

    async def read(self, since_wall: float, pairs: Sequence[str]) -> tuple[Flow, ...]:
        """All flows since then, the eldest first; pairs: that have an isolated wallet."""
        subs = await self._sub_accounts()
        sources = [*self._sources(pairs), *([self._sub("1"), self._sub("2")] if subs is None else self._masters(subs))]
        walks: list[Awaitable[list[Flow]]] = [self._walk(source, since_wall) for source in sources]
        found = {flow.flow_id: flow for flows in await asyncio.gather(*walks) for flow in flows}
        return tuple(sorted(found.values(), key=lambda flow: (flow.wall, flow.flow_id)))

    def _sources(self, pairs: Sequence[str]) -> list[Source]:
        sources = [_numbered(f"{a}_{b}", self._transfer(a, b)) for a, b in self._ways()]
        sources += [self._dividends()]
        if self._words & SPOT_WORDS:
            sources += [self._deposits(), self._withdrawals()]
        if len(self._words & {"MAIN", "ISOLATEDMARGIN"}) == 1:
            sources += [self._isolated(pair) for pair in pairs]
        return sources

    async def _sub_accounts(self) -> tuple[str, ...] | None:
        """The sub-accounts of a master account; None if it is none, which is asked once."""
        if _SUBS in self._refused:
            return None
        found: list[str] = []
        try:
            for page in range(1, MOST_PAGES + 1):
                reply = await self._client.sapiGetSubAccountList({"limit": _SUB_ROWS, "page": page})
                rows = rows_at(reply, ("subAccounts",))
                found += [text(row, "email") for row in rows]
                if len(rows) < _SUB_ROWS:
                    return tuple(found)
        except VenueRejected:
            self._refused.add(_SUBS)
            return None
        raise MalformedReply("the list of sub-accounts does not come to an end")

    def _masters(self, subs: Collection[str]) -> list[Source]:
        return [self._master(subs), *(self._master(subs, sender) for sender in subs)] if subs else []

    def _ways(self) -> list[tuple[str, str]]:
        """The directions in which money leaves what is guarded, or reaches it."""
        both = [way for pair in _WAYS for way in (pair, pair[::-1])]
        return [(a, b) for a, b in both if (a in self._words) != (b in self._words)]

    async def _walk(self, source: Source, since_wall: float) -> list[Flow]:
        """Window by window. The newest has no end: the venue's own clock says what is new."""
        if source.call in self._refused:
            return []
        now = self._client.milliseconds() / 1000
        begin = max(since_wall - OVERLAP_S, now - source.back_s)
        flows: list[Flow] = []
        end: float | None = None
        try:
            while end is None or end > begin:
                start = max(begin, (now if end is None else end) - source.span_s)
                flows += await self._window(source, start, end)
                end = start
        except VenueRejected:
            if not source.optional:
                raise
            self._refused.add(source.call)
        return flows

    async def _window(self, source: Source, start: float, end: float | None) -> list[Flow]:
        found: dict[str, Flow | None] = {}
        params = {**source.params, source.size: source.rows, "startTime": int(start * 1000)}
        if end is not None:
            params["endTime"] = int(end * 1000)
        for index in range(MOST_PAGES):
            more = {source.page: source.first + index * source.step} if source.page is not None and index else {}
            reply = await getattr(self._client, source.call)({**params, **more})
            rows = _rows(reply, source.at)
            before = len(found)
            found.update({_name(source, row): source.read(row) for row in rows})
            if len(rows) < source.rows:
                return [flow for flow in found.values() if flow is not None]
            if len(found) == before:
                break
            if source.page is None:
                params["endTime"] = min(int(number(row, source.time)) for row in rows)
        raise MalformedReply(f"{source.call}: its pages do not come to an end")

    # --- the sources -----------------------------------------------------------------------------

    def _flow(self, kind: str, row_id: object, asset: str, amount: Any, wall_ms: Any) -> Flow:
        wall = float(wall_ms) / 1000
        return Flow(flow_id=f"{kind}:{row_id}", venue=self._venue, asset=asset, amount=amount, wall=wall, kind=kind)

    def _deposits(self) -> Source:
        def read(row: Row) -> Flow | None:
            if str(row.get("status")) not in _CREDITED or not self._holds(row):
                return None
            wall_ms = number(row, "completeTime") if row.get("completeTime") else number(row, "insertTime")
            return self._flow("deposit", text(row, "id"), text(row, "coin"), number(row, "amount"), wall_ms)

        return Source(call="sapiGetCapitalDepositHisrec", read=read, rows=1_000, page="offset", step=1_000, span_s=_Q)

    def _withdrawals(self) -> Source:
        def read(row: Row) -> Flow | None:
            status = str(row.get("status"))
            if status not in _LEFT | _NOT_LEFT:
                raise MalformedReply(f"a withdrawal of the status {status[:20]!r}")
            if status in _NOT_LEFT or not self._holds(row):
                return None
            amount = -number(row, "amount") - number(row, "transactionFee")
            return self._flow("withdrawal", text(row, "id"), text(row, "coin"), amount, _utc_ms(text(row, "applyTime")))

        call = "sapiGetCapitalWithdrawHistory"
        return Source(call=call, read=read, rows=1_000, page="offset", step=1_000, span_s=_Q)

    def _holds(self, row: Row) -> bool:
        """walletType: 0 is spot, 1 funding."""
        word = {"0": "MAIN", "1": "FUNDING"}.get(str(row.get("walletType", 0)))
        if word is None:
            raise MalformedReply(f"a wallet of the type {row.get('walletType')!r}")
        return word in self._words

    def _transfer(self, source: str, target: str) -> ReadRow:
        sign = -1 if source in self._words else 1
        way = f"{source}_{target}"

        def read(row: Row) -> Flow | None:
            if row.get("type") != way:
                raise MalformedReply(f"a transfer of the type {row.get('type')!r} among those of {way}")
            if row.get("status") not in _DONE:
                return None
            amount = sign * number(row, "amount")
            return self._flow("transfer", row["tranId"], text(row, "asset"), amount, number(row, "timestamp"))

        return read

    def _isolated(self, pair: str) -> Source:
        """Between spot and a pair's own wallet, of which one is guarded and the other is not."""
        inside = "SPOT" if "MAIN" in self._words else "ISOLATED_MARGIN"

        def read(row: Row) -> Flow | None:
            ends = (str(row.get("transFrom")), str(row.get("transTo")))
            if "SPOT" not in ends or row.get("status") not in _DONE:
                return None
            amount = number(row, "amount") * (-1 if ends[0] == inside else 1)
            return self._flow("transfer", row["txId"], text(row, "asset"), amount, number(row, "timestamp"))

        return Source(
            call="sapiGetMarginTransfer",
            read=read,
            rows=100,
            params={"isolatedSymbol": pair},
            at=("rows",),
            size="size",
            page="current",
            first=1,
            span_s=30 * DAY_S,
        )

    def _sub(self, kind: str) -> Source:
        """Of a sub-account: what came in (1) and what went out (2), listed apart."""
        end = "toAccountType" if kind == "1" else "fromAccountType"

        def read(row: Row) -> Flow | None:
            amount = number(row, "qty") if kind == "1" else -number(row, "qty")
            return self._between(row, end, f"{kind}:{row['tranId']}", amount, number(row, "time"))

        return Source(
            call="sapiGetSubAccountTransferSubUserHistory",
            read=read,
            rows=500,
            params={"type": kind},
            time="time",
            span_s=30 * DAY_S,
            optional=True,
        )

    def _master(self, subs: Collection[str], sender: str | None = None) -> Source:
        """Of a master account: what it sent, or what one of its sub-accounts sent to it."""

        def read(row: Row) -> Flow | None:
            if (row.get("toEmail") in subs) is (sender is not None):
                return None  # from one wallet of the master to another, or from one sub-account to another
            end = "fromAccountType" if sender is None else "toAccountType"
            amount = number(row, "amount") * (-1 if sender is None else 1)
            return self._between(row, end, f"0:{row['tranId']}", amount, number(row, "createTimeStamp"))

        return Source(
            call="sapiGetSubAccountUniversalTransfer",
            read=read,
            rows=500,
            params={} if sender is None else {"fromEmail": sender},
            at=("result",),
            page="page",
            first=1,
            span_s=6.9 * DAY_S,
        )

    def _between(self, row: Row, end: str, name: str, amount: Any, wall_ms: Any) -> Flow | None:
        """A transfer between accounts, if it is done and our end of it is a wallet that is guarded."""
        if row.get("status") not in _DONE or _SUB_TYPES.get(str(row.get(end))) not in self._words:
            return None
        return self._flow("sub_transfer", name, text(row, "asset"), amount, wall_ms)

    def _dividends(self) -> Source:
        """Airdrops, rebates, interest paid out."""

        def read(row: Row) -> Flow | None:
            amount = number(row, "amount") * (-1 if str(row.get("direction", 1)) == "-1" else 1)
            return self._flow("dividend", row["id"], text(row, "asset"), amount, number(row, "divTime"))

        call = "sapiGetAssetAssetDividend"
        return Source(call=call, read=read, rows=500, at=("rows",), time="divTime", span_s=179 * DAY_S)


_Q = 89 * DAY_S
"""A little less than the 90 days that deposits and withdrawals may be asked for at once."""


def _numbered(way: str, read: ReadRow) -> Source:
    return Source(
        call="sapiGetAssetTransfer",
        read=read,
        rows=100,
        params={"type": way},
        at=("rows",),
        size="size",
        page="current",
        first=1,
        span_s=179 * DAY_S,
        back_s=179 * DAY_S,
    )


def _rows(reply: Any, at: tuple[str, ...]) -> Sequence[Row]:
    """A total of nothing needs no list."""
    if at and isinstance(reply, Mapping) and reply.get("rows") is None and str(reply.get("total")) == "0":
        return ()
    return rows_at(reply, at)


def _name(source: Source, row: Row) -> str:
    """What tells one row from all others of its listing."""
    name = next((row[key] for key in ("id", "tranId", "txId") if row.get(key) not in (None, "")), None)
    if name is None:
        raise MalformedReply(f"{source.call}: a row without an id")
    return str(name)


def _utc_ms(said: str) -> float:
    """`2019-10-12 11:12:02`."""
    try:
        return datetime.strptime(said, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp() * 1000
    except ValueError:
        raise MalformedReply(f"a withdrawal of the time {said[:30]!r}") from None
