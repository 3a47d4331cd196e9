"""A circuit breaker and its events, for a program that keeps its own books.

The daemon's engine adds time, confirmation and proof to the same table (engine/states.py).
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Self

from risk_daemon.engine.states import CircuitBreakerState, Outcome, StateMachine, Trigger
from risk_daemon.errors import CircuitBreakerError
from risk_daemon.model.clock import Clock, SystemClock
from risk_daemon.model.events import EventName, RiskEvent
from risk_daemon.model.units import finite, plain
from risk_daemon.portfolio.manager import PortfolioManager

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
        """The same, closing positions or not, which a program does itself: `OrderManager.close_all_positions`."""
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


class EventStream:
    """Every event since it was made, in order, until `aclose`. Slow readers lose nothing. One reader at a time."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._queue: asyncio.Queue[RiskEvent | None] = asyncio.Queue()
        # A stream that nobody holds any more must not be fed for ever.
        self._unsubscribe = weakref.finalize(self, breaker.subscribe(self._queue.put_nowait))
        self._unsubscribe.atexit = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RiskEvent:
        event = await self._queue.get() if self._unsubscribe.alive else None
        if event is None:
            raise StopAsyncIteration
        return event

    async def aclose(self) -> None:
        """End it, also for a reader that waits. What was not read is dropped."""
        self._unsubscribe()
        self._queue.put_nowait(None)


def event_stream(breaker: CircuitBreaker) -> EventStream:
    """The breaker's events from this call on, whenever they are read."""
    return EventStream(breaker)
