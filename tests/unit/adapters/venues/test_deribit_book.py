"""Deribit's transaction log: flows alone, every page, and what none is held of read but once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from adapters.venues.deribit_book import LogReader, parse_row
from risk_daemon.errors import MalformedReply

D = Decimal
NOW = 1_700_000_000.0


def entry(number: int, kind: str = "deposit", change: Any = 5.0, currency: str = "BTC") -> dict[str, Any]:
    return {"id": number, "type": kind, "change": change, "currency": currency, "timestamp": int(NOW * 1000) - 5}


class Log:
    """Pages by currency; what was asked."""

    def __init__(self, **pages: list[list[dict[str, Any]]]) -> None:
        self.pages = pages
        self.asked: list[dict[str, Any]] = []

    async def ask(self, query: dict[str, Any]) -> Mapping[str, Any]:
        self.asked.append(query)
        pages, at = self.pages.get(query["currency"], [[]]), query.get("continuation", 0)
        return {"logs": pages[at], "continuation": at + 1 if at + 1 < len(pages) else None}


def read(reader: LogReader, *currencies: str, moving: str = "", since: float = NOW - 60) -> Any:
    return asyncio.run(reader.read(currencies, frozenset(moving.split()), since, NOW))


def test_a_row_is_the_change_of_cash_and_known_by_its_currency() -> None:
    flow = parse_row("d", entry(7, "withdrawal", -1.25), str.upper)
    assert (flow.flow_id, flow.amount, flow.asset, flow.kind) == ("BTC:7", D("-1.25"), "BTC", "withdrawal")
    for odd in ({"change": None}, {"id": "x"}, {"timestamp": "NaN"}, {"type": ""}):
        with pytest.raises(MalformedReply):
            parse_row("d", entry(7) | odd, str.upper)


def test_trades_settlements_and_swaps_are_no_flows() -> None:
    kinds = ("deposit", "trade", "withdrawal", "settlement", "transfer", "swap", "correction", "delivery", "new")
    log = Log(BTC=[[entry(number, kind) for number, kind in enumerate(kinds)]])
    assert [flow.kind for flow in read(LogReader("d", log.ask, str), "BTC")] == ["deposit", "withdrawal", "transfer"]


def test_every_page_is_read_to_the_end() -> None:
    log = Log(BTC=[[entry(3)], [entry(2)], [entry(1)]])
    assert {flow.flow_id for flow in read(LogReader("d", log.ask, str), "BTC")} == {"BTC:1", "BTC:2", "BTC:3"}
    assert [query.get("continuation") for query in log.asked] == [None, 1, 2]


def test_a_page_that_comes_again_is_no_log() -> None:
    with pytest.raises(MalformedReply, match="second time"):
        read(LogReader("d", Log(BTC=[[entry(3)], [entry(3)]]).ask, str), "BTC")


def test_of_what_nobody_holds_the_log_is_read_once() -> None:
    log = Log(BTC=[[entry(1)]])
    reader = LogReader("d", log.ask, str)
    read(reader, "BTC", "ETH", moving="BTC")
    read(reader, "BTC", "ETH", moving="BTC")
    assert [query["currency"] for query in log.asked] == ["BTC", "ETH", "BTC"]
    read(reader, "BTC", "ETH", moving="BTC", since=NOW - 120)
    assert [query["currency"] for query in log.asked[3:]] == ["BTC", "ETH"], "further back than ever"


def test_what_is_interrupted_goes_on_from_there() -> None:
    log = Log(BTC=[[entry(1)]], ETH=[[entry(1, currency="ETH") | {"change": "x"}]])
    reader = LogReader("d", log.ask, str)
    with pytest.raises(MalformedReply):
        read(reader, "BTC", "ETH")
    log.pages["ETH"] = [[entry(1, currency="ETH")]]
    assert {flow.flow_id for flow in read(reader, "BTC", "ETH")} == {"BTC:1", "ETH:1"}
    assert [query["currency"] for query in log.asked] == ["BTC", "ETH", "ETH"]
