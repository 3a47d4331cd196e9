"""What no order of events may bring about: a proof while an order is open.

The truth is a list of orders with the times between which each is open. A listing is honest: it shows
what is open at one moment between its request and its answer. Requests, moments and answers come in any
order that time allows, so answers overtake each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hypothesis import event, given, settings
from hypothesis import strategies as st

from adapters.base import OrderListing
from oms.proof import JointRound, VenueProof
from risk_daemon.model.events import Order

SETTLE_S = 2.0
LOCK_AGED_S = 4.0
SCOPES = (("a", "spot"), ("a", "trigger"), ("b", "perp"))

Place = tuple[str, str]
moments = st.integers(0, 40).map(lambda tick: tick / 2)
before_the_lock_aged = st.integers(0, 7).map(lambda tick: tick / 2)
delays = st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0, 4.0])
places = st.sampled_from(SCOPES)


@dataclass(frozen=True)
class Life:
    """An order and when it is open: from `opened` up to, not including, `closed`."""

    place: Place
    number: int
    opened: float
    closed: float

    def is_open(self, at: float) -> bool:
        return self.opened <= at < self.closed

    @property
    def order(self) -> Order:
        venue, scope = self.place
        return Order(
            venue=venue, scope=scope, order_id=f"o{self.number}", symbol="BTC/USDT", side="buy", order_type="limit"
        )


@dataclass(frozen=True)
class Look:
    """A listing: requested, read by the venue, answered."""

    place: Place
    requested: float
    read: float
    answered: float
    fails: bool

    def listing(self, lives: list[Life]) -> OrderListing:
        orders = tuple(life.order for life in lives if life.place == self.place and life.is_open(self.read))
        return OrderListing(*self.place, self.requested, orders)


@st.composite
def looks(draw: st.DrawFn) -> Look:
    requested, read_delay, answer_delay = draw(moments), draw(delays), draw(delays)
    read = requested + read_delay
    return Look(draw(places), requested, read, read + answer_delay, draw(st.integers(0, 19)) == 0)


@dataclass(frozen=True)
class Cancel:
    """A cancel, from the moment it was sent to its answer. All that time the venue may hide what is open."""

    place: Place
    sent: float
    answered: float
    fails: bool

    def hides(self, place: Place, at: float) -> bool:
        return place[0] == self.place[0] and self.sent <= at < self.answered


def cancels() -> st.SearchStrategy[Cancel]:
    return st.builds(
        lambda place, sent, takes, fails: Cancel(place, sent, sent + takes, fails),
        places,
        moments,
        st.sampled_from([0.5, 1.0, 4.0, 8.0]),
        st.booleans(),
    )


def life(opened: st.SearchStrategy[float], closed: st.SearchStrategy[float]) -> st.SearchStrategy[Life]:
    return st.builds(Life, places, st.integers(1, 5), opened, closed)


class Guard:
    """Two venues under proof, fed with looks in the order of their answers."""

    def __init__(self) -> None:
        self.venues = {
            name: VenueProof(name, scopes, settle_s=SETTLE_S, started_mono=0.0)
            for name, scopes in (("a", ("spot", "trigger")), ("b", ("perp",)))
        }
        self.joint = JointRound(self.venues, not_before_mono=LOCK_AGED_S)
        self.fed: list[Look] = []

    def feed(self, look: Look, lives: list[Life]) -> None:
        venue, scope = look.place
        if look.fails:
            self.venues[venue].failed(scope, "no answer")
        else:
            self.venues[venue].listed(look.listing(lives), look.answered)
            self.fed.append(look)
        self.joint.step(look.answered)

    def feed_all(self, schedule: list[Look], sent: list[Cancel], lives: list[Life]) -> Iterable[float]:
        """Looks and cancels as they come; gives the time after each."""
        steps = [(look.answered, 1, look) for look in schedule]
        steps += [(cancel.sent, 0, cancel) for cancel in sent]
        steps += [(cancel.answered, 2, cancel) for cancel in sent]
        for at, kind, what in sorted(steps, key=lambda step: step[:2]):
            if isinstance(what, Look):
                is_hidden = any(cancel.hides(what.place, what.read) for cancel in sent)
                self.feed(what, [] if is_hidden else lives)
            elif kind == 0:
                self.venues[what.place[0]].cancelling(what.place[1], (), at)
            else:
                self.venues[what.place[0]].cancel_answered(what.place[1], "no" if what.fails else None, at)
            self.joint.step(at)
            yield at


def answered_in_turn(taken: list[Look]) -> list[Look]:
    return sorted(taken, key=lambda look: look.answered)


def regular_looks(gap: float) -> list[Look]:
    """Looks at every scope at a steady pace, without which random ones rarely prove anything."""
    times = [number * gap for number in range(int(24 / gap))]
    return [Look(place, at, at, at, fails=False) for at in times for place in SCOPES]


schedules = st.tuples(st.lists(looks(), max_size=30), st.sampled_from([1.0, 2.0, 3.0, 30.0])).map(
    lambda parts: answered_in_turn(parts[0] + regular_looks(parts[1]))
)


@given(schedules, st.lists(life(before_the_lock_aged, moments), max_size=4))
@settings(max_examples=300, deadline=None)
def test_once_the_gate_is_shut_a_passed_joint_round_means_that_nothing_is_open(
    schedule: list[Look], lives: list[Life]
) -> None:
    """No order is placed after the lock has aged: what the lock, the leases and order_flight_s stand for."""
    guard = Guard()
    for look in schedule:
        guard.feed(look, lives)
        if guard.joint.passed:
            event("passed")
            assert not [life for life in lives if life.is_open(look.answered)]


@given(schedules, life(st.just(0.0), st.just(1e9)), st.lists(life(moments, moments), max_size=3))
@settings(max_examples=200, deadline=None)
def test_an_order_that_stays_is_never_proven_gone(schedule: list[Look], stays: Life, lives: list[Life]) -> None:
    guard = Guard()
    for look in schedule:
        guard.feed(look, [stays, *lives])
        assert not guard.venues[stays.place[0]].proven
        assert not guard.joint.passed


@given(schedules, st.lists(cancels(), max_size=3), life(st.just(0.0), st.just(1e9)))
@settings(max_examples=300, deadline=None)
def test_what_a_venue_hides_while_it_cancels_is_never_proven_gone(
    schedule: list[Look], sent: list[Cancel], stays: Life
) -> None:
    """Only listings requested after the last cancel's answer count."""
    guard = Guard()
    for _ in guard.feed_all(schedule, sent, [stays]):
        assert not guard.venues[stays.place[0]].proven
        assert not guard.joint.passed


