"""The portfolio's circuit breaker: four states, eight triggers, one total table.

Everything that moves the state stands in TABLE; nothing else does. A TRIGGERED breaker has no way
back but RESET (a person with the right to) and, for a freeze, EXPIRE.

    ACTIVE     no warning, no breach
    WARNING    a warning level is reached
    TRIGGERED  a limit was breached or someone halted: trading is locked
    DISABLED   watching without acting, for a stated time
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from risk_daemon.clock import Clock, SystemClock
from risk_daemon.errors import CircuitBreakerError
from risk_daemon.events import EventName, RiskEvent
from risk_daemon.portfolio import PortfolioManager
from risk_daemon.units import finite, plain


class CircuitBreakerState(StrEnum):
    """The portfolio's state."""

    ACTIVE = "ACTIVE"
    WARNING = "WARNING"
    TRIGGERED = "TRIGGERED"
    DISABLED = "DISABLED"


class Trigger(StrEnum):
    """What may move the state."""

    WARN = "WARN"
    CLEAR = "CLEAR"
    BREACH = "BREACH"
    HALT = "HALT"
    RESET = "RESET"
    EXPIRE = "EXPIRE"
    DISABLE = "DISABLE"
    ENABLE = "ENABLE"


class Outcome(StrEnum):
    """What a table entry means beyond its next state."""

    MOVES = "moves"
    STAYS = "stays"
    REFUSED = "refused"
    WOULD_HAVE_TRIGGERED = "would_have_triggered"


@dataclass(frozen=True, slots=True)
class Transition:
    """The answer of the table."""

    before: CircuitBreakerState
    after: CircuitBreakerState
    trigger: Trigger
    outcome: Outcome

    @property
    def moved(self) -> bool:
        return self.before is not self.after


_A, _W, _T, _D = (
    CircuitBreakerState.ACTIVE,
    CircuitBreakerState.WARNING,
    CircuitBreakerState.TRIGGERED,
    CircuitBreakerState.DISABLED,
)
_STAYS, _REFUSED, _WOULD = Outcome.STAYS, Outcome.REFUSED, Outcome.WOULD_HAVE_TRIGGERED

# Rows: states. Columns: triggers, in the order of the enum. A state to go to, or why it stays.
_ROWS: dict[CircuitBreakerState, tuple[CircuitBreakerState | Outcome, ...]] = {
    #    WARN    CLEAR   BREACH  HALT    RESET     EXPIRE    DISABLE   ENABLE
    _A: (_W, _STAYS, _T, _T, _REFUSED, _REFUSED, _D, _STAYS),
    _W: (_STAYS, _A, _T, _T, _REFUSED, _REFUSED, _D, _STAYS),
    _T: (_STAYS, _STAYS, _STAYS, _STAYS, _A, _A, _REFUSED, _REFUSED),
    _D: (_STAYS, _STAYS, _WOULD, _T, _REFUSED, _REFUSED, _STAYS, _A),
}

TABLE: dict[tuple[CircuitBreakerState, Trigger], Transition] = {
    (state, trigger): (
        Transition(state, entry, trigger, Outcome.MOVES)
        if isinstance(entry, CircuitBreakerState)
        else Transition(state, state, trigger, entry)
    )
    for state, row in _ROWS.items()
    for trigger, entry in zip(Trigger, row, strict=True)
}


def transition(state: CircuitBreakerState, trigger: Trigger) -> Transition:
    """What `trigger` does in `state`. Total: there is an answer for every pair."""
    return TABLE[(state, trigger)]


class StateMachine:
    """A state, and the table as its only way to another. Nobody else sets it."""

    def __init__(self, state: CircuitBreakerState = CircuitBreakerState.ACTIVE) -> None:
        self._state = state

    @property
    def state(self) -> CircuitBreakerState:
        return self._state

    def fire(self, trigger: Trigger) -> Transition:
        """Go where the table says."""
        step = transition(self._state, trigger)
        self._state = step.after
        return step

    def would_refuse(self, trigger: Trigger) -> bool:
        """Whether the table refuses `trigger` now."""
        return transition(self._state, trigger).outcome is Outcome.REFUSED

    def resume_triggered(self) -> None:
        """A latch was found at start: whatever was, trading is locked."""
        self._state = CircuitBreakerState.TRIGGERED


