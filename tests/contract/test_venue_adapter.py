"""What every venue adapter must do, over real sockets, against a simulated venue per kind.

Above all: whatever a venue sends that is not its own answer is an error, and never an empty listing.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from connected import MARKETS, SYMBOLS, Venue, connected, without_pauses

from adapters.base import OrderListing, VenueAdapter
from adapters.lane import Pacer, PushedAside
from adapters.registry import build_adapter
from adapters.simulated import API_SECRET
from adapters.streams import VenueFeed
from risk_daemon.errors import ConfigError, MalformedReply, VenueError, VenueRejected, VenueUnavailable
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.events import (
    BalancesSeen,
    FlowsListed,
    Input,
    Kind,
    OrdersSeen,
    PricesSeen,
    Source,
    StreamConfirmed,
    VenueLost,
)

DEADLINE_S = 5.0


@pytest_asyncio.fixture(params=sorted(MARKETS))
async def venue(request: pytest.FixtureRequest) -> AsyncIterator[Venue]:
    async with connected(request.param) as venue:
        yield venue


POLL_S = 0.001


async def within(awaitable: Awaitable[Any]) -> Any:
    async with asyncio.timeout(DEADLINE_S):
        return await awaitable


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - the other side is a server, which sets no event of ours
        await asyncio.sleep(POLL_S)


async def frame_where(venue: Venue, kind: Kind, holds: Callable[[Sequence[Input]], bool]) -> Sequence[Input]:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            inputs = await venue.adapter.next_frame(kind)
            if holds(inputs):
                return inputs


# --- reading -----------------------------------------------------------------------------------------


async def test_it_is_an_adapter_that_names_what_it_is(venue: Venue) -> None:
    assert isinstance(venue.adapter, VenueAdapter)
    assert venue.adapter.name == venue.kind
    assert venue.adapter.markets == MARKETS[venue.kind]
    assert venue.adapter.capabilities.has_flows
    await venue.adapter.connect()


async def test_balances_are_complete_and_exact(venue: Venue) -> None:
    venue.admin("balance", asset="USDT", amount="1234.56")
    venue.admin("balance", asset="BTC", amount="0.12345678")
    seen = await venue.adapter.read_balances()
    assert seen.complete
    assert seen.amounts["USDT"] == Decimal("1234.56")
    assert seen.amounts["BTC"] == Decimal("0.12345678")


async def test_every_kind_of_order_is_listed_and_cancelled(venue: Venue) -> None:
    venue.place_all_sorts()
    listing = await venue.adapter.list_orders(venue.scope)
    assert len(listing.orders) == 3
    assert {order.client_order_id for order in listing.orders} >= {"bot-1"}
    assert [order.reduce_only for order in listing.orders].count(True) == (venue.kind == "krakenfutures")
    assert {order.venue for order in listing.orders} == {venue.kind}
    await venue.adapter.cancel_orders(venue.scope, listing.orders)
    assert (await venue.adapter.list_orders(venue.scope)).orders == ()


async def test_some_orders_can_be_cancelled_and_the_others_left(venue: Venue) -> None:
    venue.place_all_sorts()
    first, *others = (await venue.adapter.list_orders(venue.scope)).orders
    await venue.adapter.cancel_only(venue.scope, [first])
    left = (await venue.adapter.list_orders(venue.scope)).orders
    assert {order.order_id for order in left} == {order.order_id for order in others}


async def test_cancelling_needs_no_listing(venue: Venue) -> None:
    venue.place_all_sorts()
    await venue.adapter.cancel_orders(venue.scope, ())
    assert (await venue.adapter.list_orders(venue.scope)).orders == ()


async def test_a_cancel_that_was_only_acknowledged_leaves_the_orders_listed(venue: Venue) -> None:
    venue.place_all_sorts()
    venue.admin("fault", how="ack_without_cancel")
    await venue.adapter.cancel_orders(venue.scope, ())
    assert len((await venue.adapter.list_orders(venue.scope)).orders) == 3


async def test_positions_and_their_marks(venue: Venue) -> None:
    venue.admin("position", symbol=SYMBOLS[venue.kind], quantity="-0.5", entry="61000")
    (position,) = (await venue.adapter.read_positions()).positions
    assert (position.quantity, position.entry, position.underlying) == (Decimal("-0.5"), Decimal("61000"), "BTC")
    prices = (await venue.adapter.read_prices(frozenset({"USDT"}))).prices
    (mark,) = [price for price in prices if price.symbol == position.symbol]
    assert mark.value > 0
    assert (mark.base, mark.quote) == ("BTC", "USDT" if venue.kind == "kraken" else "USD")


async def test_prices_lead_every_asset_to_the_dollar_or_the_reference(venue: Venue) -> None:
    prices = (await venue.adapter.read_prices(frozenset({"BTC", "ETH", "USDT"}))).prices
    rates = {(price.base, price.quote) for price in prices if price.converts}
    assert {"BTC", "ETH"} <= {base for base, quote in rates if quote in {"USD", "USDT"}}
    assert all(price.value > 0 for price in prices)


async def test_flows_are_the_ledgers_and_trades_are_not_among_them(venue: Venue) -> None:
    began = venue.server._now() - 60
    venue.admin("flow", asset="USDT", amount="-250")
    venue.admin("flow", asset="USDT", amount="100")
    venue.admin("balance", asset="USDT", amount="5", kind="trade")
    listed = await venue.adapter.read_flows(began)
    assert sorted(flow.amount for flow in listed.flows) == [Decimal(-250), Decimal(100)]
    assert {flow.asset for flow in listed.flows} == {"USDT"}
    assert {flow.flow_id for flow in (await venue.adapter.read_flows(began)).flows} == {f.flow_id for f in listed.flows}


async def test_a_long_ledger_is_read_to_its_end(venue: Venue) -> None:
    for _ in range(120):
        venue.admin("flow", asset="USDT", amount="1")
    assert len((await venue.adapter.read_flows(venue.server._now() - 60)).flows) == 120


# --- garbage -----------------------------------------------------------------------------------------

FAULTS: dict[str, type[VenueError]] = {
    "html": MalformedReply,
    "empty_object": MalformedReply,
    "empty_envelope": MalformedReply,
    "empty_list": MalformedReply,
    "empty_body": MalformedReply,
    "truncated": MalformedReply,
    "401": VenueRejected,
    "403": VenueRejected,
    "429": VenueUnavailable,
    "500": VenueUnavailable,
    "503": VenueUnavailable,
    "reset": VenueUnavailable,
}
READS: dict[str, Callable[[Venue], Awaitable[Any]]] = {
    "open_orders": lambda venue: venue.adapter.list_orders(venue.scope),
    "balances": lambda venue: venue.adapter.read_balances(),
    "positions": lambda venue: venue.adapter.read_positions(),
    "prices": lambda venue: venue.adapter.read_prices(frozenset({"BTC"})),
    "ledger": lambda venue: venue.adapter.read_flows(0.0),
}


@pytest.mark.parametrize("how", sorted(FAULTS))
async def test_garbage_is_an_error_of_the_right_word_and_never_empty(venue: Venue, how: str) -> None:
    venue.place_all_sorts()
    for target, read in READS.items():
        venue.admin("fault", how=how, target=target, count=1)
        with pytest.raises(FAULTS[how]) as raised:
            await within(read(venue))
        assert API_SECRET not in str(raised.value)
        await within(read(venue))


async def test_one_number_that_is_none_refuses_the_whole_reply(venue: Venue) -> None:
    fields = {"balances": "balance" if venue.kind == "kraken" else "quantity", "open_orders": None}
    venue.admin("position", symbol=SYMBOLS[venue.kind], quantity="1", entry="60000")
    fields["positions"] = "vol" if venue.kind == "kraken" else "price"
    venue.place(type="limit", price="90000")
    for target, field in fields.items():
        if field is not None:
            venue.admin("fault", how="nan", target=target, field=field, count=1)
            with pytest.raises(MalformedReply):
                await READS[target](venue)


async def test_retry_after_is_passed_on(venue: Venue) -> None:
    venue.admin("fault", how="429", target="balances", count=1, retry_after_s=9)
    with pytest.raises(VenueUnavailable) as raised:
        await venue.adapter.read_balances()
    assert raised.value.retry_after_s == 9


async def test_a_call_that_hangs_can_be_left(venue: Venue) -> None:
    venue.admin("fault", how="hang", target="balances", count=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await venue.adapter.read_balances()
    await within(venue.adapter.read_balances())


async def test_a_wrong_secret_is_a_matter_for_a_person(venue: Venue) -> None:
    wrong = "bm90IHRoZSBzZWNyZXQ="
    adapter = build_adapter(replace(venue.settings, secret=wrong), SystemClock())
    without_pauses(adapter)
    with pytest.raises(VenueRejected) as raised:
        await within(adapter.connect())
    await adapter.close()
    assert wrong not in str(raised.value)
    assert wrong not in repr(replace(venue.settings, secret=wrong))


async def test_a_venue_that_is_not_there_is_unavailable(venue: Venue) -> None:
    adapter = build_adapter(replace(venue.settings, endpoint="http://127.0.0.1:1"), SystemClock())
    without_pauses(adapter)
    with pytest.raises(VenueUnavailable):
        await within(adapter.connect())
    await adapter.close()


async def test_an_endpoint_elsewhere_is_refused(venue: Venue) -> None:
    with pytest.raises(ConfigError, match="loopback"):
        build_adapter(replace(venue.settings, endpoint="http://192.0.2.1"), SystemClock())


# --- the lane ----------------------------------------------------------------------------------------


async def test_an_urgent_call_pushes_aside_an_ordinary_one_that_hangs(venue: Venue) -> None:
    venue.place_all_sorts()
    calls = venue.server.calls["balances"]["count"]
    venue.admin("fault", how="hang", target="balances", count=1)
    hanging = asyncio.ensure_future(venue.adapter.read_balances())
    await within(until(lambda: venue.server.calls["balances"]["count"] > calls))
    listing = await within(venue.adapter.list_orders(venue.scope))
    assert len(listing.orders) == 3
    with pytest.raises(PushedAside):
        await hanging


async def test_the_limiter_holds_ordinary_calls_and_no_urgent_one(venue: Venue) -> None:
    adapter: Any = venue.adapter
    adapter._shell.pacer = Pacer(SystemClock(), 0.0)
    adapter._client.rateLimit = 1_000_000.0
    await venue.adapter.read_balances()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await venue.adapter.read_balances()
    for _ in range(3):
        await within(venue.adapter.list_orders(venue.scope))
        await within(venue.adapter.read_balances(urgent=True))


async def test_many_calls_at_once_never_clash(venue: Venue) -> None:
    urgent = [venue.adapter.read_balances(urgent=True) for _ in range(30)]
    listings = [venue.adapter.list_orders(venue.scope) for _ in range(20)]
    answers = await within(asyncio.gather(*urgent, *listings, return_exceptions=True))
    assert all(isinstance(answer, OrderListing) for answer in answers[30:])
    refused = [answer for answer in answers if isinstance(answer, Exception)]
    assert all(isinstance(error, PushedAside) for error in refused), refused
    assert len(refused) <= 1, "only the read in flight makes room for the sweep"


# --- streams -----------------------------------------------------------------------------------------


async def test_the_first_frame_is_a_snapshot_and_changes_follow(venue: Venue) -> None:
    await venue.adapter.read_prices(frozenset({"BTC"}))
    for kind in sorted(venue.adapter.capabilities.stream_kinds):
        await within(venue.adapter.next_frame(kind))
    venue.admin("price", symbol=SYMBOLS[venue.kind], price="43210")
    changed = await frame_where(venue, Kind.PRICES, lambda inputs: Decimal(43210) in _prices(inputs))
    assert isinstance(changed[0], PricesSeen)
    venue.admin("balance", asset="USDT", amount="777")
    (balance,) = await _balance_after_change(venue)
    assert balance.amounts["USDT"] == Decimal(777)
    venue.place(type="limit", price="90000", client_order_id="bot-9")
    orders = await frame_where(venue, Kind.ORDERS, lambda inputs: "bot-9" in _client_ids(inputs))
    assert len(orders) == 1


def _prices(inputs: Sequence[Input]) -> set[Decimal]:
    return {price.value for seen in inputs if isinstance(seen, PricesSeen) for price in seen.prices}


def _client_ids(inputs: Sequence[Input]) -> set[str | None]:
    return {order.client_order_id for seen in inputs if isinstance(seen, OrdersSeen) for order in seen.orders}


async def _balance_after_change(venue: Venue) -> tuple[BalancesSeen]:
    """What the stream says, or what REST says after the stream's sign that something changed."""
    inputs = await within(venue.adapter.next_frame(Kind.BALANCES))
    seen = inputs[0] if inputs else await venue.adapter.read_balances()
    assert isinstance(seen, BalancesSeen)
    return (seen,)


