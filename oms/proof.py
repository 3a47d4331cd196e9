"""What counts as gone.

Only a well-formed listing is evidence, and only about the time after it was requested. A venue is
proven when every order scope was listed empty twice, `settle_s` apart, and no order was seen in any
of its scopes, nor a cancel sent, since. All venues are proven together when, after that and after
every lease has run out, each scope lists empty once more in one round that no order interrupts. Who
placed an order after the lock may do so again: that round waits for longer than the order took to come. A
look that fails tells nothing: it undoes no evidence and adds none; but a scope that is looked at in
vain again and again is not proven. Pure: the caller brings the times.

Orders become others: a strategy of the venue's own places some, a trigger that fires is a plain one from then on. What
is listed in the other order can miss both. So in the joint round a venue's scopes are listed by their ranks: what can
become another first, and the next rank only after its answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from adapters.base import OrderListing
from risk_daemon.errors import check
from risk_daemon.model.account import OrderSide
from risk_daemon.model.events import Order, Position

OrderKey = tuple[str, str]
Known = Mapping[str, Mapping[OrderKey, Order]]

WATCH_S = 5.0
"""How often a proven scope is listed again while other venues are still at work."""

CANCEL_PATIENCE_S = 2.0
"""A look while a cancel is on its way to the venue is no evidence: it waits for the answer, but no longer than this."""

AGAIN_FACTOR = 1.5
AGAIN_MAX_S = 5.0
"""An order that appeared n seconds after the one before may be followed by another n seconds later: the joint round
waits so many times n for it, and no longer than this."""

_REDUCING_SIDE = {True: OrderSide.SELL, False: OrderSide.BUY}


def order_key(order: Order) -> OrderKey:
    """Symbol and id, within a scope: some venues number orders per symbol."""
    return (order.symbol, order.order_id)


def is_protective(order: Order, positions: Sequence[Position] | None) -> bool:
    """Whether the venue marked the order reduce-only and it reduces a position that is known to be open."""
    if not order.reduce_only or positions is None:
        return False
    return any(
        position.symbol == order.symbol
        and position.quantity != 0
        and order.side == _REDUCING_SIDE[position.quantity > 0]
        for position in positions
    )


def listing_fault(
    listing: object, venue: str, scope: str, *, asked_mono: float = -math.inf, received_mono: float
) -> str | None:
    """Why an adapter's answer is no listing of this scope, requested between then and now; None if it is."""
    if not isinstance(listing, OrderListing):
        return f"the answer is a {type(listing).__name__}, not a listing"
    if (listing.venue, listing.scope) != (venue, scope):
        return f"the answer is a listing of {listing.venue} {listing.scope}"
    if not asked_mono <= listing.requested_mono <= received_mono:  # NaN is refused too
        return "the listing was requested at another time than it was asked for"
    return None


