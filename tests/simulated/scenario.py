"""A scenario is data: who trades where, what happens when, and how often things go wrong.

Times in seconds since the story began. Amounts and prices are Decimals. Written by hand for one
question, or generated from a seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from risk_daemon.model.events import Kind


class Fault(StrEnum):
    """What goes wrong with one call, or with every call of a venue (`Trouble`)."""

    NONE = "none"
    REFUSED = "refused"  # an error at once; the venue did nothing
    HANG = "hang"  # no answer, ever
    DEAF = "deaf"  # no answer, and the client ignores being cancelled
    SLOW = "slow"  # the venue gets the request late
    LATE = "late"  # the venue acts at once, the answer comes late
    LOST = "lost"  # the venue acts, the answer is lost
    MALFORMED = "malformed"  # an answer that is none
    TOO_MANY = "too_many"  # 429, with a wish for how long
    REJECTED = "rejected"  # understood and refused
    ACK_ONLY = "ack_only"  # a cancel is answered and not done
    PARTIAL = "partial"  # a cancel takes only some of the orders
    EVERY_SECOND = "every_second"  # of the signed calls; the others are well: a bot shares the nonce
    BY_TURNS = "by_turns"  # malformed for a while, well for a while


class Call(StrEnum):
    """Which calls a fault is about."""

    CONNECT = "connect"
    BALANCES = "balances"
    POSITIONS = "positions"
    PRICES = "prices"
    FLOWS = "flows"
    LIST = "list"
    CANCEL = "cancel"
    PROBE = "probe"
    STREAM = "stream"


@dataclass(frozen=True, slots=True)
class VenueSpec:
    """One account.

    perp: derivatives, else spot. wallet: asset -> amount. positions: symbol -> (contracts, entry).
    streams: what is streamed besides REST. latency_s: there and back. by_id: it cancels what it is
    given, and nothing if it is given nothing. vague_streams: its balance stream only says "look".
    resting: orders that rest at the start.
    """

    name: str
    perp: bool
    wallet: Mapping[str, Decimal]
    positions: Mapping[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    streams: frozenset[Kind] = frozenset()
    latency_s: float = 0.05
    by_id: bool = False
    vague_streams: bool = False
    resting: int = 3


@dataclass(frozen=True, slots=True)
class BotSpec:
    """A bot that places an order every `every_s` while the gate is open; a reckless one does not ask.

    flight_s: at most so long an order travels after the gate was asked, lease included.
    """

    venue: str
    order: str  # plain, trigger, reduce_only
    every_s: float
    flight_s: float = 0.3
    reckless: bool = False


@dataclass(frozen=True, slots=True)
class Happening:
    """Something at a time. `what` is a method `do_<what>` of the world, `args` its arguments."""

    at_s: float
    what: str
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kill:
    """kill -9 at a time, or when the event log is told `on_event`; `handles` loop turns later.

    down_s: until it is started again. reboot: the machine goes down with it.
    """

    at_s: float | None = None
    on_event: str | None = None
    handles: int = 0
    down_s: float = 2.0
    reboot: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """What the guard is told."""

    capital: Decimal | None = Decimal(10_000)
    limit: Decimal = Decimal("0.05")
    warning: Decimal = Decimal("0.03")
    confirm: bool = True
    cancel_deadline_s: float = 40.0
    call_timeout_s: float = 5.0
    reconcile_every_s: float = 10.0
    flow_wait_s: float = 30.0
    settle_s: float = 2.0
    order_flight_s: float = 5.0
    tick_every_s: float = 0.5
    first_start_within_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything about one run. `noise` and `disk_noise` map a fault to how likely it hits a call before healing."""

    seed: int
    venues: tuple[VenueSpec, ...]
    prices: Mapping[str, Decimal]
    rules: Rules = field(default_factory=Rules)
    bots: tuple[BotSpec, ...] = ()
    happenings: tuple[Happening, ...] = ()
    kills: tuple[Kill, ...] = ()
    noise: Mapping[Fault, float] = field(default_factory=dict)
    disk_noise: float = 0.0
    stream_drops_every_s: float | None = None
    walk: Decimal = Decimal("0.002")
    walk_every_s: float = 2.0
    safety_s: float = 30.0
    liveness_s: float = 240.0

    def describe(self) -> str:
        """The whole scenario, one line a part, for people who hunt a violation."""
        lines = [f"seed {self.seed}, rules {self.rules}"]
        lines += [f"  venue {venue}" for venue in self.venues]
        lines += [f"  {bot}" for bot in self.bots]
        lines += [f"  at {h.at_s:.2f} {h.what} {dict(h.args)}" for h in self.happenings]
        lines += [f"  {kill}" for kill in self.kills]
        lines += [f"  noise { {str(k): v for k, v in self.noise.items()} } disk {self.disk_noise}"]
        lines += [f"  drops {self.stream_drops_every_s} walk {self.walk} safety {self.safety_s}"]
        return "\n".join(lines)