async def test_no_update_between_two_reads_is_lost(venue: Venue) -> None:
    await venue.adapter.read_prices(frozenset({"BTC", "ETH"}))
    first = await frame_where(venue, Kind.PRICES, lambda inputs: bool(inputs))
    assert first
    venue.admin("price", asset="BTC", price="50001")
    venue.admin("price", asset="ETH", price="2001")
    seen: set[Decimal] = set()
    async with asyncio.timeout(DEADLINE_S):
        while not {Decimal(50001), Decimal(2001)} <= seen:
            seen |= _prices(await venue.adapter.next_frame(Kind.PRICES))


async def test_what_needs_a_price_later_is_streamed_later(venue: Venue) -> None:
    await venue.adapter.read_prices(frozenset({"BTC"}))
    await frame_where(venue, Kind.PRICES, lambda inputs: "BTC" in _bases(inputs))
    waiting = asyncio.ensure_future(frame_where(venue, Kind.PRICES, lambda inputs: "SOL" in _bases(inputs)))
    await venue.adapter.read_prices(frozenset({"BTC", "SOL"}))
    await waiting


def _bases(inputs: Sequence[Input]) -> set[str]:
    return {price.base for seen in inputs if isinstance(seen, PricesSeen) for price in seen.prices}


async def test_a_dropped_stream_raises_once_and_then_begins_with_a_snapshot(venue: Venue) -> None:
    await within(venue.adapter.next_frame(Kind.BALANCES))
    dials = _dials(venue)
    venue.admin("socket", action="drop")
    with pytest.raises(VenueUnavailable):
        await within(_frames_until_lost(venue, Kind.BALANCES))
    assert venue.adapter.heartbeat_mono(Kind.BALANCES) is None
    await within(venue.adapter.next_frame(Kind.BALANCES))
    assert _dials(venue) > dials
    assert venue.adapter.heartbeat_mono(Kind.BALANCES) is not None


