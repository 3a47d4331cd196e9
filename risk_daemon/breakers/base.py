"""What a rule is: it looks at an evaluation context and answers with a verdict.

NORMAL -> TRIPPED on breach;  NORMAL or TRIPPED -> MANUALLY_HALTED on halt
TRIPPED or MANUALLY_HALTED -> RESETTING -> NORMAL on reset
TRIPPED -> NORMAL by itself only where the action is a veto
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any, ClassVar, Final, Protocol, TypedDict

from risk_daemon.baselines.baselines import Baselines
from risk_daemon.baselines.equity_history import EquityHistory
from risk_daemon.baselines.trading_day import ActiveHours
from risk_daemon.errors import CircuitBreakerError
from risk_daemon.gate.activity import Activity
from risk_daemon.gate.restraints import Restraint, cause_of
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Clock, Instant, SystemClock
from risk_daemon.model.events import Position
from risk_daemon.model.units import finite, plain
from risk_daemon.portfolio.manager import Equity

Number = Decimal | float | str


class BreakerState(StrEnum):
    """A breaker's state."""

    NORMAL = "NORMAL"
    TRIPPED = "TRIPPED"
    MANUALLY_HALTED = "MANUALLY_HALTED"
    RESETTING = "RESETTING"


class Action(IntEnum):
    """What a breach does. The strongest wins."""

    NONE = 0
    VETO = 1
    FREEZE = 2
    TRIP = 3


@dataclass(frozen=True, slots=True)
class VenueView:
    """One venue's worth now and when the day began; None where it is not known.

    start_of_day: what a loss ratio is measured from. paid_in: what a loss in money is measured from.
    """

    equity: Equity | None
    start_of_day: Decimal | None
    paid_in: Decimal | None = None


@dataclass(frozen=True, slots=True)
class PositionView:
    """An open position. entry_value, unrealized: in the reference currency; None where they can't be known.

    unrealized: profit, with the interval it lies in.
    """

    venue: str
    position: Position
    entry_value: Decimal | None
    unrealized: Equity | None


class Accounts(Protocol):
    """What is on the venues, worked out only for a rule that asks."""

    def venue_views(self) -> Mapping[str, VenueView]: ...

    def position_views(self) -> Sequence[PositionView]: ...


class NoAccounts:
    """Nothing is known of any venue."""

    def venue_views(self) -> Mapping[str, VenueView]:
        return {}

    def position_views(self) -> Sequence[PositionView]:
        return ()


@dataclass(frozen=True, slots=True)
class EvaluationContext:
    """What a rule may look at. Nothing in it may be changed.

    equity: the interval to judge by; `high` holds in every unknown's favour, `low` against.
    suspected_high: as `high`, but unexplained falls of holdings are losses and unexplained rises no gains.
    is_undecided: for some rule the limit lies inside the interval.
    activity: orders and errors of the bots. history: equity, a sample a minute.
    """

    equity: Equity | None
    suspected_high: Decimal | None
    baselines: Baselines
    is_undecided: bool = False
    accounts: Accounts = field(default_factory=NoAccounts)
    activity: Activity = field(default_factory=Activity)
    history: EquityHistory = field(default_factory=EquityHistory)


@dataclass(frozen=True, slots=True)
class Calm:
    """How long an answer stands though the rule is not asked again, because nothing it looks for is near.

    It does while the equity's worst case does not fall below `above`, until `until_mono`, and as long as nothing else
    changes that a rule may look at: baselines, history, venues, positions, deeds of bots, the minute of the day.
    """

    above: Decimal = Decimal("-Infinity")
    until_mono: float = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A rule's answer.

    breached: the limit is reached whichever way the unknowns fall. suspected: it is, if falls of
    holdings that the ledger has not yet explained are losses. undecided: it lies inside the interval.
    warning: the highest warning level reached, in the limit's unit. cleared: not even `low` reaches a warning.
    reason: may be empty while there is nothing of that to tell. calm: None: the rule must be asked every time.
    """

    breaker: str
    breaker_type: CircuitBreakerType
    action: Action
    breached: bool = False
    suspected: bool = False
    undecided: bool = False
    warning: Decimal | None = None
    cleared: bool = True
    reason: str = ""
    observed: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    calm: Calm | None = field(default=None, compare=False, repr=False)

    @property
    def is_sure(self) -> bool:
        """Whether it leaves nothing open. One that is not clear and observed nothing did not know what to look at."""
        return self.breached or not (self.suspected or self.undecided or not (self.cleared or self.observed))

    @property
    def cause(self) -> str:
        """The reason that the gate gives for it."""
        return cause_of(self.breaker_type.value, self.breaker)


class Common(TypedDict, total=False):
    """What every rule takes as keywords.

    name: of this instance, where there are several of a rule. warnings: levels below the limit, in its unit.
    """

    name: str | None
    action: Action | None
    warnings: Sequence[Number]
    active_hours: ActiveHours | None
    clock: Clock | None


class Unset(Enum):
    """Stands for an argument that was left out, where None would be a value that is not known."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True)
