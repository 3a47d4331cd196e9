"""The real daemon on simulated venues, with somebody beside it who moves the market and reads the venues' own books.

The demo and the drill both play on this. Accounts, prices and books go through the venues' admin face, so the
daemon sees nothing but what a venue would tell it.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from risk_daemon.app import service
from risk_daemon.app.composition import Site
from risk_daemon.config.load import Settings
from risk_daemon.engine.decision import Decision, Finish
from risk_daemon.errors import ExitCode, UsageError, VenueUnavailable
from risk_daemon.model.clock import Clock, SystemClock
from risk_daemon.model.events import EventName, RiskEvent
from risk_daemon.model.units import percent
from risk_daemon.rehearsal.parts import ASSET, PARTS, START_PRICE, Part

_ADMIN_TIMEOUT_S = 10.0
_STEP_WITHIN_S = 90.0  # longer than any step takes on a slow machine: past it, the story does not go on

Predicate = Callable[[Decision], bool]


class Ended(Exception):
    """The daemon ended before what was waited for."""


# --- the venues' admin face ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Book:
    """A venue's own truth about orders. cancelled: rows of the venue, in the order they were cancelled.

    first_cancel_wall: when the first order was cancelled there; None: none was.
    """

    open_orders: Mapping[str, int]
    cancelled: tuple[Mapping[str, Any], ...]
    filled: int
    first_cancel_wall: float | None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is open."""
        return not any(self.open_orders.values())


class Desk:
    """The admin face of one simulated venue. Blocks for a loopback call."""

    def __init__(self, venue: str, kind: str, endpoint: str) -> None:
        self.venue = venue
        self.kind = kind
        self.endpoint = endpoint

    @property
    def part(self) -> Part:
        return PARTS[self.kind]

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One admin request. Raises VenueUnavailable for anything but a good answer."""
        connection = http.client.HTTPConnection(urlsplit(self.endpoint).netloc, timeout=_ADMIN_TIMEOUT_S)
        try:
            connection.request(method, f"/_sim/{path}", json.dumps(body or {}), {"Content-Type": "application/json"})
            reply = connection.getresponse()
            answer = json.loads(reply.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise VenueUnavailable(f"{self.venue}: its admin face gave no answer: {error!r}") from error
        finally:
            connection.close()
        if reply.status != http.HTTPStatus.OK or not isinstance(answer, dict):
            raise VenueUnavailable(f"{self.venue}: its admin face refused {method} {path}: {answer}")
        return answer

    def set_up(self) -> None:
        """Take the position and place the orders."""
        for path, body in self.part.setup:
            self.call("POST", path, body)
        for order in self.part.orders:
            self.call("POST", "order", order)

    def set_price(self, price: Decimal) -> None:
        """Quote the instrument that carries the risk at `price`."""
        self.call("POST", "price", {"symbol": self.part.symbol, "price": str(price)})

    def book(self) -> Book:
        """The venue's own books, now."""
        state = self.call("GET", "state")
        return Book(
            {kind: len(orders) for kind, orders in state["open_orders"].items()},
            tuple(state["cancelled_orders"]),
            len(state["fills"]),
            min((float(row["cancelled_wall"]) for row in state["cancelled_orders"]), default=None),
        )


# --- what the daemon does --------------------------------------------------------------------------


@dataclass(slots=True)
class Times:
    """When things happened, in Unix seconds of this machine; None: not (yet)."""

    fatal_wall: float | None = None
    shut_wall: float | None = None
    triggered_wall: float | None = None
    proven_wall: dict[str, float] = field(default_factory=dict)
    joint_wall: float | None = None
    first_cancel_wall: dict[str, float] = field(default_factory=dict)

    def phases_s(self) -> dict[str, float | None]:
        """Seconds from the fatal price on the venue to each phase, by name."""
        return {
            "gate_shut_s": self.since_fatal_s(self.shut_wall),
            "triggered_s": self.since_fatal_s(self.triggered_wall),
            "first_cancel_s": self.since_fatal_s(min(self.first_cancel_wall.values(), default=None)),
            "last_venue_proven_s": self.since_fatal_s(max(self.proven_wall.values(), default=None)),
            "joint_proof_s": self.since_fatal_s(self.joint_wall),
        }

    def since_fatal_s(self, wall: float | None) -> float | None:
        return None if wall is None or self.fatal_wall is None else round(wall - self.fatal_wall, 4)


def equity_of(decision: Decision) -> Decimal | None:
    """The equity judged in this turn; None while it is unknown."""
    return None if decision.equity is None else decision.equity.value


def record_of(decision: Decision, name: EventName) -> RiskEvent | None:
    """The event of that name in this turn."""
    return next((record for record in decision.records if record.name is name), None)


def recorded(name: EventName) -> Predicate:
    """Whether an event of that name is written down in a turn."""
    return lambda decision: record_of(decision, name) is not None


def finishes(decision: Decision) -> bool:
    """Whether the daemon decided to end in this turn."""
    return any(isinstance(action, Finish) for action in decision.actions)


async def in_time(future: asyncio.Future[Decision]) -> Decision:
    """The decision. Raises TimeoutError: a story that does not go on is an error, not a pause."""
    async with asyncio.timeout(_STEP_WITHIN_S):
        return await future