async def test_a_frame_of_garbage_ends_the_stream_and_it_recovers(venue: Venue) -> None:
    await within(venue.adapter.next_frame(Kind.BALANCES))
    venue.admin("socket", action="garbage")
    with pytest.raises(MalformedReply):
        await within(_frames_until_lost(venue, Kind.BALANCES))
    await within(venue.adapter.next_frame(Kind.BALANCES))
    venue.admin("balance", asset="USDT", amount="321")
    (balance,) = await _balance_after_change(venue)
    assert balance.amounts["USDT"] == Decimal(321)


async def test_a_frame_with_a_number_that_is_none_never_becomes_an_amount(venue: Venue) -> None:
    await within(venue.adapter.next_frame(Kind.BALANCES))
    venue.admin("fault", how="nan", target="ws", count=1, field="balance" if venue.kind == "kraken" else "quantity")
    venue.admin("balance", asset="USDT", amount="321")
    with pytest.raises(MalformedReply):
        await within(_frames_until_lost(venue, Kind.BALANCES))


@pytest.mark.parametrize("action", ["silent", "frozen"])
async def test_a_silent_stream_stops_vouching(venue: Venue, action: str) -> None:
    await within(venue.adapter.next_frame(Kind.BALANCES))
    venue.admin("socket", action=action)
    heard = venue.adapter.heartbeat_mono(Kind.BALANCES)
    venue.server._on_beat()
    venue.admin("balance", asset="USDT", amount="1")
    await within(venue.adapter.read_balances())
    assert heard is not None
    assert venue.adapter.heartbeat_mono(Kind.BALANCES) == heard


