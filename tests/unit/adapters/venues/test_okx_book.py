"""OKX's bills: what moved money, what was made or lost, and how much of the list is read for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from adapters.venues.okx_book import ARCHIVE, RECENT, BillReader, parse_rows, split
from risk_daemon.errors import MalformedReply

D = Decimal
DAY_S = 86_400.0
NOW = 1_700_000_000.0


def bill(number: int, *, kind: str = "1", change: str = "10", wall: float = NOW, **more: str) -> dict[str, Any]:
    return {"billId": str(number), "ccy": "USDT", "balChg": change, "type": kind, "ts": str(int(wall * 1000)), **more}


class Bills:
    """The venue's two lists, newest first; every call is counted."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.now = NOW

    async def ask(self, call: str, params: dict[str, Any]) -> Sequence[Mapping[str, Any]]:
        self.calls.append((call, params))
        reach_s = 7 * DAY_S if call == RECENT else 92 * DAY_S
        rows = [row for row in self.rows if int(row["ts"]) / 1000 >= self.now - reach_s]
        rows = [row for row in rows if params.get("type") in (None, row["type"])]
        rows = [row for row in rows if "after" not in params or int(row["billId"]) < int(params["after"])]
        return sorted(rows, key=lambda row: int(row["billId"]), reverse=True)[:100]


@pytest.fixture
def bills() -> Bills:
    return Bills()


def test_margin_that_moves_into_a_position_is_still_there() -> None:
    (row,) = parse_rows("okx", [bill(1, kind="2", change="-100.5", posBalChg="100", tradeId="7")])
    assert (row.flow_id, row.amount, row.group) == ("bill:1", D("-0.5"), "7")


def test_bots_and_loans_move_nothing_and_what_is_new_is_profit_or_loss() -> None:
    rows = [
        bill(1),
        bill(2, kind="12"),
        bill(3, kind="16"),
        bill(4, kind="22"),
        bill(5, kind="999"),
        bill(6, change="0"),
    ]
    book = split(parse_rows("okx", rows))
    assert [row.flow_id for row in book.flows] == ["bill:1"]
    assert [row.flow_id for row in book.trades or ()] == ["bill:5"]


@pytest.mark.parametrize("change", ["", "x", "NaN", None])
def test_an_odd_amount_refuses_all(change: str | None) -> None:
    with pytest.raises(MalformedReply):
        parse_rows("okx", [bill(1), bill(2) | {"balChg": change}])


async def test_what_is_older_than_a_week_comes_from_the_archive_and_only_once(bills: Bills) -> None:
    bills.rows = [bill(number, wall=NOW - 30 * DAY_S + number * 10_000) for number in range(1, 250)]
    reader = BillReader("okx", bills.ask)
    book = await reader.read(NOW - 40 * DAY_S, NOW)
    assert len(book.flows) == 249
    archived = [params for call, params in bills.calls if call == ARCHIVE]
    assert len(archived) == 3
    assert all(params["type"] == "1" for params in archived)
    bills.calls.clear()
    bills.rows.append(bill(900))
    assert len((await reader.read(NOW - 40 * DAY_S, NOW)).flows) == 250
    assert [call for call, _ in bills.calls] == [RECENT]


async def test_many_trades_hide_no_transfer(bills: Bills) -> None:
    """More than five pages of them: then the transfers are asked for by their type."""
    bills.rows = [bill(1, wall=NOW - 3_600)]
    bills.rows += [bill(number, kind="2", wall=NOW - 3_000 + number) for number in range(2, 700)]
    book = await BillReader("okx", bills.ask).read(NOW - DAY_S, NOW)
    assert [row.flow_id for row in book.flows] == ["bill:1"]
    assert len(book.trades or ()) == 500
    assert bills.calls[-1][1]["type"] == "1"


async def test_a_bill_that_is_written_late_is_found(bills: Bills) -> None:
    reader = BillReader("okx", bills.ask)
    bills.rows = [bill(number, kind="2", wall=NOW - 20) for number in range(1, 130)]
    await reader.read(NOW - DAY_S, NOW)
    bills.rows.append(bill(500, wall=NOW - 50))
    assert [row.flow_id for row in (await reader.read(NOW - DAY_S, NOW)).flows] == ["bill:500"]


async def test_rows_from_before_are_not_given(bills: Bills) -> None:
    bills.rows = [bill(1, wall=NOW - 5_000), bill(2, wall=NOW - 1_000)]
    reader = BillReader("okx", bills.ask)
    assert len((await reader.read(NOW - 6_000, NOW)).flows) == 2
    assert [row.flow_id for row in (await reader.read(NOW - 2_000, NOW)).flows] == ["bill:2"]


async def test_pages_that_repeat_or_are_of_another_type_are_none(bills: Bills) -> None:
    async def same_page(_: str, __: dict[str, Any]) -> Sequence[Mapping[str, Any]]:
        return [bill(number, wall=NOW) for number in range(1, 101)]

    with pytest.raises(MalformedReply, match="second time"):
        await BillReader("okx", same_page).read(NOW - DAY_S, NOW)

    async def other_type(_: str, __: dict[str, Any]) -> Sequence[Mapping[str, Any]]:
        return [bill(1, kind="2")]

    with pytest.raises(MalformedReply, match="another listing"):
        await BillReader("okx", other_type).read(NOW - 40 * DAY_S, NOW)
