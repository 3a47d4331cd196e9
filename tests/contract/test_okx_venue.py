"""OKX's own traps, met by the adapter: what its documentation leaves open, and what its account does with money."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from adapters.budget import Budget
from risk_daemon.errors import MalformedReply, VenueRejected
from risk_daemon.model.events import Kind
from tests.cards.card import Table, all_kinds, dealt, until

OKX = all_kinds()["okx"]
SWAP = "BTC/USDT:USDT"


@pytest_asyncio.fixture
async def table() -> AsyncIterator[Table]:
    async with dealt(OKX) as table:
        yield table


def switch(table: Table, name: str, value: str) -> None:
    table.admin("switch", switch=name, value=value)


@pytest.mark.parametrize("reach", ["apart", "shared"])
async def test_whichever_cancel_reaches_them_advanced_orders_go(table: Table, reach: str) -> None:
    switch(table, "advance", reach)
    for book in ("move_order_stop", "iceberg", "smart_iceberg", "twap", "chase"):
        table.admin("order", symbol=SWAP, side="sell", type="stop", trigger_price="30000", book=book)
    result = await table.sweep()
    assert result.proven, result.unproven_reason
    assert not table.open_ids


async def test_what_a_stopped_algo_leaves_behind_is_cancelled_as_well(table: Table) -> None:
    switch(table, "children", "stay")
    table.strategy("twap", every_s=0.05, symbol=SWAP)
    await until(lambda: len(table.open_ids) > 1)
    assert (await table.sweep()).proven
    assert not table.open_ids


async def test_an_order_that_rests_on_after_the_yes_is_waited_for(table: Table) -> None:
    switch(table, "cancel_lag_s", "0.6")
    table.plain()
    table.conditional()
    result = await table.sweep()
    assert result.proven
    assert result.elapsed_s > 0.6
    assert not table.open_ids


async def test_a_type_that_the_venue_does_not_know_is_no_empty_listing(table: Table) -> None:
    switch(table, "unknown_types", "smart_iceberg")
    assert not (await table.sweep(deadline_s=0.6)).proven


async def test_an_algo_that_pauses_is_an_order(table: Table) -> None:
    switch(table, "algo_state", "pause")
    placed = {*table.conditional()}
    assert set(await table.listed()) == placed


async def test_an_order_in_an_event_contract_is_found_and_cancelled(table: Table) -> None:
    name = "BTC-ABOVE-DAILY-310328-1600-70000"
    table.plain(name, price="0.9")
    table.admin("order", symbol=SWAP, side="sell", price="90000", book="spread")
    assert {order.symbol for _, order in (await table.listed()).values()} == {name, "BTC-USDT_BTC-USDT-SWAP"}
    assert (await table.sweep()).proven
    assert not table.open_ids


async def test_money_in_isolated_margin_and_in_bots_is_no_loss(table: Table) -> None:
    before = (await table.adapter.read_balances()).amounts
    table.admin("position", symbol=SWAP, quantity="10", entry="66000", isolated=True)
    table.strategy("grid", every_s=3600)
    reply: Any = await table.adapter._client.privateGetAccountBalance()  # type: ignore[attr-defined]
    assert Decimal(reply["data"][0]["details"][0]["cashBal"]) < 5000
    assert (await table.adapter.read_balances()).amounts == before


async def test_a_position_without_a_known_value_is_no_flat_account(table: Table) -> None:
    table.admin("position", symbol="BTC-ABOVE-DAILY-310328-1600-70000", quantity="1", entry="0.5")
    with pytest.raises(MalformedReply, match="EVENTS"):
        await table.adapter.read_positions()


async def test_a_margin_position_has_its_pairs_price(table: Table) -> None:
    table.admin("position", symbol="BTC/USDT", quantity="-0.5", entry="60000")
    (row,) = (await table.adapter.read_positions()).positions
    assert (row.symbol, row.quantity, row.settle, row.contract_size) == ("BTC/USDT", Decimal("-0.5"), "USDT", 1)
    prices = {price.symbol: price.value for price in (await table.adapter.read_prices(frozenset({"USDT"}))).prices}
    assert prices["BTC/USDT"] == 60000


async def test_a_connection_that_is_not_heard_ends(table: Table) -> None:
    """The venue says yes, and then that it has too many already."""
    switch(table, "connections", "full")
    with pytest.raises(Exception, match="too many connections"):
        await table.adapter.next_frame(Kind.ORDERS)


@pytest.mark.long
async def test_the_limits_of_the_venue_are_kept_in_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own count of calls on, and ours: every listing may wait, and none is refused."""
    refused: list[str] = []
    monkeypatch.setattr(Budget, "refused", lambda _, endpoint: refused.append(endpoint))
    async with dealt(OKX, paced=True) as table:
        switch(table, "limits", "on")
        for symbol in OKX.symbols:
            table.plain(symbol, count=30)
        table.conditional()
        result = await table.sweep()
        assert result.proven, result.unproven_reason
        assert table.calls < 200
        assert result.elapsed_s < 10
        assert refused == []


async def test_another_region_knows_no_key(table: Table) -> None:
    client: Any = table.adapter._client  # type: ignore[attr-defined]
    client.hostname = "eea.okx.com"
    with pytest.raises(VenueRejected, match="50119"):
        await table.adapter.read_balances()