async def test_a_stream_that_was_reset_begins_anew(venue: Venue) -> None:
    for kind in sorted(venue.adapter.capabilities.stream_kinds - {Kind.PRICES}):
        await within(venue.adapter.next_frame(kind))
    dials = _dials(venue)
    await venue.adapter.reset_streams()
    assert venue.adapter.heartbeat_mono(Kind.BALANCES) is None
    await within(venue.adapter.next_frame(Kind.BALANCES))
    assert _dials(venue) == dials + 1


async def test_a_closed_adapter_does_not_open_a_session_again(venue: Venue) -> None:
    await within(venue.adapter.next_frame(Kind.BALANCES))
    await venue.adapter.close()
    dials = _dials(venue)
    with pytest.raises(VenueError):
        await within(venue.adapter.next_frame(Kind.BALANCES))
    with pytest.raises(VenueError):
        await within(venue.adapter.read_balances())
    assert _dials(venue) == dials


# --- the feed over it --------------------------------------------------------------------------------


@dataclass
class Fed:
    """A feed that runs over a venue, and what it emitted."""

    venue: Venue
    feed: VenueFeed
    seen: list[Input]

    def last(self, kind: type[Any]) -> Any:
        return next((seen for seen in reversed(self.seen) if isinstance(seen, kind)), None)

    def usdt(self) -> Decimal | None:
        """USDT as the newest balances have it."""
        newest = [seen for seen in self.seen if isinstance(seen, BalancesSeen) and "USDT" in seen.amounts]
        return newest[-1].amounts["USDT"] if newest else None


