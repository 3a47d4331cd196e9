"""Bybit beyond the cards: books that no id reaches, 500 at random, legs, auctions, wallets that are not guarded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest
import pytest_asyncio

from adapters.base import Market
from adapters.simulated.faults import Call
from adapters.simulated.wire.bybit import BybitFace
from adapters.simulated.wire.bybit_orders import FILTERS
from oms.order_manager import OrderManager
from risk_daemon.errors import VenueUnavailable
from risk_daemon.model.events import Kind, PricesSeen
from tests.cards.card import DAY_S, Table, dealt
from tests.cards.kinds.bybit import VENUE

pytestmark = pytest.mark.long

SPOT, LINEAR, USDC, INVERSE = "BTC/USDT", "BTC/USDT:USDT", "BTC/USDC:USDC", "BTC/USD:BTC"


@pytest_asyncio.fixture
async def table() -> AsyncIterator[Table]:
    async with dealt(VENUE) as table:
        yield table


def orders_of(table: Table) -> BybitFace:
    face = table.server.face
    assert isinstance(face, BybitFace)
    return face


async def test_every_book_of_spot_is_swept_those_too_that_no_id_reaches(table: Table) -> None:
    for book in FILTERS:
        table.plain(SPOT, book=book, count=3)
    result = await table.sweep()
    assert result.proven, result.unproven_reason
    assert not table.open_ids


async def test_more_than_a_cancel_picks_go_in_rounds(table: Table) -> None:
    orders_of(table).orders.cancel_lag_s = 0.05
    table.plain(LINEAR, count=620)
    table.plain(USDC, count=30)
    table.plain(INVERSE, count=530)
    result = await table.sweep()
    assert result.proven, result.unproven_reason
    assert not table.open_ids


async def test_an_order_in_its_call_auction_leaves_the_account_unproven(table: Table) -> None:
    table.plain("PREM/USDT:USDT")
    result = await table.sweep(deadline_s=0.5)
    assert not result.proven
    assert "linear: orders outlive the cancel" in str(result.unproven_reason)


async def test_a_combination_goes_with_its_legs(table: Table) -> None:
    table.plain(LINEAR, book="spread")
    table.plain(LINEAR, book="spreadLeg")
    result = await table.sweep()
    assert result.proven, result.unproven_reason


async def test_a_cancel_that_says_zero_is_sent_again(table: Table) -> None:
    table.plain(LINEAR)
    failed = '{"retCode":0,"retMsg":"OK","result":{"list":[],"success":"0"},"retExtInfo":{},"time":1}'
    table.fault("body", "/v5/order/cancel-all", text=failed)
    result = await table.sweep(deadline_s=0.5)
    assert not result.proven
    assert "success '0'" in str(result.unproven_reason)
    table.heal()
    assert (await table.sweep()).proven


async def test_what_is_not_guarded_is_left_alone() -> None:
    async with dealt(replace(VENUE, markets=frozenset({Market.SPOT}))) as table:
        table.plain(SPOT), table.plain(LINEAR), table.plain(INVERSE)
        theirs, ours = table.strategy("twap", symbol=LINEAR), table.strategy("pov", symbol="ETH/USDT")
        result = await table.sweep()
        assert result.proven, result.unproven_reason
        bots, resting = table.server.exchange.bots, table.server.exchange.orders.values()
        assert theirs in bots
        assert ours not in bots
        assert {order.draft.symbol for order in resting} == {LINEAR, INVERSE}


async def test_a_ban_for_asking_too_much_is_waited_out(table: Table) -> None:
    limits = orders_of(table).limits
    while not limits.bans(table.server._now()):
        pass
    with pytest.raises(VenueUnavailable, match="access too frequent"):
        await table.adapter.read_balances()


@pytest.mark.parametrize("skew_s", [-30.0, 30.0])
async def test_a_clock_that_is_moved_costs_one_call(table: Table, skew_s: float) -> None:
    await table.adapter.read_balances()
    table.plain(LINEAR)
    table.admin("clock", skew_s=skew_s)
    with pytest.raises(VenueUnavailable, match="10002"):
        await table.adapter.read_balances()
    await table.adapter.read_balances()
    assert (await table.sweep()).proven


async def test_what_lands_in_the_funding_wallet_is_no_flow_until_it_is_moved(table: Table) -> None:
    before = (await table.adapter.read_balances()).amounts["USDT"]
    since = table.server._now() - DAY_S
    table.admin("flow", asset="USDT", amount="700", wallet="FUND")
    table.admin("debt", asset="USDC", amount="100")
    assert not (await table.adapter.read_flows(since)).flows
    assert (await table.adapter.read_balances()).amounts["USDT"] == before
    table.admin("transfer", asset="USDT", amount="600", source="FUND", target="UNIFIED")
    table.admin("trade", symbol=SPOT, side="buy", quantity="0.01", price="60000", fee="0.6")
    listed = await table.adapter.read_flows(since)
    assert [flow.amount for flow in listed.flows] == [600]
    bought = {flow.asset: flow.amount for flow in listed.trades or ()}
    assert bought == {"USDT": Decimal("-600.6"), "BTC": Decimal("0.01")}
    assert len({flow.group for flow in listed.trades or ()}) == 1


async def test_prices_of_every_category_are_streamed_and_vouched_for(table: Table) -> None:
    table.admin("position", symbol=LINEAR, quantity="-0.5", entry="61000")
    table.admin("position", symbol=INVERSE, quantity="600", entry="61000")
    await table.adapter.read_positions()
    await table.adapter.read_prices(frozenset({"ETH"}))
    seen: dict[str, Decimal] = {}
    while table.adapter.heartbeat_mono(Kind.PRICES) is None:
        for inputs in await table.adapter.next_frame(Kind.PRICES):
            assert isinstance(inputs, PricesSeen)
            seen |= {price.symbol: price.value for price in inputs.prices}
    assert (seen[LINEAR], seen[INVERSE], seen["ETH/USDT"]) == (60000, 60000, 3000)


async def closed(table: Table) -> None:
    manager = OrderManager(settle_s=0.02, order_flight_s=0.05, lease_s=0.0, call_timeout_s=2.0, cancel_deadline_s=20.0)
    manager.add_perp_adapter(table.adapter)
    await manager.close_all_positions(trip_id="trip-1")
    await manager.stop()


async def test_positions_are_closed_whatever_they_settle_in(table: Table) -> None:
    for symbol, quantity in ((LINEAR, "0.5"), (USDC, "-0.2"), (INVERSE, "-600")):
        table.admin("position", symbol=symbol, quantity=quantity, entry="60000")
    await closed(table)
    assert not table.server.exchange.positions
    assert all(fill.order.draft.reduce_only for fill in table.server.exchange.fills)


async def test_both_legs_of_a_hedged_account_are_closed(table: Table) -> None:
    table.admin("position", symbol=LINEAR, quantity="0.5", entry="60000", side="long")
    table.admin("position", symbol=LINEAR, quantity="-0.2", entry="60000", side="short")
    table.admin("position", symbol="ETH/USDT:USDT", quantity="2", entry="3000", side="long")
    await closed(table)
    assert not table.server.exchange.positions


async def test_a_listing_of_another_category_is_no_listing(table: Table) -> None:
    table.fault("replace", Call.OPEN_ORDERS, field="category", text="option")
    scopes = [scope for scope in table.adapter.scopes if scope.name in ("spot", "linear", "inverse")]
    for scope in scopes:
        with pytest.raises(Exception, match="option"):
            await table.adapter.list_orders(scope)
