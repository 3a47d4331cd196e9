"""MEXC's flows: deposits without an id, withdrawals with their fee inside, what comes back, windows and full pages."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from adapters.venues import mexc_book as book
from adapters.venues.mexc_book import (
    FlowReader,
    parse_contract_transfer,
    parse_deposit,
    parse_transfer,
    parse_withdrawal,
)
from risk_daemon.errors import MalformedReply

DAY_S = 86_400.0
NOW = 1_700_000_000.0


def deposit(wall: float = NOW, **changes: Any) -> dict[str, Any]:
    row = {"amount": "10", "coin": "USDT-TRX", "status": 5, "txId": "51a8:0", "insertTime": int(wall * 1000)}
    return row | changes


def withdrawal(wall: float = NOW, **changes: Any) -> dict[str, Any]:
    row = {"id": "w1", "coin": "USDT-TRX", "amount": "20", "transactionFee": "1", "status": 7}
    return row | {"applyTime": int(wall * 1000)} | changes


def test_a_deposit_counts_when_it_is_credited() -> None:
    (flow,) = parse_deposit("v", deposit(updateTime=int((NOW + 60) * 1000)))
    assert (flow.flow_id, flow.asset, flow.amount, flow.wall) == (
        "deposit:USDT-TRX:51a8:0",
        "USDT",
        Decimal(10),
        NOW + 60,
    )
    assert parse_deposit("v", deposit(status=12))
    for status in (1, 2, 3, 4, 6, 7, 8, 9, 10, 11):
        assert parse_deposit("v", deposit(status=status)) == ()
    (inside,) = parse_deposit("v", deposit(txId=None))
    assert inside.flow_id == f"deposit:USDT-TRX:{int(NOW * 1000)}:10"


def test_a_withdrawal_leaves_when_it_is_applied_for_with_its_fee() -> None:
    for status in (1, 2, 3, 4, 5, 6, 7, 10):
        (flow,) = parse_withdrawal("v", withdrawal(status=status))
        assert (flow.flow_id, flow.amount, flow.wall) == ("withdrawal:w1", Decimal(-20), NOW)


def test_a_withdrawal_that_failed_comes_back() -> None:
    for status in (8, 9):
        left, back = parse_withdrawal("v", withdrawal(status=status, updateTime=int((NOW + 60) * 1000)))
        assert (left.amount + back.amount, back.wall, left.group) == (0, NOW + 60, back.group)
        assert left.flow_id != back.flow_id


def test_transfers_are_seen_from_the_guarded_wallet() -> None:
    row = {"tranId": "t1", "asset": "USDT", "amount": "3", "status": "SUCCESS", "timestamp": int(NOW * 1000)}
    away = row | {"fromAccountType": "SPOT", "toAccountType": "FUTURES"}
    assert [flow.amount for flow in parse_transfer("v", away, "SPOT")] == [Decimal(-3)]
    assert [flow.amount for flow in parse_transfer("v", away, "FUTURES")] == [Decimal(3)]
    record = {"id": 7, "currency": "USDT", "amount": 3, "type": "IN", "state": "SUCCESS", "createTime": int(NOW * 1000)}
    assert [flow.amount for flow in parse_contract_transfer("v", record)] == [Decimal(3)]
    assert parse_contract_transfer("v", record | {"state": "FAILED"}) == ()
    with pytest.raises(MalformedReply):
        parse_contract_transfer("v", record | {"type": "SIDEWAYS"})


@pytest.mark.parametrize("changes", [{"amount": "NaN"}, {"amount": None}, {"coin": ""}, {"insertTime": None}])
def test_an_odd_row_refuses_all(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedReply):
        parse_deposit("v", deposit(**changes))


class Client:
    """Lists rows by window, and notes the windows."""

    def __init__(self, deposits: list[dict[str, Any]], withdrawals: list[dict[str, Any]] | None = None) -> None:
        self.lists = {"hisrec": (deposits, "insertTime"), "history": (withdrawals or [], "applyTime")}
        self.windows: list[tuple[float, float]] = []
        self.transfers: list[Mapping[str, Any]] = []
        self.counted = 0

    def _within(self, name: str, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        rows, time = self.lists[name]
        assert query["endTime"] - query["startTime"] <= 7 * DAY_S * 1000
        found = [row for row in rows if query["startTime"] <= row[time] <= query["endTime"]]
        return found[: query["limit"]]

    async def spotPrivateGetCapitalDepositHisrec(self, query: Mapping[str, Any]) -> Any:  # noqa: N802
        self.windows.append((query["startTime"] / 1000, query["endTime"] / 1000))
        return self._within("hisrec", query)

    async def spotPrivateGetCapitalWithdrawHistory(self, query: Mapping[str, Any]) -> Any:  # noqa: N802
        return self._within("history", query)

    async def spotPrivateGetCapitalTransfer(self, query: Mapping[str, Any]) -> Any:  # noqa: N802
        self.transfers.append(query)
        return [{"rows": [], "total": self.counted}]


def reader(client: Client, *, has_contracts: bool = True) -> FlowReader:
    return FlowReader("v", client, has_spot=True, has_contracts=has_contracts)


async def test_windows_reach_back_to_what_is_asked_for_and_then_only_to_what_is_new() -> None:
    rows = [deposit(NOW - days * DAY_S, txId=str(days)) for days in range(40)]
    client = Client(rows)
    flows = reader(client)
    assert len(await flows.read(NOW - 39.5 * DAY_S, NOW)) == 40, "and what was seen shortly before"
    assert client.windows[0][1] > NOW, "our clock may be behind"
    client.windows.clear()
    assert len(await flows.read(NOW - 39.5 * DAY_S, NOW + 60)) == 40
    assert len(client.windows) == 1


async def test_a_deposit_that_waits_is_looked_at_until_it_is_credited() -> None:
    waiting = deposit(NOW - 20 * DAY_S, status=2)
    client = Client([waiting])
    flows = reader(client)
    assert await flows.read(NOW - 25 * DAY_S, NOW) == ()
    waiting |= {"status": 5, "updateTime": int(NOW * 1000)}
    (flow,) = await flows.read(NOW - 25 * DAY_S, NOW + 60)
    assert flow.wall == NOW
    waiting["updateTime"] += 5_000
    assert await flows.read(NOW - 25 * DAY_S, NOW + 120) == (flow,), "what was told once stays as it was"


async def test_a_full_page_is_asked_for_in_halves() -> None:
    rows = [deposit(NOW - index * 60, txId=str(index)) for index in range(2_500)]
    client = Client(rows)
    assert len(await reader(client).read(NOW - 3 * DAY_S, NOW)) == 2_500
    assert len(client.windows) > 3
    with pytest.raises(MalformedReply, match="in a second"):
        await reader(Client([deposit(txId=str(index)) for index in range(1_001)])).read(NOW - DAY_S, NOW)


async def test_what_is_older_than_the_venue_tells_is_not_asked_for() -> None:
    client = Client([])
    await reader(client).read(0.0, NOW)
    assert min(start for start, _ in client.windows) >= NOW - book.BACK_S


async def test_transfers_between_two_guarded_wallets_are_not_even_asked_for() -> None:
    both, alone = Client([]), Client([])
    await reader(both).read(NOW - DAY_S, NOW)
    await reader(alone, has_contracts=False).read(NOW - DAY_S, NOW)
    assert both.transfers == []
    assert {query["fromAccountType"] for query in alone.transfers} == {"SPOT", "FUTURES"}
    alone.counted = 1
    with pytest.raises(MalformedReply, match="a count of 1"):
        await reader(alone, has_contracts=False).read(NOW - DAY_S, NOW)