@pytest_asyncio.fixture
async def fed(venue: Venue) -> AsyncIterator[Fed]:
    seen: list[Input] = []
    feed = VenueFeed(
        venue.adapter, seen.append, SystemClock(), assets=lambda: frozenset({"BTC"}), backoff=lambda _: 0.01
    )
    task = asyncio.ensure_future(feed.run())
    kinds = venue.adapter.capabilities.stream_kinds - {Kind.ORDERS}
    await within(until(lambda: kinds <= feed._live and feed._held != {}))
    yield Fed(venue, feed, seen)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def test_a_change_of_balance_reaches_the_feed_at_once(fed: Fed) -> None:
    fed.venue.admin("balance", asset="USDT", amount="4242")
    await within(until(lambda: fed.usdt() == 4242))
    assert not [seen for seen in fed.seen if isinstance(seen, VenueLost)]


async def test_heartbeats_confirm_the_balances_of_an_idle_account(fed: Fed) -> None:
    await within(
        until(lambda: any(isinstance(seen, StreamConfirmed) and seen.kind is Kind.BALANCES for seen in fed.seen))
    )


async def test_what_happened_while_the_socket_was_down_is_seen_when_it_is_back(fed: Fed) -> None:
    fed.venue.admin("fault", how="socket_drop", count=2)
    fed.venue.admin("balance", asset="USDT", amount="17")
    await within(until(lambda: fed.usdt() == 17))
    assert any(isinstance(seen, VenueLost) and seen.kind is Kind.BALANCES for seen in fed.seen)
    await within(until(lambda: Kind.BALANCES in fed.feed._live))


async def test_a_withdrawal_is_listed_and_then_the_balance_is_read(fed: Fed) -> None:
    fed.venue.admin("flow", asset="USDT", amount="-100")
    await fed.feed.read_now(frozenset({Kind.FLOWS}), urgent=True)
    listed = fed.last(FlowsListed)
    assert [flow.amount for flow in listed.flows] == [Decimal(-100)]
    after = [seen for seen in fed.seen[fed.seen.index(listed) :] if isinstance(seen, BalancesSeen)]
    assert after[0].source is Source.REST
    assert after[0].requested_mono > listed.requested_mono


async def test_garbage_never_becomes_a_reading(fed: Fed) -> None:
    before = fed.usdt()
    fed.venue.admin("fault", how="html", target="balances")
    await fed.feed.read_now(frozenset({Kind.BALANCES}), urgent=True)
    assert fed.last(VenueLost).kind is Kind.BALANCES
    assert fed.usdt() == before


async def _frames_until_lost(venue: Venue, kind: Kind) -> None:
    while True:
        await venue.adapter.next_frame(kind)


def _dials(venue: Venue) -> int:
    return int(venue.server.calls.get("ws", {"count": 0})["count"])