def _nothing_kept(_order: Order) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one listing showed.

    open: orders to cancel. kept: protective orders left alone. replaced: those of `open` that appeared
    after the first look and are named for the first time. stubborn: an order outlived a cancel.
    """

    open: tuple[Order, ...]
    kept: tuple[Order, ...]
    replaced: tuple[Order, ...]
    stubborn: bool


@dataclass(slots=True)
class _Scope:
    """What is known about one scope. The first three are the evidence, forgotten when an order is seen."""

    first_empty_mono: float | None = None  # when the first empty listing arrived
    settled: bool = False
    rank: int = 0
    empties: list[tuple[float, float]] = field(default_factory=list)  # requests and answers of all empty listings
    looked_mono: float | None = None  # when the newest listing arrived
    first_look_mono: float | None = None  # when the first listing was requested
    newest_mono: float | None = None  # when the newest listing was requested
    swept_before: bool = False  # an earlier sweep of the same trip looked here
    known: dict[OrderKey, Order] = field(default_factory=dict)
    hints: dict[OrderKey, Order] = field(default_factory=dict)  # believed open by others, before the first look
    seen_open: set[OrderKey] = field(default_factory=set)
    open: dict[OrderKey, Order] = field(default_factory=dict)
    kept: tuple[Order, ...] = ()
    tried: set[OrderKey] = field(default_factory=set)  # orders that a cancel was sent for
    stubborn: bool = False
    failure: str | None = None  # why the newest look failed, if it did
    misses: int = 0  # looks in a row that failed
    cancel_failure: str | None = None

    def forget(self) -> None:
        self.first_empty_mono, self.settled = None, False
        self.empties.clear()

    def found_empty(self, requested_mono: float, received_mono: float, settle_s: float) -> None:
        self.empties.append((requested_mono, received_mono))
        if self.first_empty_mono is None:
            self.first_empty_mono = received_mono
        elif requested_mono >= self.first_empty_mono + settle_s:
            self.settled = True

    def answered_since(self, mono: float) -> float | None:
        """When an empty listing requested at `mono` or later was first answered; None if there is none."""
        return min((answer for request, answer in self.empties if request >= mono), default=None)

    def remember(self, listing: OrderListing, received_mono: float, found: Sighting) -> None:
        """Keep the newest listing for show; a late answer to an earlier request does not replace it."""
        self.looked_mono = received_mono
        if self.first_look_mono is None:
            self.first_look_mono = listing.requested_mono
        if self.newest_mono is None or listing.requested_mono >= self.newest_mono:
            self.newest_mono = listing.requested_mono
            self.open = {order_key(order): order for order in found.open}
            self.kept = found.kept
            self.stubborn = found.stubborn
            self.failure, self.misses = None, 0
            self.hints.clear()

    def is_late(self, listing: OrderListing) -> bool:
        """Whether what is new in the listing appeared after the first look."""
        looked = self.first_look_mono is not None and listing.requested_mono > self.first_look_mono
        return looked or self.swept_before

    def believe(self, order: Order) -> None:
        key = order_key(order)
        self.hints[key] = order
        if not self.swept_before:  # else it may be one to name
            self.known[key] = self.open[key] = order
            self.seen_open.add(key)

    @property
    def may_be_open(self) -> tuple[Order, ...]:
        """Seen or believed open, and one order of each other symbol seen."""
        last = {**self.hints, **self.open}
        symbols = {order.symbol for order in last.values()}
        others = {order.symbol: order for order in self.known.values() if order.symbol not in symbols}
        return (*last.values(), *others.values())

    @property
    def gone(self) -> set[OrderKey]:
        return self.seen_open.difference(self.open)

    @property
    def is_unseen(self) -> bool:
        """Whether nothing can be seen: one failed look after an empty listing is to be repeated first."""
        return self.misses > 1 or (self.misses == 1 and self.first_empty_mono is None)

    @property
    def alarm(self) -> bool:
        return self.is_unseen or bool(self.open and (self.stubborn or self.cancel_failure))

    @property
    def reason(self) -> str | None:
        """Why the scope is not proven, without numbers that change at every look."""
        if self.is_unseen:
            return self.failure
        if self.open:
            text = "orders outlive the cancel" if self.stubborn else "orders are open"
            return f"{text} (cancel: {self.cancel_failure})" if self.cancel_failure else text
        if self.first_empty_mono is None:
            return "not listed empty yet"
        return None if self.settled else "listed empty only once"


class VenueProof:
    """The evidence about one venue.

    settle_s: seconds between the answer to the first empty listing and the request of the second.
    flight_s: how long something may still be on its way after its call was given up. started_mono: nothing
    requested earlier is evidence. known: orders seen by earlier sweeps of the same trip, by scope; a scope
    that they did not see is not in it. open_before: orders believed open when the sweep began, for counting,
    naming and cancels without a listing only. without_plan: why the venue has no order scopes; such a venue
    is never proven. ranks: of scopes whose orders can become those of a higher one; 0 where there is none.
    never: why nothing that is listed proves anything, on a venue that shows it does not know what.
    """

    def __init__(
        self,
        venue: str,
        scopes: Iterable[str],
        *,
        settle_s: float,
        started_mono: float,
        flight_s: float = 0.0,
        open_before: Iterable[Order] = (),
        known: Known = MappingProxyType({}),
        without_plan: str = "no order scope",
        ranks: Mapping[str, int] = MappingProxyType({}),
        never: str | None = None,
    ) -> None:
        self.venue = venue
        self.voids = 0
        self.arrived_mono = -math.inf  # when what may be on its way, a cancel or the next order, has arrived
        self._replaced_mono = started_mono
        self._scopes = {name: _Scope(rank=ranks.get(name, 0)) for name in scopes}
        self._ranks = sorted({scope.rank for scope in self._scopes.values()})
        self._settle_s = settle_s
        self._flight_s = flight_s
        self._floor_mono = started_mono
        self._cancels_under_way = 0
        self._without_plan = without_plan
        self._never = never
        self._replaced: list[Order] = []
        for name, keys in known.items():
            if name in self._scopes:
                self._scopes[name].swept_before = True
                self._scopes[name].known.update(keys)
        for order in open_before:
            if order.scope in self._scopes:
                self._scopes[order.scope].believe(order)

    def swept_before(self, scope: str) -> bool:
        """Whether an earlier sweep of the same trip looked at the scope."""
        return self._scopes[scope].swept_before

    def may_be_open(self, scope: str) -> tuple[Order, ...]:
        """What to name in a cancel that no listing goes before, for venues that cancel by id or symbol."""
        return self._scopes[scope].may_be_open

    def cancelling(self, scope: str, orders: Iterable[Order], now_mono: float) -> None:
        """A cancel is being sent: only listings requested after its answer are evidence of emptiness.

        orders: those of a listing that it is sent for.
        """
        self._scopes[scope].tried.update(map(order_key, orders))
        self._cancels_under_way += 1
        self._void(now_mono)

    def cancel_answered(self, scope: str, failure: str | None, now_mono: float) -> None:
        """Note how a cancel call ended. It proves nothing either way.

        One that failed, or was given up, may still be on its way: the joint round waits `flight_s` for it.
        """
        self._scopes[scope].cancel_failure = failure
        self._cancels_under_way -= 1
        self._void(now_mono)
        if failure is not None:
            self.arrived_mono = max(self.arrived_mono, now_mono + self._flight_s)

    def failed(self, scope: str, reason: str) -> None:
        """A look failed. Evidence stands, but what `is_unseen` is not proven until the next good look."""
        self._scopes[scope].failure = reason
        self._scopes[scope].misses += 1

    def is_unseen(self, scope: str) -> bool:
        """Whether a scope was looked at in vain, with no empty listing before it or again and again."""
        return self._scopes[scope].is_unseen

    def listed(
        self, listing: OrderListing, received_mono: float, keep: Callable[[Order], bool] = _nothing_kept
    ) -> Sighting:
        """Take a listing that arrived at `received_mono`. `keep` picks the protective orders.

        Raises InvariantError for what `listing_fault` refuses.
        """
        fault = listing_fault(listing, self.venue, listing.scope, received_mono=received_mono)
        check(fault is None and listing.scope in self._scopes, f"fed with no listing of {self.venue}: {fault}")
        scope = self._scopes[listing.scope]
        found = self._judge(scope, listing, keep)
        scope.remember(listing, received_mono, found)
        if found.replaced:
            self._expect_another(received_mono)
        if found.open:
            self._void(received_mono)
        elif listing.requested_mono >= self._floor_mono and not self._cancels_under_way:
            scope.found_empty(listing.requested_mono, received_mono, self._settle_s)
        return found

    def _expect_another(self, now_mono: float) -> None:
        waits_s = min(AGAIN_FACTOR * (now_mono - self._replaced_mono), AGAIN_MAX_S)
        self.arrived_mono = max(self.arrived_mono, now_mono + waits_s)
        self._replaced_mono = now_mono

    def _judge(self, scope: _Scope, listing: OrderListing, keep: Callable[[Order], bool]) -> Sighting:
        marks = [(order, keep(order)) for order in listing.orders]
        kept = tuple(order for order, keeps in marks if keeps)
        still_open = tuple(order for order, keeps in marks if not keeps)
        new = {order_key(order): order for order in still_open if order_key(order) not in scope.known}
        replaced = tuple(new.values()) if scope.is_late(listing) else ()
        self._replaced.extend(replaced)
        scope.known.update({order_key(order): order for order in listing.orders})
        scope.seen_open.update(map(order_key, still_open))
        stubborn = any(order_key(order) in scope.tried for order in still_open)
        return Sighting(still_open, kept, replaced, stubborn)

    def _void(self, now_mono: float) -> None:
        """Forget all evidence of emptiness: it must be gathered anew from requests made from now on."""
        self.voids += 1
        self._floor_mono = max(self._floor_mono, now_mono)
        for scope in self._scopes.values():
            scope.forget()

    @property
    def proven(self) -> bool:
        """Every scope empty twice, `settle_s` apart, no order seen since, and the last looks did not fail."""
        scopes = self._scopes.values()
        return self._never is None and bool(scopes) and all(scope.settled and not scope.is_unseen for scope in scopes)

    def empty_since(self, mono: float) -> bool:
        """Every scope has an empty listing that was requested at `mono` or later, and after those of lower ranks."""
        return self.proven and self.ranks_listed(mono) == len(self._ranks)

    def ranks_listed(self, mono: float) -> int:
        """How many ranks have been listed empty since `mono`, one after another."""
        return len(self._floors(mono)) - 1

    def _floors(self, mono: float) -> list[float]:
        """From when on a listing of each rank counts, as far as that is known: after the answers of the one below."""
        floors = [mono]
        for rank in self._ranks:
            answers = [scope.answered_since(floors[-1]) for scope in self._scopes.values() if scope.rank == rank]
            if None in answers:
                break
            floors.append(max(answer for answer in answers if answer is not None))
        return floors

    def due_mono(self, name: str, round_mono: float | None) -> float | None:
        """When the next look at a scope is useful; None: at once. round_mono: when the joint round began."""
        scope = self._scopes[name]
        if scope.failure is not None:
            return None
        if self._cancels_under_way and scope.looked_mono is not None:
            return scope.looked_mono + CANCEL_PATIENCE_S
        if scope.first_empty_mono is None or scope.looked_mono is None:
            return None
        if not scope.settled:
            return scope.first_empty_mono + self._settle_s
        if round_mono is not None and self._is_next(scope, round_mono):
            return None
        return scope.looked_mono + WATCH_S

    def _is_next(self, scope: _Scope, round_mono: float) -> bool:
        floors = self._floors(round_mono)
        place = self._ranks.index(scope.rank)
        return place < len(floors) and scope.answered_since(floors[place]) is None

    @property
    def reason(self) -> str | None:
        """Why the venue is not proven, in one line; None if it is."""
        if self.proven:
            return None
        alarm = self.alarm
        told = ((name, scope.reason) for name, scope in self._scopes.items() if scope.alarm or not alarm)
        return "; ".join(f"{name}: {reason}" for name, reason in told if reason) or self._never or self._without_plan

    @property
    def alarm(self) -> bool:
        """Whether `reason` is more than work in progress: a failed look, or orders that a cancel left open."""
        return not self._scopes or any(scope.alarm for scope in self._scopes.values())

    @property
    def cancelled(self) -> int:
        """How many orders were seen open and are gone by the newest listing (cancelled or filled)."""
        return sum(len(scope.gone) for scope in self._scopes.values())

    @property
    def left(self) -> int | None:
        """How many orders to cancel the newest listings showed; None where a scope was not listed, or not last."""
        scopes = self._scopes.values()
        if not scopes or any(scope.failure is not None or scope.looked_mono is None for scope in scopes):
            return None
        return sum(len(scope.open) for scope in scopes)

    @property
    def listed_mono(self) -> float | None:
        """When the scope whose newest listing is the oldest was asked for; None where one was not listed yet."""
        asked = [scope.newest_mono for scope in self._scopes.values()]
        return None if None in asked else min((mono for mono in asked if mono is not None), default=None)

    @property
    def replaced(self) -> tuple[Order, ...]:
        """Orders that appeared after the first look, in the order they were found."""
        return tuple(self._replaced)

    @property
    def kept(self) -> tuple[Order, ...]:
        """Protective orders that the newest listings showed and that were left alone."""
        return tuple(order for scope in self._scopes.values() for order in scope.kept)

    @property
    def known(self) -> Known:
        """Orders seen so far in the scopes looked at: the next sweep of the same trip names all others."""
        looked = {
            name: scope
            for name, scope in self._scopes.items()
            if scope.swept_before or scope.first_look_mono is not None
        }
        return {name: dict(scope.known) for name, scope in looked.items()}


class JointRound:
    """The last look at everything at once.

    not_before_mono: when every lease has run out and every order sent under one has arrived. The round
    begins when all venues are proven, that time has come, and neither a cancel nor another order is awaited; it passes
    when all are proven and every scope of every venue was listed empty by a request made since it began.
    Any order and any cancel ends the round, even one that has passed; the next begins when all are proven
    again. A failed look only makes it wait for a good one.
    """

    def __init__(self, venues: Mapping[str, VenueProof], *, not_before_mono: float) -> None:
        check(bool(venues), "a round over no venues proves nothing")
        self._venues = venues
        self._not_before_mono = not_before_mono
        self._voids = 0
        self.began_mono: float | None = None
        self.passed = False

    def step(self, now_mono: float) -> None:
        """Weigh the evidence again."""
        voids = sum(venue.voids for venue in self._venues.values())
        if voids != self._voids:
            self._voids, self.began_mono = voids, None
        if self.began_mono is None and self.all_proven and now_mono >= self._opens_mono:
            self.began_mono = now_mono
        began_mono = self.began_mono
        self.passed = began_mono is not None and all(venue.empty_since(began_mono) for venue in self._venues.values())

    @property
    def _opens_mono(self) -> float:
        return max(self._not_before_mono, *(venue.arrived_mono for venue in self._venues.values()))

    @property
    def all_proven(self) -> bool:
        return all(venue.proven for venue in self._venues.values())

    @property
    def stage(self) -> tuple[int, bool, float | None, tuple[int, ...]]:
        """Changes whenever the next look at some scope may have moved."""
        began_mono = self.began_mono
        listed = () if began_mono is None else tuple(v.ranks_listed(began_mono) for v in self._venues.values())
        return (self._voids, self.all_proven, began_mono, listed)

    def due_mono(self, venue: str, scope: str, now_mono: float) -> float:
        """When to look at a scope next, in seconds of `Instant.mono`; not after now: at once."""
        due_mono = self._venues[venue].due_mono(scope, self.began_mono)
        if due_mono is None:
            return now_mono
        waiting = self.began_mono is None and self.all_proven
        return min(due_mono, self._opens_mono) if waiting else due_mono
