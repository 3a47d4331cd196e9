"""Closing positions through the real adapters, by the simulated venue's own books: flat, never flipped, dust named."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from connected import Venue, connected

from adapters.base import PositionCloser
from oms import CloseResult, OrderManager
from risk_daemon.errors import VenueRejected
from risk_daemon.model.events import Input, PositionClosed

D = Decimal
TRIP = "trip-20261122T053752.123Z-17"
QUICK: Mapping[str, Any] = {"settle_s": 0.02, "order_flight_s": 0.05, "lease_s": 0.0, "call_timeout_s": 2.0}
LINEAR, INVERSE = "PF_XBTUSD", "PI_XBTUSD"


@pytest_asyncio.fixture
async def futures() -> AsyncIterator[Venue]:
    async with connected("krakenfutures") as venue:
        venue.admin("position", symbol="PF_XBTUSD", quantity="0")
        yield venue


@pytest_asyncio.fixture
async def kraken() -> AsyncIterator[Venue]:
    async with connected("kraken") as venue:
        yield venue


async def close(venue: Venue, heard: list[Input] | None = None, **settings: Any) -> CloseResult:
    """Everything on the venue, by the trip's own way."""
    manager = OrderManager(
        **{**QUICK, "cancel_deadline_s": 20.0, **settings}, emit=([] if heard is None else heard).append
    )
    (manager.add_perp_adapter if venue.kind == "krakenfutures" else manager.add_spot_adapter)(venue.adapter)
    return await manager.close_all_positions(trip_id=TRIP)


def hold(venue: Venue, symbol: str, quantity: str) -> None:
    venue.admin("position", symbol=symbol, quantity=quantity, entry="60000")


def book(venue: Venue) -> dict[str, Decimal]:
    """The venue's own positions."""
    return {symbol: held.quantity for symbol, held in venue.server.exchange.positions.items()}


def sent(venue: Venue) -> list[tuple[str, str, Decimal, bool]]:
    """Every execution: symbol, side, size, and whether the order could only reduce."""
    fills = venue.server.exchange.fills
    return [(f.order.draft.symbol, f.order.draft.side, f.quantity, f.order.draft.reduce_only) for f in fills]


# --- futures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantity", ["1.5", "-1.5", "0.0001", "-200"])
async def test_a_linear_position_is_closed_long_or_short(futures: Venue, quantity: str) -> None:
    hold(futures, LINEAR, quantity)
    heard: list[Input] = []
    result = await close(futures, heard)

    assert result.flat, result.reason
    assert book(futures) == {}
    side = "sell" if D(quantity) > 0 else "buy"
    assert sent(futures) == [("BTC/USD:USD", side, abs(D(quantity)), True)]
    (told,) = (event for event in heard if isinstance(event, PositionClosed))
    assert (told.symbol, told.side) == ("BTC/USD:USD", "long" if D(quantity) > 0 else "short")
    assert (told.quantity, told.residual) == (abs(D(quantity)), D(0))


async def test_an_inverse_position_is_closed_in_contracts(futures: Venue) -> None:
    hold(futures, INVERSE, "-30000")
    result = await close(futures)

    assert result.flat, result.reason
    assert book(futures) == {}
    assert sent(futures) == [("BTC/USD:BTC", "buy", D(30000), True)]


async def test_the_order_names_the_trip(futures: Venue) -> None:
    hold(futures, LINEAR, "1")
    await close(futures)

    (fill,) = futures.server.exchange.fills
    order_id = fill.order.draft.client_order_id
    assert order_id is not None
    assert order_id.startswith("trip20261122T053752123Z17")
    assert len(order_id) <= 32
    assert order_id.isalnum()


async def test_what_is_below_the_step_is_a_residual_and_no_obstacle(futures: Venue) -> None:
    hold(futures, LINEAR, "1.50007")
    hold(futures, "PF_ETHUSD", "-0.00003")
    result = await close(futures)

    assert result.flat, result.reason
    assert book(futures) == {"BTC/USD:USD": D("0.00007"), "ETH/USD:USD": D("-0.00003")}
    assert [size for _, _, size, _ in sent(futures)] == [D("1.5")]
    told = {leg.position.symbol: leg.residual for leg in result.venues["krakenfutures"].legs}
    assert told == {"BTC/USD:USD": D("0.00007"), "ETH/USD:USD": D("0.00003")}