@given(st.lists(looks(), max_size=20), st.lists(cancels(), max_size=4), st.lists(life(moments, moments), max_size=4))
@settings(max_examples=100, deadline=None)
def test_cancels_keep_no_quiet_venue_from_being_proven(
    schedule: list[Look], sent: list[Cancel], lives: list[Life]
) -> None:
    guard = Guard()
    for _ in guard.feed_all(schedule, sent, lives):
        pass
    for number in range(4):
        for place in SCOPES:
            at = 100.0 + number * SETTLE_S
            guard.feed(Look(place, at, at, at, fails=False), lives)
    assert guard.joint.passed


@given(schedules, st.lists(life(moments, moments), max_size=6))
@settings(max_examples=300, deadline=None)
def test_a_proven_venue_was_twice_seen_empty_settle_apart_with_no_order_seen_between(
    schedule: list[Look], lives: list[Life]
) -> None:
    """Bots may place orders at any time here."""
    guard = Guard()
    for look in schedule:
        guard.feed(look, lives)
        for name, venue in guard.venues.items():
            if venue.proven:
                event(f"{name} proven")
                assert_seen_empty_twice(guard.fed, name, lives)


def assert_seen_empty_twice(fed: list[Look], venue: str, lives: list[Life]) -> None:
    of_venue = [look for look in fed if look.place[0] == venue]
    sightings = [look.answered for look in of_venue if look.listing(lives).orders]
    last_sighting = max(sightings, default=0.0)
    for place in (place for place in SCOPES if place[0] == venue):
        empty = [
            look
            for look in of_venue
            if look.place == place and not look.listing(lives).orders and look.requested >= last_sighting
        ]
        assert max(look.read for look in empty) - min(look.read for look in empty) >= SETTLE_S


@given(st.lists(looks(), max_size=20), st.lists(life(moments, moments), max_size=4))
@settings(max_examples=100, deadline=None)
def test_enough_good_looks_prove_in_the_end(schedule: list[Look], lives: list[Life]) -> None:
    """Nothing that happened before may keep a quiet venue from being proven: that is the other failure."""
    guard = Guard()
    for look in answered_in_turn(schedule):
        guard.feed(look, lives)
    for number in range(4):
        for place in SCOPES:
            at = 100.0 + number * SETTLE_S
            guard.feed(Look(place, at, at, at, fails=False), lives)
    assert guard.joint.passed


@given(schedules, st.lists(life(moments, moments), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_counts_add_up(schedule: list[Look], lives: list[Life]) -> None:
    guard = Guard()
    for look in schedule:
        guard.feed(look, lives)
    for name, venue in guard.venues.items():
        shown = {order for look in guard.fed if look.place[0] == name for order in look.listing(lives).orders}
        assert venue.cancelled <= len(shown)
        assert set(venue.replaced) <= shown
        assert len(set(venue.replaced)) == len(venue.replaced)
        if venue.proven:
            assert venue.cancelled == len(shown)
