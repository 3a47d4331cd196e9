"""A list of fills that goes wrong changes nothing about the guard; over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from connected import SYMBOLS, Venue, connected

from adapters import fill_rounds
from adapters.lane import PushedAside
from adapters.simulated.faults import Call
from adapters.streams import VenueFeed
from risk_daemon.errors import VenueError
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.events import FillsSeen, Input, ListingFailed, OrdersListed, Source, VenueLost
from tests.cards.card import until

DEADLINE_S = 10.0


@pytest_asyncio.fixture(params=sorted(SYMBOLS))
async def venue(request: pytest.FixtureRequest) -> AsyncIterator[Venue]:
    async with connected(request.param) as venue:
        yield venue


async def test_a_list_of_fills_that_hangs_gives_its_place_to_a_listing(venue: Venue) -> None:
    """These take one signed call at a time."""
    adapter: Any = venue.adapter
    venue.place(type="limit", price="90000")
    venue.admin("fault", how="hang", target="fills")
    asked = asyncio.create_task(adapter.read_fills(0.0))
    async with asyncio.timeout(DEADLINE_S):
        await until(lambda: asked_for(venue) == 1)
        listing = await adapter.list_orders(venue.scope, urgent=False)
    assert len(listing.orders) == 1
    with pytest.raises(PushedAside):
        await asked


@pytest.mark.parametrize("how", ["500", "html", "empty_object"])
async def test_a_list_of_fills_that_is_garbage_is_an_error_of_its_own(venue: Venue, how: str) -> None:
    adapter: Any = venue.adapter
    venue.admin("fault", how=how, target="fills")
    with pytest.raises(VenueError):
        await adapter.read_fills(0.0)
    assert (await adapter.list_orders(venue.scope, urgent=False)).orders == ()


async def test_the_feed_goes_on_without_it_and_tells_fills_when_it_is_back(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("EVERY_S", "RETRY_S"):
        monkeypatch.setattr(fill_rounds, name, 0.05)
    venue.admin("order", symbol=SYMBOLS[venue.kind], side="buy", quantity="0.001", type="market")
    venue.admin("fault", how="500", target="fills")
    told: list[Input] = []
    clock, assets = SystemClock(), frozenset({"BTC"})
    feed = VenueFeed(venue.adapter, told.append, clock, assets=lambda: assets, reconcile_every_s=0.1)
    running = asyncio.create_task(feed.run())
    try:
        await until(lambda: asked_for(venue) > 2 and count(told, OrdersListed) > 3)
        venue.admin("fault", "DELETE")
        await until(lambda: any(seen.source is Source.REST and seen.fills for seen in of(told, FillsSeen)))
        assert not of(told, VenueLost)
        assert not of(told, ListingFailed)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def asked_for(venue: Venue) -> int:
    """How many lists of fills the venue was asked for."""
    return int(venue.server.calls.get(Call.FILLS, {}).get("count", 0))


def of(told: list[Input], kind: type[Any]) -> list[Any]:
    return [seen for seen in told if isinstance(seen, kind)]


def count(told: list[Input], kind: type[Any]) -> int:
    return len(of(told, kind))