DEFAULT_WARNING = Decimal("0.03")


@dataclass(frozen=True, slots=True)
class CircuitBreakerConfig:
    """Limits of a circuit breaker used from a program of one's own.

    loss_threshold and warning_threshold are ratios of the initial capital (0.05 = 5 %); the `with_`
    methods take percent, in any order. warning_threshold None: no warning. Raises ValueError for a number that
    makes no sense by itself; whether warning and limit go together is checked where they are used.
    """

    initial_capital: Decimal
    reference_currency: str
    loss_threshold: Decimal
    warning_threshold: Decimal | None
    auto_close_positions: bool

    def __init__(
        self,
        initial_capital: Decimal | float | str,
        reference_currency: str = "USDT",
        loss_threshold: Decimal = Decimal("0.05"),
        warning_threshold: Decimal | None = DEFAULT_WARNING,
        auto_close_positions: bool = False,
    ) -> None:
        capital = finite(initial_capital)
        if capital <= 0:
            raise ValueError(f"initial_capital must be above zero, got {initial_capital!r}")
        if not 0 < loss_threshold < 1:
            raise ValueError(f"the loss threshold must lie between 0 % and 100 %, got {loss_threshold * 100} %")
        if warning_threshold is not None and not 0 < warning_threshold < 1:
            raise ValueError(f"the warning threshold must lie between 0 % and 100 %, got {warning_threshold * 100} %")
        if auto_close_positions:
            raise ValueError("closing positions is not available in this version: leave auto_close_positions False")
        object.__setattr__(self, "initial_capital", capital)
        object.__setattr__(self, "reference_currency", reference_currency)
        object.__setattr__(self, "loss_threshold", loss_threshold)
        object.__setattr__(self, "warning_threshold", warning_threshold)
        object.__setattr__(self, "auto_close_positions", auto_close_positions)

    def with_threshold(self, percent: Decimal | float | str) -> CircuitBreakerConfig:
        """The same with a loss limit in percent (5.0 = 5 %); the default warning is dropped if it is not below it."""
        limit = finite(percent) / 100
        warning = self.warning_threshold
        is_dropped = warning == DEFAULT_WARNING and limit <= DEFAULT_WARNING
        return replace(self, loss_threshold=limit, warning_threshold=None if is_dropped else warning)

    def with_warning(self, percent: Decimal | float | str | None) -> CircuitBreakerConfig:
        """The same with a warning level in percent (3.0 = 3 %), or None for no warning."""
        return replace(self, warning_threshold=None if percent is None else finite(percent) / 100)

    def with_auto_close_positions(self, close: bool = True) -> CircuitBreakerConfig:
        """The same, closing positions after the proof or not. Raises ValueError for True: it is not available yet."""
        return replace(self, auto_close_positions=close)

    def check(self) -> None:
        """Raises ValueError for a warning that would never come before the limit."""
        if self.warning_threshold is not None and self.warning_threshold >= self.loss_threshold:
            raise ValueError("the warning threshold must lie above 0 % and below the loss threshold")


Listener = Callable[[RiskEvent], None]


