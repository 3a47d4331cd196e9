"""The income history of Binance's futures: windows, pages, and what is a flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from adapters.venues.binanceusdm_book import PAGE_ROWS, WINDOW_S, IncomeReader, parse_rows, split
from risk_daemon.errors import MalformedReply

NOW = 1_700_000_000.0
DAY_S = 86_400.0


def row(kind: str, income: str, wall: float = NOW, *, tran_id: int = 1, **rest: Any) -> dict[str, Any]:
    whole = {"incomeType": kind, "income": income, "asset": "USDT", "time": int(wall * 1000), "tranId": tran_id}
    return {"symbol": "", "tradeId": "", "info": kind, **whole, **rest}


class History:
    """A venue with these rows; late ones come by `rows.append`."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows = list(rows)
        self.asked: list[dict[str, Any]] = []

    async def ask(self, query: dict[str, Any]) -> Sequence[Mapping[str, Any]]:
        self.asked.append(query)
        end = query.get("endTime", query["startTime"] + int(WINDOW_S * 1000))
        found = (
            row
            for row in sorted(self.rows, key=lambda row: row["time"])
            if query["startTime"] <= row["time"] <= end
            and query.get("incomeType", row["incomeType"]) == row["incomeType"]
        )
        return list(found)[: query["limit"]]


def test_what_came_or_went_is_a_flow_and_all_else_is_profit_or_loss() -> None:
    rows = [row("TRANSFER", "-5"), row("BFUSD_REWARD", "1"), row("FUNDING_FEE", "-2"), row("A_NEW_ONE", "-3")]
    book = split(parse_rows("b", rows))
    assert {flow.kind: flow.amount for flow in book.flows} == {"transfer": Decimal(-5), "bfusd_reward": Decimal(1)}
    assert book.trades is not None
    assert {flow.kind: flow.amount for flow in book.trades} == {"funding_fee": Decimal(-2), "a_new_one": Decimal(-3)}


def test_rows_of_one_trade_share_their_id_and_are_two() -> None:
    trade = {"symbol": "BTCUSDT", "tradeId": "77"}
    profit, fee = parse_rows("b", [row("REALIZED_PNL", "-9", **trade), row("COMMISSION", "-1", **trade)])
    assert profit.flow_id != fee.flow_id
    assert profit.group == fee.group == "trade 77"


@pytest.mark.parametrize("odd", [{"income": "NaN"}, {"income": None}, {"asset": ""}, {"time": "x"}])
def test_an_odd_row_spoils_the_page(odd: dict[str, Any]) -> None:
    with pytest.raises(MalformedReply):
        parse_rows("b", [row("TRANSFER", "1") | odd])


async def test_weeks_are_asked_for_one_by_one_and_the_last_has_no_end() -> None:
    history = History([row("TRANSFER", "1", NOW - day * DAY_S, tran_id=day) for day in range(20)])
    book = await IncomeReader("b", history.ask).read(NOW - 19.5 * DAY_S, NOW)
    assert len(book.flows) == 20
    assert ["endTime" in query for query in history.asked] == [True, True, False]


async def test_a_full_page_is_followed_from_its_last_row() -> None:
    trades = [row("COMMISSION", "-1", NOW - 5000 + index, tran_id=index) for index in range(PAGE_ROWS + 7)]
    history = History(trades)
    book = await IncomeReader("b", history.ask).read(NOW - 6000, NOW)
    assert book.trades is not None
    assert len(book.trades) == PAGE_ROWS + 7
    assert history.asked[1]["startTime"] == trades[PAGE_ROWS - 1]["time"]


async def test_read_again_only_the_newest_is_asked_for_and_transfers_of_the_whole_time() -> None:
    history = History([row("COMMISSION", "-1", NOW - 3000), row("COMMISSION", "-1", NOW - 100, tran_id=2)])
    reader = IncomeReader("b", history.ask)
    await reader.read(NOW - 3600, NOW)
    history.asked.clear()
    history.rows.append(row("TRANSFER", "50", NOW - 2000, tran_id=9))  # late
    book = await reader.read(NOW - 3600, NOW)
    assert [flow.amount for flow in book.flows] == [50]
    assert [query["startTime"] for query in history.asked] == [int((NOW - 400) * 1000), int((NOW - 3600) * 1000)]


async def test_a_page_in_which_time_stands_still_leads_nowhere() -> None:
    history = History([row("COMMISSION", "-1", NOW - 10, tran_id=index) for index in range(PAGE_ROWS + 1)])
    with pytest.raises(MalformedReply):
        await IncomeReader("b", history.ask).read(NOW - 10, NOW)


async def test_what_is_too_much_is_read_by_the_types_that_are_flows() -> None:
    trades = [row("COMMISSION", "-1", NOW - 80_000 + index, tran_id=index) for index in range(45 * PAGE_ROWS)]
    history = History([*trades, row("TRANSFER", "7", NOW - 70_000, tran_id=5)])
    book = await IncomeReader("b", history.ask).read(NOW - 90_000, NOW)
    assert [flow.amount for flow in book.flows] == [7]