class Rehearsal:
    """One run of the daemon with these settings, all venues simulated.

    desks: the venues' admin faces, once they listen. books: the venues' own books at the moment the daemon
    decided to end. times: when the phases of the trip were reached.
    """

    def __init__(self, settings: Settings, *, set_up: bool = True, clock: Clock | None = None) -> None:
        refuse_unknown(settings)
        self.settings = settings
        self.desks: dict[str, Desk] = {}
        self.books: dict[str, Book] = {}
        self.times = Times()
        self.last_equity: Decimal | None = None
        self.trip_id: str | None = None
        self._set_up = set_up
        self._clock = clock or SystemClock()
        self._was_open = False
        self._is_over = False
        self._stopped = False
        self._guard: asyncio.Task[ExitCode] | None = None
        self._expected: list[tuple[Predicate, asyncio.Future[Decision]]] = []

    async def play(self, story: Callable[[], Awaitable[None]]) -> ExitCode:
        """Run the daemon and the story side by side. Returns the daemon's exit code.

        Raises what either of them raises; a story that waits when the daemon ends gets Ended, quietly.
        """
        guard = asyncio.create_task(service.run(self.settings, on_decision=self._on_decision, on_site=self._on_site))
        guard.add_done_callback(lambda _: self._give_up())
        self._guard, told = guard, asyncio.ensure_future(story())
        try:
            await asyncio.wait({guard, told}, return_when=asyncio.FIRST_COMPLETED)
            with suppress(Ended):
                await told
            await asyncio.wait({guard})
            return ExitCode.STOPPED if self._stopped and guard.cancelled() else guard.result()
        finally:
            for task in (told, guard):
                task.cancel()
            await asyncio.gather(told, guard, return_exceptions=True)

    def expect(self, predicate: Predicate) -> asyncio.Future[Decision]:
        """The first decision from now on that fits. Ask before doing what leads to it."""
        future: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._expected.append((predicate, future))
        if self._is_over:
            self._give_up()
        return future

    async def set_price(self, price: Decimal, *, fatal: bool = False) -> None:
        """Let ASSET stand at `price` on every venue. fatal: the phases are counted from here."""
        if fatal:
            self.times.fatal_wall = self._clock.now().wall
        await asyncio.gather(*(asyncio.to_thread(desk.set_price, price) for desk in self.desks.values()))

    async def read_books(self) -> dict[str, Book]:
        """The venues' own books, now."""
        books = await asyncio.gather(*(asyncio.to_thread(desk.book) for desk in self.desks.values()))
        return dict(zip(self.desks, books, strict=True))

    def price_for(self, loss: Decimal) -> Decimal:
        """The price of ASSET at which `loss`, a ratio of what the accounts are worth at the start, is lost.

        Raises UsageError where even a fall to nothing would not do it.
        """
        parts = [PARTS[venue.exchange] for venue in self.settings.venues.values()]
        at_risk = sum((part.quantity for part in parts), Decimal(0)) * START_PRICE
        fall = loss * sum((part.money for part in parts), Decimal(0)) / at_risk
        if fall >= 1:
            raise UsageError(f"these accounts can't lose {percent(loss)}: too little of them moves with {ASSET}")
        return (START_PRICE * (1 - fall)).quantize(Decimal("0.01"))

    def stop(self) -> None:
        """End the daemon without a trip. `play` then returns STOPPED."""
        self._stopped = True
        if self._guard is not None:
            self._guard.cancel()

    # --- called by the daemon ----------------------------------------------------------------------

    def _on_site(self, site: Site) -> None:
        kinds = {name: venue.exchange for name, venue in self.settings.venues.items()}
        self.desks = {name: Desk(name, kinds[name], process.endpoint) for name, process in site.simulated.items()}
        if self._set_up:
            for desk in self.desks.values():
                desk.set_up()

    def _on_decision(self, decision: Decision) -> None:
        self._note(decision)
        if finishes(decision):
            self.books = {name: desk.book() for name, desk in self.desks.items()}
            first = {name: book.first_cancel_wall for name, book in self.books.items()}
            self.times.first_cancel_wall = {name: wall for name, wall in first.items() if wall is not None}
        for predicate, future in self._expected:
            if not future.done() and predicate(decision):
                future.set_result(decision)
        self._expected = [(predicate, future) for predicate, future in self._expected if not future.done()]

    def _note(self, decision: Decision) -> None:
        times = self.times
        self.last_equity = equity_of(decision) or self.last_equity
        if decision.gate.locked and self._was_open:
            times.shut_wall = self._clock.now().wall  # read here: the gate has moved by now
        self._was_open = not decision.gate.locked
        for record in decision.records:
            if record.name is EventName.CIRCUIT_BREAKER_TRIGGERED:
                times.triggered_wall, self.trip_id = decision.now.wall, record.fields["trip_id"]
            elif record.name is EventName.VENUE_PROVEN:
                times.proven_wall[record.fields["venue"]] = decision.now.wall
            elif record.name is EventName.VENUE_UNPROVEN:
                times.proven_wall.pop(record.fields["venue"], None)
            elif record.name is EventName.SWEEP_FINISHED and record.fields["proven"] is True:
                times.joint_wall = decision.now.wall

    def _give_up(self) -> None:
        self._is_over = True
        for _, future in self._expected:
            if not future.done():
                future.set_exception(Ended())
                future.exception()  # nobody may be waiting for it
        self._expected.clear()


def refuse_unknown(settings: Settings) -> None:
    """Raises UsageError unless every venue is simulated and of a kind that can be set up."""
    live = [name for name, venue in settings.venues.items() if not venue.simulated]
    if live:
        raise UsageError(f"a rehearsal cancels orders and moves prices, and {', '.join(live)} is live")
    strange = [name for name, venue in settings.venues.items() if venue.exchange not in PARTS]
    if strange:
        raise UsageError(f"a rehearsal can't set up {', '.join(strange)}: it knows {', '.join(sorted(PARTS))}")
