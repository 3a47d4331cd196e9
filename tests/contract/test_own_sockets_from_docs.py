"""Sockets of our own against the server written from Kraken's documentation: a second opinion, of another hand."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Sequence
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from connected import without_pauses

from adapters.base import Market
from adapters.registry import build_adapter
from adapters.venue import VenueSettings
from risk_daemon.errors import VenueUnavailable
from risk_daemon.model.account import Kind
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.events import BalancesSeen, Input, OrdersSeen, PricesSeen
from tests.e2e.harness import DOCS_KEY, ROOT, Venue, docs_secret

DEADLINE_S = 10.0
STOP = {"pair": "BTC/USDT", "side": "sell", "type": "stop-loss", "volume": 0.02, "price": 45000, "cl_ord_id": "bot-1"}


class Documented:
    """A spot account of the documented server, connected."""

    def __init__(self, venue: Venue, adapter: Any) -> None:
        self.venue, self.adapter = venue, adapter

    async def next(self, kind: Kind) -> Sequence[Input]:
        return await within(self.adapter.next_frame(kind))

    async def price(self, symbol: str) -> Decimal:
        """The next price of a pair."""
        while True:
            for seen in await self.next(Kind.PRICES):
                assert isinstance(seen, PricesSeen)
                found = [price.value for price in seen.prices if price.symbol == symbol]
                if found:
                    return found[-1]


async def within(awaitable: Awaitable[Any]) -> Any:
    async with asyncio.timeout(DEADLINE_S):
        return await awaitable


@pytest_asyncio.fixture
async def documented() -> AsyncIterator[Documented]:
    venue = Venue([sys.executable, str(ROOT / "tests/e2e/venues/kraken_from_docs.py"), "--port", "0"], "/control")
    settings = VenueSettings(
        "kraken", "kraken", frozenset({Market.SPOT}), venue.endpoint, api_key=DOCS_KEY, secret=docs_secret()
    )
    adapter = build_adapter(settings, SystemClock())
    without_pauses(adapter)
    await adapter.connect()
    await adapter.read_prices(frozenset({"BTC", "ETH", "USDT"}))
    yield Documented(venue, adapter)
    await adapter.close()
    venue.kill()


async def test_balances_begin_with_a_snapshot_and_go_on(documented: Documented) -> None:
    (snapshot,) = await documented.next(Kind.BALANCES)
    assert isinstance(snapshot, BalancesSeen)
    assert snapshot.amounts["USDT"] == 6000
    assert documented.adapter.heartbeat_mono(Kind.BALANCES) is not None
    documented.venue.post(balance={"USDT": 4999})
    (update,) = await documented.next(Kind.BALANCES)
    assert isinstance(update, BalancesSeen)
    assert update.amounts == {"USDT": 4999}


async def test_orders_are_told_with_the_stop_among_them(documented: Documented) -> None:
    documented.venue.post(order=STOP)
    (seen,) = await documented.next(Kind.ORDERS)
    assert isinstance(seen, OrdersSeen)
    assert seen.is_snapshot
    assert [(order.symbol, order.order_type, order.client_order_id) for order in seen.orders] == [
        ("BTC/USDT", "stop-loss", "bot-1")
    ]
    await documented.adapter.cancel_orders(documented.adapter.scopes[0], ())
    (gone,) = await documented.next(Kind.ORDERS)
    assert isinstance(gone, OrdersSeen)
    assert gone.orders == ()
    ended = [(order.symbol, order.status.value) for order in gone.ended]
    assert ended == [("BTC/USDT", "cancelled")], "the row names no pair: what it was, was told before"


async def test_prices_follow_and_a_pair_that_is_not_streamed_takes_no_other_along(documented: Documented) -> None:
    dialect = documented.adapter._dialect
    dialect._price_symbols |= {"NOPE/USD"}
    assert await documented.price("BTC/USDT") == 50_000
    documented.venue.post(price={"BTC": 41_000})
    while await documented.price("BTC/USDT") != 41_000:
        pass
    assert documented.adapter.heartbeat_mono(Kind.PRICES) is None, "it does not show all that it should"


async def test_heartbeats_keep_a_quiet_account_confirmed(documented: Documented) -> None:
    await documented.next(Kind.BALANCES)
    first = documented.adapter.heartbeat_mono(Kind.BALANCES)
    async with asyncio.timeout(DEADLINE_S):
        while documented.adapter.heartbeat_mono(Kind.BALANCES) == first:  # noqa: ASYNC110 - the server sets no event
            await asyncio.sleep(0)


async def test_a_server_that_dies_is_told_at_once(documented: Documented) -> None:
    await documented.next(Kind.BALANCES)
    reading = asyncio.ensure_future(documented.adapter.next_frame(Kind.BALANCES))
    documented.venue.kill()
    with pytest.raises(VenueUnavailable):
        await within(reading)
    with pytest.raises(VenueUnavailable):
        await documented.next(Kind.BALANCES)