class Standing:
    """A breaker's state and what it rests on: why, what was observed, which limits held, and what the breach did."""

    state: BreakerState = BreakerState.NORMAL
    reason: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    action: Action = Action.NONE

    def document(self) -> dict[str, Any]:
        """As JSON-able data."""
        return {
            "state": self.state.value,
            "reason": self.reason,
            "details": dict(self.details),
            "limits": dict(self.limits),
            "action": self.action.name,
        }

    @classmethod
    def from_document(cls, data: Mapping[str, Any], default: Action) -> Standing:
        """A state that can't be read, or was left half-way through a reset, counts as tripped."""
        data = _mapping(data)
        saved = data.get("state")
        if saved == BreakerState.NORMAL:
            return cls()
        is_known = saved in (BreakerState.TRIPPED, BreakerState.MANUALLY_HALTED, BreakerState.RESETTING)
        return cls(
            BreakerState.MANUALLY_HALTED if saved == BreakerState.MANUALLY_HALTED else BreakerState.TRIPPED,
            str(data.get("reason")) if is_known else f"the persisted state is not known: {saved!r}",
            _mapping(data.get("details")),
            _mapping(data.get("limits")),
            Action.__members__.get(str(data.get("action"))) or default,
        )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


class BaseCircuitBreaker:
    """One rule with its state. Subclasses override `evaluate` (for the daemon), `can_trade` (for a program), or both.

    active_hours: outside them the rule does not look. needs_confirmation: a breach is confirmed by fresh
    reads before it freezes or trips; what counts deeds of bots or people needs none. has_given_action: the
    configuration says what a breach does, whatever a verdict says. watches_venues: it asks for
    the venues' starts of the day. is_sure: whether it can say, in a program: False until what it judges by was
    told or evaluated, and after values that were refused.
    """

    needs_confirmation: ClassVar[bool] = True
    watches_venues: ClassVar[bool] = False
    has_given_action = False
    is_sure = True
    default_action: ClassVar[Action] = Action.VETO

    def __init__(
        self,
        breaker_type: CircuitBreakerType,
        name: str | None = None,
        action: Action | None = None,
        *,
        warnings: Sequence[Number] = (),
        active_hours: ActiveHours | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.breaker_type = breaker_type
        self.name = name or breaker_type.value
        self.action = self.default_action if action is None else action
        self.warnings = tuple(sorted(finite(level) for level in warnings))
        self.active_hours = active_hours
        self._clock = clock or SystemClock()
        self._limits: dict[str, Any] = {}
        self.standing = Standing()

    def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
        """Look, and answer. Must not change the state: the manager does, from the answer.

        Raises NotImplementedError where a rule is made for programs of one's own only.
        """
        raise NotImplementedError(f"{type(self).__name__} does not override evaluate(context, now)")

    def can_trade(self, *args: Any, **values: Any) -> bool:
        """Whether this rule lets an order pass; rules of one's own may take values."""
        self.refresh()
        return not self.is_tripped

    def refresh(self) -> None:
        """Move the state by what time alone changes; nothing for most rules."""

    def is_active(self, now: Instant) -> bool:
        """Whether the rule looks at this hour."""
        return self.active_hours is None or self.active_hours.contains(now.wall)

    @property
    def cause(self) -> str:
        """The reason that the gate gives while this rule is tripped."""
        return cause_of(self.breaker_type.value, self.name)

    @property
    def state(self) -> BreakerState:
        return self.standing.state

    @property
    def is_tripped(self) -> bool:
        return self.state is not BreakerState.NORMAL

    def get_trip_reason(self) -> str | None:
        """Why it tripped, in a sentence; None while NORMAL."""
        return self.standing.reason

    def get_trip_details(self) -> dict[str, Any]:
        """What was observed when it tripped; empty while NORMAL."""
        return dict(self.standing.details)

    def get_trip_limits(self) -> dict[str, Any]:
        """Which limits held when it tripped; empty while NORMAL."""
        return dict(self.standing.limits)

    @property
    def ends_by_itself(self) -> bool:
        """Whether a trip of this rule is over as soon as nothing breaches: only a veto's is."""
        return min(self.action, self.standing.action) <= Action.VETO

    @property
    def is_veto(self) -> bool:
        """Whether what it tripped by was a veto."""
        return self.standing.action is Action.VETO

    def describe(self) -> dict[str, Any]:
        """The rule and its limits as JSON-able data, for people."""
        hours = self.active_hours
        return {
            "breaker": self.name,
            "breaker_type": self.breaker_type.value,
            "action": self.action.name.lower(),
            "limits": dict(self._limits),
            "warnings": [plain(level) for level in self.warnings],
            "active_hours": None if hours is None else f"{hours.start:%H:%M}-{hours.end:%H:%M} {hours.timezone}",
        }

    def restraint(self, allows_reducing: bool) -> Restraint:
        """What holds against new orders while this rule is tripped."""
        standing = self.standing
        reason = standing.reason or f"{self.name} is {standing.state.value}"
        return Restraint(self.cause, reason, standing.details, standing.limits, allows_reducing)

    def restraints(self, allows_reducing: bool) -> tuple[Restraint, ...]:
        """All that holds; more than one where some bots or venues are held by themselves."""
        return (self.restraint(allows_reducing),)

    def reset(self, operator: str | None = None) -> None:
        """Back to NORMAL. Raises CircuitBreakerError if it is that already, unless it may have become so by itself."""
        standing = self.standing
        if standing.state is BreakerState.NORMAL:
            if self.action <= Action.VETO:
                return
            raise CircuitBreakerError(f"{self.name} is not tripped")
        self.standing = replace(standing, state=BreakerState.RESETTING)
        self._clear_conditions()
        self.standing = Standing()

    def _clear_conditions(self) -> None:
        """Forget what this rule itself collected and tripped by; a failure here leaves it RESETTING, and so shut."""

    def settle(self, verdict: Verdict) -> bool:
        """Move the state to what the verdict says. Returns whether it moved.

        While a veto lasts, it tells what is seen now; what freezes or trips tells what it was tripped by.
        """
        before = self.standing
        is_normal = before.state is BreakerState.NORMAL
        if verdict.breached and (is_normal or (before.state is BreakerState.TRIPPED and self.ends_by_itself)):
            details, limits = dict(verdict.observed), dict(verdict.limits)
            self.standing = Standing(BreakerState.TRIPPED, verdict.reason, details, limits, verdict.action)
            return is_normal
        if not verdict.breached and before.state is BreakerState.TRIPPED and self.ends_by_itself:
            self.standing = Standing()
        return self.standing is not before

    def _trip(self, reason: str, **details: Any) -> None:
        """Enter TRIPPED with a reason. In `evaluate`, it makes the verdict a breach."""
        self.standing = Standing(BreakerState.TRIPPED, reason, details, dict(self._limits), self.action)

    def facts(self, verdict: Verdict | None = None) -> dict[str, Any]:
        """The fields of the events `breaker_tripped` and `breaker_reset`."""
        return {
            "breaker": self.name,
            "breaker_type": self.breaker_type.value,
            "state": self.state.value,
            "reason": self.standing.reason if verdict is None else verdict.reason,
            "observed": dict(self.standing.details if verdict is None else verdict.observed),
            "limits": dict(self.standing.limits if verdict is None else verdict.limits),
        }

    def snapshot(self) -> dict[str, Any]:
        """State, reason and what they rest on, as JSON-able data."""
        return self.standing.document()

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take back what was persisted. A state that can't be read counts as tripped."""
        self.standing = Standing.from_document(data, self.action)
