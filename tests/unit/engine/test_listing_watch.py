"""Whether orders can be listed and cancelled, as the engine sees it; and the rounds that find it out."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import asdict
from typing import Any

import pytest

from adapters.base import CancelPermission, KeyPowers, OrderListing, OrderScope
from adapters.order_rounds import AUDIT_EVERY_S, OrderRounds
from risk_daemon.breakers import ErrorRateCircuitBreaker
from risk_daemon.engine.settings import ListingSettings
from risk_daemon.errors import VenueError, VenueUnavailable
from risk_daemon.gate.restraints import severity
from risk_daemon.model.events import (
    CancelChecked,
    DisableRequested,
    EventName,
    HaltRequested,
    KeyAudited,
    Kind,
    ListingFailed,
    OrdersListed,
    Started,
    VenueConnected,
    VenueLost,
)
from risk_daemon.runtime.status import status_of
from tests.core_world import World, engine_settings, with_
from tests.virtual import pass_time

LISTING = ListingSettings({"spot": frozenset({"plain", "trigger"}), "perp": frozenset({"account"})})
SCOPES = (("spot", "plain"), ("spot", "trigger"), ("perp", "account"))


def listed(world: World, *scopes: tuple[str, str]) -> None:
    for venue, scope in scopes:
        world.send(OrdersListed(venue, scope, world.now, ()))


def guarded(*rules: Any) -> World:
    """Everything is read, and nothing is listed yet."""
    world = World(with_(engine_settings(), listing=LISTING), rules=lambda: rules)
    world.start()
    return world


def well(*rules: Any) -> World:
    world = guarded(*rules)
    listed(world, *SCOPES)
    assert world.gate == "open"
    return world


def fails(world: World, seconds: float, scope: tuple[str, str] = ("spot", "trigger"), **how: Any) -> None:
    """One scope fails every 5 s, the others are listed."""
    for _ in range(int(seconds // 5)):
        listed(world, *(one for one in SCOPES if one != scope))
        world.send(ListingFailed(*scope, world.now, "html", **how))
        world.run(5.0)


def test_before_every_scope_was_listed_once_nobody_may_trade() -> None:
    world = guarded()
    listed(world, *SCOPES[:2])
    assert world.gate == "starting"
    assert world.engine.restraints[0].reason == "the open orders of perp are not listed yet"
    listed(world, SCOPES[2])
    assert world.gate == "open"


def test_a_scope_that_fails_for_a_while_is_a_veto_until_it_is_listed() -> None:
    world = well()
    fails(world, 25.0)
    assert world.gate == "open"
    [lost] = world.records(EventName.VENUE_LOST)
    assert (lost.fields["venue"], lost.fields["kind"], lost.fields["reason"]) == ("spot", Kind.ORDERS, "html")
    fails(world, 10.0)
    assert world.gate == "unlistable:spot"
    [begun] = world.records(EventName.UNLISTABLE_STARTED)
    assert (begun.fields["venue"], begun.fields["refused"]) == ("spot", False)
    assert "trigger" in begun.fields["reason"]
    listed(world, ("spot", "plain"))
    assert world.gate == "unlistable:spot", "another scope proves nothing"
    listed(world, ("spot", "trigger"))
    assert world.gate == "open"
    assert [ended.fields["venue"] for ended in world.records(EventName.UNLISTABLE_ENDED)] == ["spot"]


def test_listings_that_stop_coming_are_missed_as_well() -> None:
    world = well()
    for _ in range(10):
        listed(world, *SCOPES[:2])
        world.run(5.0)
    assert world.gate == "unlistable:perp"
    assert "no listing came" in world.engine.restraints[0].reason


def test_a_refusal_holds_at_once_and_no_mere_failure_ends_it() -> None:
    world = well()
    world.send(ListingFailed("spot", "plain", world.now, "EAPI:Invalid key", is_refused=True))
    assert world.gate == "unlistable:spot"
    world.send(ListingFailed("spot", "plain", world.now, "no answer in time"))
    assert world.gate == "unlistable:spot"
    listed(world, ("spot", "plain"))
    assert world.gate == "open"


def test_one_that_fails_late_was_wanting_since_it_was_due() -> None:
    """Where calls that hang fill the lane, a listing is asked for late: 15 s it may be away, then 30 s it is missed."""
    world = well()
    for waited_s, gate in ((25.0, "open"), (19.0, "open"), (2.0, "unlistable:spot")):
        for _ in range(int(waited_s)):
            listed(world, *SCOPES[1:])
            world.run(1.0)
        world.send(ListingFailed("spot", "plain", world.now, "no answer in time"))
        assert world.gate == gate


def test_a_listing_requested_before_the_failure_does_not_end_it() -> None:
    world = well()
    early = world.now
    world.run(1.0)
    listed(world, ("spot", "plain"))
    world.send(ListingFailed("spot", "plain", early, "html", is_refused=True))
    assert world.gate == "open"


def test_a_key_that_may_not_cancel_is_a_veto_and_one_nobody_can_ask_is_none() -> None:
    world = well()
    world.send(CancelChecked("spot", None, "nobody knows how to ask"))
    assert world.gate == "open"
    world.send(CancelChecked("spot", False, "EGeneral:Permission denied"))
    assert world.gate == "unlistable:spot"
    assert "may not cancel" in world.engine.restraints[0].reason
    world.send(CancelChecked("spot", True))
    assert world.gate == "open"


def test_it_is_told_and_holds_nobody_while_disabled() -> None:
    world = well()
    world.send(DisableRequested(600.0, "a test", "anna"))
    world.send(CancelChecked("spot", False, "denied"))
    assert world.gate == "open"
    assert world.records(EventName.UNLISTABLE_STARTED)


def test_while_a_sweep_lists_nobody_is_missed() -> None:
    world = well()
    world.send(HaltRequested("enough", "anna"))
    assert not world.engine.wants_listings
    world.run(120.0)
    assert world.records(EventName.UNLISTABLE_STARTED) == []


def test_its_place_among_the_reasons() -> None:
    order = ["order_rate", "custom:mine", "unlistable:kraken", "blind", "starting"]
    assert sorted(order, key=severity) == order


def test_the_state_tells_when_orders_were_listed_and_why_not() -> None:
    world = well()
    world.run(3.0)
    orders = status_of(world.engine, world.clock.now(), {}).venues["spot"].orders
    known = {"listed_s": pytest.approx(3.0), "failing_s": None, "reason": None, "may_cancel": None, "open": None}
    assert asdict(orders) == known
    world.send(ListingFailed("spot", "plain", world.now, "html"))
    world.send(CancelChecked("spot", True))
    world.run(2.0)
    orders = status_of(world.engine, world.clock.now(), {}).venues["spot"].orders
    assert asdict(orders) == {
        "listed_s": pytest.approx(5.0),
        "failing_s": pytest.approx(2.0),
        "reason": "html",
        "may_cancel": True,
        "open": None,
    }


# --- outages as errors -------------------------------------------------------------------------------


def errors(world: World) -> dict[str, int]:
    counts = world.engine.books.activity.error_counts(world.now, 600.0)
    return {kind.value: count for kinds in counts.values() for kind, count in kinds.items()}


def test_an_outage_counts_once_a_kind_however_much_of_it_is_told() -> None:
    world = well(ErrorRateCircuitBreaker(2))
    for _ in range(5):
        world.send(VenueLost("spot", "down"))
        for kind in (Kind.BALANCES, Kind.PRICES, Kind.ORDERS):
            world.send(VenueLost("spot", "down", kind, is_stream=False))
            world.send(VenueLost("spot", "dropped", kind))
        world.send(ListingFailed("spot", "plain", world.now, "down"))
    assert errors(world) == {"connection": 1, "data_feed": 1}
    assert world.gate == "open"


def test_a_feed_that_drops_again_and_again_counts_each_time() -> None:
    world = well(ErrorRateCircuitBreaker(2))
    for _ in range(3):
        world.send(VenueLost("spot", "dropped", Kind.PRICES))
        world.send(VenueConnected("spot", Kind.PRICES))
    assert errors(world) == {"data_feed": 3}
    assert len(world.records(EventName.VENUE_LOST)) == 3
    assert world.gate == "error_rate"


def lose(world: World, *kinds: Kind) -> None:
    for kind in kinds:
        world.send(VenueLost("perp", "connection refused", kind, is_stream=False))


def shown(world: World) -> bool | None:
    return status_of(world.engine, world.clock.now(), {}).venues["perp"].connected


@pytest.mark.parametrize("in_trip", [False, True])
def test_a_venue_of_which_nothing_is_read_is_not_connected_until_something_is(*, in_trip: bool) -> None:
    world = well()
    if in_trip:
        world.send(HaltRequested("drill", "anna"))
    world.forget()
    for kind in (Kind.BALANCES, Kind.POSITIONS, Kind.PRICES):
        world.send(VenueLost("perp", "dropped", kind))
    lose(world, Kind.BALANCES, Kind.POSITIONS, Kind.BALANCES)
    assert shown(world) is True, "its prices are read"
    lose(world, Kind.PRICES)
    assert (shown(world), world.engine.connected["spot"]) == (False, True)
    world.stream_price("BTC/USDT", 50_000, "perp")
    assert shown(world) is False, "a late frame of a stream is no answer"
    world.read("perp", Kind.PRICES)
    assert shown(world) is True
    assert [record.fields for record in world.records(EventName.VENUE_CONNECTED)] == [{"venue": "perp"}]
    world.send(VenueConnected("perp"))
    assert len(world.records(EventName.VENUE_CONNECTED)) == 1
    lose(world, Kind.BALANCES, Kind.POSITIONS)
    assert shown(world) is True
    lose(world, Kind.PRICES)
    assert shown(world) is False
    world.send(VenueConnected("perp"))
    assert shown(world) is True


def test_a_reading_that_comes_and_goes_does_not_connect_a_venue_that_was_never_reached() -> None:
    world = World()
    world.send(Started())
    lose(world, Kind.BALANCES, Kind.POSITIONS, Kind.PRICES)
    world.read("perp", Kind.PRICES)
    assert shown(world) is False


# --- the rounds --------------------------------------------------------------------------------------

pytestmark = pytest.mark.looptime


class Listed:
    """A venue with two scopes; `faults` are raised one after the other, `permission` is what it says of its key."""

    name = "v"
    scopes = (OrderScope("plain", frozenset()), OrderScope("trigger", frozenset()))

    def __init__(self) -> None:
        self.faults: deque[Exception | None] = deque()
        self.permission: Any = CancelPermission(True)
        self.calls: list[tuple[str, float]] = []

    async def list_orders(self, scope: OrderScope, *, urgent: bool = True) -> OrderListing:
        assert not urgent
        mono = asyncio.get_running_loop().time()
        self.calls.append((scope.name, mono))
        fault = self.faults.popleft() if self.faults else None
        if fault is not None:
            raise fault
        return OrderListing(self.name, scope.name, mono, ())

    async def cancel_permission(self) -> CancelPermission:
        self.calls.append(("probe", asyncio.get_running_loop().time()))
        if isinstance(self.permission, VenueError):
            raise self.permission
        return self.permission

    def times(self, name: str) -> list[float]:
        return [mono for called, mono in self.calls if called == name]


class Rounds:
    def __init__(self, venue: Listed) -> None:
        from tests.unit.adapters.test_streams import LoopClock

        self.seen: list[Any] = []
        self.may_list = True
        self.rounds = OrderRounds(
            venue,  # type: ignore[arg-type]
            self.seen.append,
            LoopClock(),
            every_s=15.0,
            call_timeout_s=10.0,
            backoff=float,
            may_list=lambda: self.may_list,
        )
        self.task = asyncio.ensure_future(self.rounds.run())

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


async def test_every_scope_is_listed_once_a_round_and_the_key_is_asked_with_it() -> None:
    venue = Listed()
    rounds = Rounds(venue)
    await pass_time(301)
    assert len(venue.times("plain")) == len(venue.times("trigger")) == 21
    assert venue.times("probe") == venue.times("plain")
    assert [event for event in rounds.seen if isinstance(event, CancelChecked)] == [CancelChecked("v", True)] * 21
    await rounds.end()


async def test_one_scope_that_fails_is_told_and_keeps_no_other_from_being_listed() -> None:
    venue = Listed()
    venue.faults.append(VenueUnavailable("down"))
    rounds = Rounds(venue)
    await pass_time(0.5)
    assert rounds.seen[:2] == [ListingFailed("v", "plain", 0.0, "down"), OrdersListed("v", "trigger", 0.0, ())]
    await pass_time(1)
    assert venue.times("plain") == [0.0, 1.0], "asked again soon"
    await rounds.end()


async def test_a_key_that_was_made_read_only_is_found_in_the_next_round() -> None:
    venue = Listed()
    rounds = Rounds(venue)
    await pass_time(14)
    venue.permission = CancelPermission(False, "denied")
    await pass_time(1)
    assert rounds.seen[-1] == CancelChecked("v", False, "denied")
    assert venue.times("probe") == [0.0, 15.0]
    await rounds.end()


async def test_a_key_nobody_answered_for_is_asked_again_and_is_no_error() -> None:
    venue = Listed()
    venue.permission = VenueUnavailable("busy")
    rounds = Rounds(venue)
    await pass_time(16)
    assert len(venue.times("probe")) == 2
    assert all(isinstance(event, OrdersListed) for event in rounds.seen)
    await rounds.end()


async def test_nothing_is_listed_while_a_sweep_does() -> None:
    venue = Listed()
    rounds = Rounds(venue)
    await pass_time(1)
    rounds.may_list = False
    await pass_time(60)
    assert len(venue.times("plain")) == 1
    rounds.may_list = True
    await pass_time(1)
    assert venue.times("plain")[-1] >= 60.0
    await rounds.end()


class Tells(Listed):
    """A venue that tells what the key may do, unless `powers` is an error."""

    powers: Any = KeyPowers(may_read=True, may_withdraw=True)

    async def audit_key(self) -> KeyPowers | None:
        self.calls.append(("audit", asyncio.get_running_loop().time()))
        if isinstance(self.powers, VenueError):
            raise self.powers
        return self.powers  # type: ignore[no-any-return]


async def test_what_the_key_may_do_is_asked_at_the_start_and_every_hour() -> None:
    venue = Tells()
    rounds = Rounds(venue)
    await pass_time(AUDIT_EVERY_S + 20)
    assert len(venue.times("audit")) == 2
    audited = [event for event in rounds.seen if isinstance(event, KeyAudited)]
    assert audited == [KeyAudited(venue="v", may_read=True, may_withdraw=True)] * 2
    await rounds.end()


async def test_an_audit_without_an_answer_is_made_again_in_the_next_round() -> None:
    venue = Tells()
    venue.powers = VenueUnavailable("down")
    rounds = Rounds(venue)
    await pass_time(20)
    assert len(venue.times("audit")) == 2
    assert not any(isinstance(event, KeyAudited) for event in rounds.seen)
    await rounds.end()


async def test_a_key_that_may_withdraw_is_told_loudly_and_once() -> None:
    world = well()
    audited = KeyAudited(venue="spot", may_read=True, may_withdraw=True, is_bound=False)
    for event in (audited, audited):
        world.send(event)
    assert len(world.records(EventName.KEY_AUDITED)) == len(world.records(EventName.KEY_MAY_WITHDRAW)) == 1
    world.send(KeyAudited(venue="spot", may_withdraw=False))
    assert [record.fields["may_withdraw"] for record in world.records(EventName.KEY_AUDITED)] == [True, False]
    assert len(world.records(EventName.KEY_MAY_WITHDRAW)) == 1
    assert world.gate == "open"