async def test_a_partial_fill_is_sized_again_by_what_is_live(futures: Venue) -> None:
    hold(futures, LINEAR, "10")
    futures.admin("depth", symbol=LINEAR, quantity="4", count=2)
    result = await close(futures)

    assert result.flat, result.reason
    assert book(futures) == {}
    assert [size for _, _, size, _ in sent(futures)] == [D(4), D(4), D(2)]


async def test_an_order_that_was_only_acknowledged_is_cancelled_before_the_next(futures: Venue) -> None:
    hold(futures, LINEAR, "10")
    futures.admin("depth", symbol=LINEAR, quantity="0", rests=True, count=1)
    result = await close(futures)

    assert result.flat, result.reason
    assert book(futures) == {}
    assert [size for _, _, size, _ in sent(futures)] == [D(10)]
    assert [gone.order.draft.order_type for gone in futures.server.exchange.cancelled] == ["market"]


@pytest.mark.parametrize(
    "fault",
    [
        {"how": "venue_error", "text": "marketSuspended"},
        {"how": "503", "retry_after_s": None},
        {"how": "html"},
        {"how": "truncated"},
        {"how": "reset"},
        {"how": "empty_envelope", "carried_out": True},
    ],
)
async def test_an_order_that_failed_is_sent_again_only_by_what_is_live(futures: Venue, fault: dict[str, Any]) -> None:
    hold(futures, LINEAR, "3")
    futures.admin("fault", target="place", count=1, **fault)
    result = await close(futures)

    assert result.flat, result.reason
    assert book(futures) == {}
    assert [size for _, _, size, _ in sent(futures)] == [D(3)]


async def test_an_odd_empty_listing_is_no_proof(futures: Venue) -> None:
    hold(futures, LINEAR, "3")
    told_empty = '{"result":"success","openPositions":[],"serverTime":"2026-01-01T00:00:00.000Z"}'
    futures.admin("fault", how="body", target="positions", count=1, text=told_empty)
    result = await close(futures)

    assert result.flat
    assert book(futures) == {}


@pytest.mark.parametrize("how", ["html", "empty_object", "empty_list", "truncated", "nan", "503"])
async def test_a_malformed_listing_proves_nothing(futures: Venue, how: str) -> None:
    hold(futures, LINEAR, "3")
    futures.admin("fault", how=how, target="positions")
    result = await close(futures, cancel_deadline_s=1.0)

    assert not result.flat
    assert "krakenfutures" in str(result.reason)
    assert book(futures) == {"BTC/USD:USD": D(3)}


async def test_what_the_venue_refuses_for_good_is_named_at_the_deadline(futures: Venue) -> None:
    hold(futures, LINEAR, "3")
    futures.admin("depth", symbol=LINEAR, quantity="0")
    result = await close(futures, cancel_deadline_s=1.0)

    assert not result.flat
    assert "BTC/USD:USD 3" in str(result.reason)


async def test_a_market_without_a_lot_is_refused_and_named(futures: Venue) -> None:
    assert isinstance(futures.adapter, PositionCloser)
    assert futures.adapter.lot("BTC/USD:BTC").step == 1
    with pytest.raises(VenueRejected, match="not in the market list"):
        futures.adapter.lot("NOBODY/USD:USD")


# --- margin on kraken ------------------------------------------------------------------------------


@pytest.mark.parametrize("quantity", ["0.75", "-0.75"])
async def test_a_margin_position_is_closed_with_leverage_and_spot_stays(kraken: Venue, quantity: str) -> None:
    kraken.admin("balance", asset="BTC", amount="2")
    kraken.admin("position", symbol="BTC/USD", quantity=quantity, entry="60000")
    result = await close(kraken)

    assert result.flat, result.reason
    assert book(kraken) == {}
    (fill,) = kraken.server.exchange.fills
    assert fill.order.draft.leveraged
    assert fill.order.draft.reduce_only
    assert kraken.server.exchange.total("BTC") == 2
    assert result.remaining == {"BTC": D(2)}
    assert len(str(fill.order.draft.client_order_id)) <= 18


async def test_margin_dust_is_below_the_smallest_order(kraken: Venue) -> None:
    kraken.admin("position", symbol="BTC/USD", quantity="0.000002", entry="60000")
    result = await close(kraken)

    assert result.flat, result.reason
    assert sent(kraken) == []
    assert [leg.residual for leg in result.venues["kraken"].legs] == [D("0.000002")]
