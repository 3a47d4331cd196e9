"""Whether a bot may send a new order, and if not, why.

Open is the exception: it takes a complete picture, no breach, no doubt about one, and no halt. What holds
against new orders are restraints; the strongest one that concerns an order is the reason it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from risk_daemon.errors import check
from risk_daemon.model.account import OrderSide
from risk_daemon.model.breaker_types import CircuitBreakerType

CUSTOM = CircuitBreakerType.CUSTOM.cause
MANUAL_HALT = CircuitBreakerType.MANUAL.cause
# With the venue's name: its orders can't be listed, or this key may not cancel them.
UNLISTABLE = "unlistable:"


class Cause(StrEnum):
    """Why the gate is shut where it is no rule, strongest first."""

    # All members of a fund have stopped: one has lost its budget, or all together the fund's limit.
    FUND = "fund"
    CONFIRMING = "confirming"
    STARTING = "starting"
    LOCKED = "locked"
    # Another guard, or a limit over several, keeps new orders out.
    ELSEWHERE = "elsewhere"
    # Limits of single orders come last: they say nothing about the portfolio.
    PRICE_UNKNOWN = "price_unknown"
    MAX_NOTIONAL = "max_notional"
    MAX_QUANTITY = "max_quantity"
    PRICE_COLLAR = "price_collar"
    DUPLICATE_ORDER = "duplicate_order"
    BOT_ORDER_RATE = "bot_order_rate"


# Of rules first, in their order. A lock repeats the cause that made it.
_RANKS = {cause: rank for rank, cause in enumerate((*(rule.cause for rule in CircuitBreakerType), *Cause))}
check(len(_RANKS) == len(CircuitBreakerType) + len(Cause), "two rules, or a rule and a doubt, give the same reason")
# What has a name in it stands behind the cause before it.
_NAMED = {CUSTOM: _RANKS[CUSTOM], UNLISTABLE: _RANKS[CUSTOM] + 0.5}
_CAUSE_OF_RULE = {rule.value: rule.cause for rule in CircuitBreakerType if rule is not CircuitBreakerType.CUSTOM}

# Every reason without a name in it, strongest first.
CAUSES = tuple(cause for cause in _RANKS if cause != CUSTOM)


@dataclass(frozen=True, slots=True)
class GateState:
    """The gate at one moment. trip_id and until_wall only for a lock that outlives its cause."""

    locked: bool
    cause: str | None = None
    trip_id: str | None = None
    since_wall: float | None = None
    until_wall: float | None = None

    def same_as(self, other: GateState) -> bool:
        """Whether only the time of entering differs."""
        return (self.locked, self.cause, self.trip_id, self.until_wall) == (
            other.locked,
            other.cause,
            other.trip_id,
            other.until_wall,
        )


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A new or amended order that a bot asks about.

    quantity: in the venue's own unit, above zero. price: None for a market order. contract_size: base units
    (linear) or quote units (inverse) of one unit of quantity. bot: the name its token gives it.
    """

    venue: str
    symbol: str
    side: OrderSide
    quantity: Decimal
    order_type: str = "limit"
    price: Decimal | None = None
    reduce_only: bool = False
    client_order_id: str | None = None
    bot: str | None = None
    contract_size: Decimal = Decimal(1)
    inverse: bool = False


@dataclass(frozen=True, slots=True)
class Restraint:
    """Something that holds against new orders: of one venue or one bot where these are named, else of all.

    allows_reducing: orders that surely only make a position smaller may pass. since_wall: when it began to hold, in
    Unix seconds, where that may have been in an earlier run; None: as long as the gate has been shut by it.
    """

    cause: str
    reason: str
    observed: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    allows_reducing: bool = False
    trip_id: str | None = None
    until_wall: float | None = None
    venue: str | None = None
    bot: str | None = None
    since_wall: float | None = None

    @property
    def is_scoped(self) -> bool:
        """Whether it concerns some orders only."""
        return self.venue is not None or self.bot is not None

    def concerns(self, order: OrderRequest) -> bool:
        """Whether `order` falls under it. An order that names no bot falls under no bot's restraint."""
        return self.venue in (None, order.venue) and self.bot in (None, order.bot)


@dataclass(frozen=True, slots=True)
class Veto:
    """Why an order may not be sent. One per order."""

    veto_reason: str
    reason: str
    observed: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    trip_id: str | None = None
    locked_until_wall: float | None = None


def check_order(order: OrderRequest, restraints: Iterable[Restraint], *, is_reducing: bool = False) -> Veto | None:
    """The veto of the first restraint that holds against `order`; None if none does.

    restraints: strongest first. is_reducing: the order surely makes a position smaller and does not turn it.
    """
    for restraint in restraints:
        if restraint.concerns(order) and not (is_reducing and restraint.allows_reducing):
            return veto_of(restraint)
    return None


def veto_of(restraint: Restraint) -> Veto:
    """What an order is told that falls under it."""
    return Veto(
        restraint.cause,
        restraint.reason,
        restraint.observed,
        restraint.limits,
        restraint.trip_id,
        restraint.until_wall,
    )


def strongest_first(restraints: Iterable[Restraint]) -> tuple[Restraint, ...]:
    """In the fixed order of severity; equals keep their order."""
    return tuple(sorted(restraints, key=lambda restraint: severity(restraint.cause)))


def gate_of(restraints: Sequence[Restraint], now_wall: float) -> GateState:
    """The gate for everybody: shut by the first restraint that concerns all orders, since that began if it says so."""
    for restraint in restraints:
        if not restraint.is_scoped:
            since_wall = now_wall if restraint.since_wall is None else restraint.since_wall
            return GateState(True, restraint.cause, restraint.trip_id, since_wall, restraint.until_wall)
    return GateState(False, since_wall=now_wall)


def severity(cause: str) -> float:
    """Lower is more severe. A cause that nobody knows counts as the most severe."""
    named = next((rank for prefix, rank in _NAMED.items() if cause.startswith(prefix)), -1.0)
    return _RANKS.get(cause, named)


def cause_of(rule: str, name: str | None = None) -> str:
    """The gate's reason for a breached rule; a reason stays itself. name: of a rule of the user's own."""
    if rule in _RANKS or rule.startswith(tuple(_NAMED)):
        return rule
    return _CAUSE_OF_RULE.get(rule) or f"{CUSTOM}{name or rule}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAnswer:
    """The gate's answer to one order at the moment `wall` (Unix seconds). No veto: it may be sent now."""

    wall: float
    veto: Veto | None = None

    @property
    def allowed(self) -> bool:
        return self.veto is None
