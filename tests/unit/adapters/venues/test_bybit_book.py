"""Bybit's transaction log: what is a flow, how far it is read, and rows that come late or look alike."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from adapters.venues.bybit_book import DAY_S, PAGE_ROWS, LogReader, parse_row
from risk_daemon.errors import MalformedReply

NOW = 1_800_000_000.0


def row(number: int, *, kind: str = "TRADE", at: float = NOW, change: str = "1", **fields: Any) -> dict[str, Any]:
    return {
        "id": f"592324_USDT_{number}",
        "type": kind,
        "currency": "USDT",
        "transactionTime": str(int(at * 1000)),
        "change": change,
        "cashBalance": str(1000 + number),
        "tradeId": "",
        **fields,
    }


class Log:
    """A venue's log, by its own rules: windows of a week at most, pages, a cursor after each row that was shown."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = list(rows)
        self.asked: list[dict[str, Any]] = []

    async def ask(self, query: dict[str, Any]) -> Mapping[str, Any]:
        self.asked.append(query)
        start, end = query["startTime"], query.get("endTime", query["startTime"] + DAY_S * 1000)
        assert end - start <= 7 * DAY_S * 1000
        found = [
            r
            for r in self.rows
            if start <= int(r["transactionTime"]) <= end and query.get("type", r["type"]) == r["type"]
        ]
        found = sorted(found, key=lambda r: int(r["transactionTime"]), reverse=True)[int(query.get("cursor", 0)) :]
        shown = found[: query["limit"]]
        cursor = str(int(query.get("cursor", 0)) + len(shown)) if shown else ""
        return {"list": shown, "nextPageCursor": cursor}


def reader(log: Log) -> LogReader:
    return LogReader("bybit", log.ask, lambda coin: coin)


def test_a_row_is_its_change_and_rows_of_one_id_are_two() -> None:
    one = parse_row("bybit", row(1, change="-0.5", tradeId="t"), str)
    assert (one.amount, one.asset, one.group) == (Decimal("-0.5"), "USDT", "t")
    twin = parse_row("bybit", row(1, kind="SETTLEMENT", change="-0.5"), str)
    assert one.flow_id != twin.flow_id
    for wrong in ({"change": ""}, {"change": "NaN"}, {"currency": ""}, {"transactionTime": "x"}):
        with pytest.raises(MalformedReply):
            parse_row("bybit", row(1, **wrong), str)


async def test_flows_are_told_from_profit_and_a_loan_from_both() -> None:
    kinds = ("TRANSFER_IN", "TRADE", "BORROW", "AIRDROP", "INTEREST", "SOMETHING_NEW")
    log = Log(*(row(index, kind=kind, at=NOW - 60) for index, kind in enumerate(kinds)))
    book = await reader(log).read(NOW - 3600, NOW)
    assert {flow.kind for flow in book.flows} == {"TRANSFER_IN", "AIRDROP"}
    assert {flow.kind for flow in book.trades or ()} == {"TRADE", "INTEREST", "SOMETHING_NEW"}


async def test_it_is_walked_by_weeks_to_its_beginning_and_read_on_from_its_end() -> None:
    log = Log(*(row(day, kind="TRANSFER_IN", at=NOW - day * DAY_S) for day in range(1, 40)))
    reads = reader(log)
    assert len((await reads.read(NOW - 45 * DAY_S, NOW)).flows) == 39
    before = len(log.asked)
    log.rows.append(row(99, kind="TRANSFER_OUT", at=NOW, change="-5"))
    assert len((await reads.read(NOW - 45 * DAY_S, NOW + 10)).flows) == 40
    assert len(log.asked) - before <= 9


async def test_a_transfer_that_is_written_long_after_it_happened_is_found() -> None:
    log = Log(row(1, at=NOW - 10))
    reads = reader(log)
    await reads.read(NOW - 2 * DAY_S, NOW)
    log.rows.append(row(2, kind="TRANSFER_OUT", at=NOW - 3600, change="-5"))
    assert [flow.amount for flow in (await reads.read(NOW - 2 * DAY_S, NOW)).flows] == [-5]


async def test_of_a_log_that_is_too_long_what_moved_money_is_read_by_its_types() -> None:
    trades = [row(n, at=NOW - n) for n in range(25 * PAGE_ROWS)]
    log = Log(*trades, row(-1, kind="TRANSFER_IN", at=NOW - DAY_S), row(-2, kind="AIRDROP", at=NOW - DAY_S))
    book = await reader(log).read(NOW - 3 * DAY_S, NOW)
    assert {flow.kind for flow in book.flows} == {"TRANSFER_IN", "AIRDROP"}


async def test_pages_that_lead_nowhere_are_no_book() -> None:
    class Stuck(Log):
        async def ask(self, query: dict[str, Any]) -> Mapping[str, Any]:
            return {"list": [row(1)], "nextPageCursor": "again"}

    with pytest.raises(MalformedReply, match="same page"):
        await reader(Stuck()).read(NOW - 60, NOW)

    class Cut(Log):
        async def ask(self, query: dict[str, Any]) -> Mapping[str, Any]:
            return {"list": [row(n) for n in range(PAGE_ROWS)], "nextPageCursor": ""}

    with pytest.raises(MalformedReply, match="leads nowhere"):
        await reader(Cut()).read(NOW - 60, NOW)
