"""What moved money into or out of a MEXC account: deposits, withdrawals, and transfers to a wallet that is not guarded.

There is no ledger. Each sort has a list of its own, of seven days at a time and ninety back, newest read again because
what is under way has no end yet. Trades, fees and funding are told pair by pair, and are not read.
https://www.mexc.com/api-docs/spot-v3/wallet-endpoints/deposit-historysupporting-network
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from adapters.dialect import number, optional_text, text
from risk_daemon.errors import MalformedReply
from risk_daemon.model.events import Flow

_DAY_S = 86_400.0
WINDOW_S = 7 * _DAY_S - 60.0
BACK_S = 90 * _DAY_S - 3_600.0
OVERLAP_S = 3 * _DAY_S
"""A deposit is listed by when it was seen, and counts from when it was credited: so long it may take."""

AHEAD_S = 3_600.0
_LEAST_WINDOW_S = 1.0
_PAGE_ROWS = 1_000
_TRANSFER_ROWS = 100
_MOST_PAGES = 200

CREDITED = frozenset({"5", "12"})
LOST = frozenset({"8", "9"})
"""A withdrawal that failed or was cancelled: it came back."""

Row = Mapping[str, Any]
Ask = Callable[[dict[str, Any]], Awaitable[Sequence[Row]]]


def _coin(row: Row) -> str:
    """`USDT-TRX` is USDT."""
    return text(row, "coin").partition("-")[0]


def parse_deposit(venue: str, row: Row) -> tuple[Flow, ...]:
    """hisrec: nothing until it is credited. It has no id: the transaction and its coin stand for one."""
    if str(row.get("status")) not in CREDITED:
        return ()
    inserted = number(row, "insertTime")
    transaction = optional_text(row, "txId", "transHash") or f"{inserted}:{row.get('amount')}"
    credited = number(row, "updateTime") if row.get("updateTime") else inserted
    flow = Flow(
        flow_id=f"deposit:{text(row, 'coin')}:{transaction}",
        venue=venue,
        asset=_coin(row),
        amount=number(row, "amount"),
        wall=float(credited) / 1000,
        kind="deposit",
    )
    return (flow,)


def parse_withdrawal(venue: str, row: Row) -> tuple[Flow, ...]:
    """history: it leaves when it is applied for, fee included; one that failed comes back by a row of ours."""
    withdrawal_id, amount = text(row, "id"), number(row, "amount")
    applied = float(number(row, "applyTime")) / 1000
    left = Flow(
        flow_id=f"withdrawal:{withdrawal_id}",
        venue=venue,
        asset=_coin(row),
        amount=-amount,
        wall=applied,
        kind="withdrawal",
        group=withdrawal_id,
    )
    if str(row.get("status")) not in LOST:
        return (left,)
    ended = float(number(row, "updateTime")) / 1000 if row.get("updateTime") else applied
    back = Flow(
        flow_id=f"returned:{withdrawal_id}",
        venue=venue,
        asset=left.asset,
        amount=amount,
        wall=ended,
        kind="withdrawal returned",
        group=withdrawal_id,
    )
    return (left, back)


def parse_transfer(venue: str, row: Row, inside: str) -> tuple[Flow, ...]:
    """capital/transfer: between the two wallets of the account. inside: the word for the one that is guarded."""
    if text(row, "status") != "SUCCESS":
        return ()
    sign = 1 if text(row, "toAccountType") == inside else -1
    flow = Flow(
        flow_id=f"transfer:{text(row, 'tranId')}",
        venue=venue,
        asset=text(row, "asset"),
        amount=number(row, "amount") * sign,
        wall=float(number(row, "timestamp")) / 1000,
    )
    return (flow,)


def parse_contract_transfer(venue: str, row: Row) -> tuple[Flow, ...]:
    """transfer_record: as the contract wallet saw it."""
    if text(row, "state") != "SUCCESS":
        return ()
    signs = {"IN": 1, "OUT": -1}
    if row.get("type") not in signs:
        raise MalformedReply(f"a transfer of type {row.get('type')!r}")
    flow = Flow(
        flow_id=f"transfer:{row.get('id')}",
        venue=venue,
        asset=text(row, "currency"),
        amount=number(row, "amount") * signs[row["type"]],
        wall=float(number(row, "createTime")) / 1000,
    )
    return (flow,)


class _Walk:
    """One list as far as it is known: all of it since `since_wall`, up to when it was last read."""

    def __init__(self, ask: Ask, parse: Callable[[Row], tuple[Flow, ...]], *, is_open: Callable[[Row], bool]) -> None:
        self._ask = ask
        self._parse = parse
        self._is_open = is_open
        self._since_wall = float("inf")
        self._read_to_wall = 0.0
        self._open_since: float | None = None
        self.flows: dict[str, Flow] = {}

    async def read(self, since_wall: float, now_wall: float) -> None:
        """What is known stays as it was first told: a row is listed with another time once more has become of it."""
        oldest = now_wall - BACK_S
        known_to = self._read_to_wall if since_wall >= self._since_wall else 0.0
        start = max(oldest, since_wall - OVERLAP_S, min(known_to, self._open_since or known_to) - OVERLAP_S)
        self._open_since = None
        end = now_wall + AHEAD_S
        while end > start:
            begin = max(start, end - WINDOW_S)
            await self._window(begin, end)
            end = begin
        self._since_wall = min(self._since_wall, since_wall)
        self._read_to_wall = now_wall

    async def _window(self, start: float, end: float) -> None:
        rows = await self._ask({"startTime": int(start * 1000), "endTime": int(end * 1000), "limit": _PAGE_ROWS})
        if len(rows) >= _PAGE_ROWS:
            if end - start < _LEAST_WINDOW_S:
                raise MalformedReply("more rows in a second than a list can show")
            middle = (start + end) / 2
            await self._window(middle, end)
            await self._window(start, middle)
            return
        for row in rows:
            if self._is_open(row):
                self._open_since = min(self._open_since or start, start)
            for flow in self._parse(row):
                self.flows.setdefault(flow.flow_id, flow)


class FlowReader:
    """The lists of one account. A transfer between two wallets that are both guarded is no flow."""

    def __init__(self, venue: str, client: Any, *, has_spot: bool, has_contracts: bool) -> None:
        self._client = client
        self._venue = venue
        self._walks = self._spot_walks(with_transfers=not has_contracts) if has_spot else []
        self._has_records = has_contracts and not has_spot

    def _spot_walks(self, *, with_transfers: bool) -> list[_Walk]:
        venue = self._venue

        async def deposits(query: dict[str, Any]) -> Sequence[Row]:
            rows: Sequence[Row] = await self._client.spotPrivateGetCapitalDepositHisrec(query)
            return rows

        async def withdrawals(query: dict[str, Any]) -> Sequence[Row]:
            rows: Sequence[Row] = await self._client.spotPrivateGetCapitalWithdrawHistory(query)
            return rows

        walks = [
            _Walk(
                deposits,
                lambda row: parse_deposit(venue, row),
                is_open=lambda row: str(row.get("status")) not in CREDITED,
            ),
            _Walk(
                withdrawals,
                lambda row: parse_withdrawal(venue, row),
                is_open=lambda row: str(row.get("status")) not in LOST | {"7"},
            ),
        ]
        if with_transfers:
            for source, target in (("SPOT", "FUTURES"), ("FUTURES", "SPOT")):
                walks.append(
                    _Walk(
                        self._transfers(source, target),
                        lambda row: parse_transfer(venue, row, "SPOT"),
                        is_open=lambda row: row.get("status") != "SUCCESS",
                    )
                )
        return walks

    def _transfers(self, source: str, target: str) -> Ask:
        async def ask(query: dict[str, Any]) -> Sequence[Row]:
            """All pages of a window."""
            window = {name: query[name] for name in ("startTime", "endTime")}
            words = {"fromAccountType": source, "toAccountType": target, "size": _TRANSFER_ROWS}
            found: list[Row] = []
            for page in range(1, _MOST_PAGES + 1):
                reply = await self._client.spotPrivateGetCapitalTransfer({**window, **words, "page": page})
                found.extend(reply["rows"])
                if len(reply["rows"]) < _TRANSFER_ROWS:
                    return found
            raise MalformedReply("the list of transfers does not come to an end")

        return ask

    async def read(self, since_wall: float, now_wall: float) -> tuple[Flow, ...]:
        """Every flow since then, and those that are known from before; rows may be given again."""
        for walk in self._walks:
            await walk.read(since_wall, now_wall)
        flows = [flow for walk in self._walks for flow in walk.flows.values()]
        if self._has_records:
            flows += await self._records(since_wall)
        return tuple(sorted(flows, key=lambda flow: (flow.wall, flow.flow_id)))

    async def _records(self, since_wall: float) -> list[Flow]:
        """The contract wallet's own list has no windows: newest page first, until all that is asked for is there."""
        found: dict[str, Flow] = {}
        for page in range(1, _MOST_PAGES + 1):
            query = {"page_num": page, "page_size": _TRANSFER_ROWS}
            rows = (await self._client.contractPrivateGetAccountTransferRecord(query))["data"]["resultList"]
            flows = [flow for row in rows for flow in parse_contract_transfer(self._venue, row)]
            found.update({flow.flow_id: flow for flow in flows})
            if len(rows) < _TRANSFER_ROWS or min(float(number(row, "createTime")) for row in rows) < since_wall * 1000:
                return list(found.values())
        raise MalformedReply("the list of transfers does not come to an end")