class CircuitBreaker:
    """A circuit breaker over a PortfolioManager, checked when its owner says so. Not thread-safe.

    The daemon's engine adds time, confirmation and proof to the same table; this class is for a
    program that keeps its own books. As long as those are not whole (`missing`), no loss is known: `check` moves
    nothing and says so, and no trading is allowed.

    Raises ValueError for a warning that would never come before the limit, and for two different currencies.
    """

    def __init__(self, config: CircuitBreakerConfig, portfolio: PortfolioManager, clock: Clock | None = None) -> None:
        config.check()
        if portfolio.reference != config.reference_currency:
            raise ValueError(f"the portfolio is in {portfolio.reference}, the limits in {config.reference_currency}")
        self.config = config
        self.portfolio = portfolio
        self._clock = clock or SystemClock()
        self._machine = StateMachine()
        self._listeners: list[Listener] = []

    @property
    def state(self) -> CircuitBreakerState:
        return self._machine.state

    @property
    def is_triggered(self) -> bool:
        return self.state is CircuitBreakerState.TRIGGERED

    @property
    def is_trading_allowed(self) -> bool:
        """False while triggered, and, unless disabled, while the portfolio is not wholly known."""
        if self.state is CircuitBreakerState.DISABLED:
            return True
        return not self.is_triggered and not self.missing()

    @property
    def loss_ratio(self) -> Decimal | None:
        """(paid in - equity) / paid in; positive is a loss. None while it is not known."""
        return None if self.missing() else self._loss()

    def missing(self) -> tuple[str, ...]:
        """What must be told before the portfolio's worth is known, in words; empty when it is."""
        return self.portfolio.missing() or (() if self.portfolio.has_balances() else ("any balance",))

    def check(self) -> CircuitBreakerState:
        """Compare the loss with the limits, move the state, tell listeners. At the limit exactly it triggers.

        A loss that is not known moves nothing: the event says what is `missing`.
        """
        loss = self.loss_ratio
        self._tell(EventName.PORTFOLIO_UPDATE)
        if loss is not None:
            self._judge(loss)
        return self.state

    def halt(self, reason: str) -> None:
        """Trigger by hand."""
        self._fire(Trigger.HALT, EventName.MANUAL_HALT, reason=reason)

    def reset(self) -> None:
        """Back to ACTIVE after a trip.

        Raises CircuitBreakerError if not triggered, if the loss is not known, or if it would breach at once.
        """
        if self.is_triggered:
            loss = self.loss_ratio
            if loss is None:
                raise CircuitBreakerError(f"the loss is not known: {', '.join(self.missing())} is missing")
            if loss >= self.config.loss_threshold:
                raise CircuitBreakerError(
                    "the loss is still at or above the limit: a reset would trigger again at once"
                )
        self._fire(Trigger.RESET, EventName.CIRCUIT_BREAKER_RESET)

    def disable(self) -> None:
        """Watch without acting. Raises CircuitBreakerError while triggered."""
        self._fire(Trigger.DISABLE, EventName.CIRCUIT_BREAKER_DISABLED)

    def enable(self) -> None:
        """Act again after `disable`. Raises CircuitBreakerError while triggered."""
        self._fire(Trigger.ENABLE, EventName.CIRCUIT_BREAKER_ENABLED)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event, at once and in order. Returns the function that ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _loss(self) -> Decimal:
        paid_in = self.config.initial_capital + self.portfolio.net_flows
        return (paid_in - self.portfolio.equity) / paid_in

    def _judge(self, loss: Decimal) -> None:
        warning = self.config.warning_threshold
        if loss >= self.config.loss_threshold:
            self._fire(Trigger.BREACH, EventName.CIRCUIT_BREAKER_TRIGGERED)
        elif warning is not None and loss >= warning:
            self._fire(Trigger.WARN, EventName.WARNING_TRIGGERED)
        else:
            self._fire(Trigger.CLEAR, EventName.WARNING_CLEARED)

    def _fire(self, trigger: Trigger, event: EventName, **fields: str) -> None:
        step = self._machine.fire(trigger)
        if step.outcome is Outcome.REFUSED:
            raise CircuitBreakerError(f"{trigger.value.lower()} is refused while {self.state.value.lower()}")
        if step.moved:
            self._tell(event, **fields)
        elif step.outcome is Outcome.WOULD_HAVE_TRIGGERED:
            self._tell(EventName.WOULD_HAVE_TRIGGERED, **fields)

    def _tell(self, name: EventName, **fields: str) -> None:
        missing = self.missing()
        facts = {
            "time": self._clock.now().wall,
            "state": self.state.value,
            "loss_ratio": None if missing else float(self._loss()),
            "equity": None if missing else plain(self.portfolio.equity),
            "missing": list(missing),
            **fields,
        }
        for listener in tuple(self._listeners):
            listener(RiskEvent(name, facts))
