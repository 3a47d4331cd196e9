"""What the engine answers to an event: a record of everything it saw and decided, and what to do now.

The engine does nothing itself. The shell carries actions out, the gate first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from risk_daemon.baselines.equity_history import Sample
from risk_daemon.breakers.base import Verdict
from risk_daemon.engine.states import CircuitBreakerState
from risk_daemon.errors import ExitCode
from risk_daemon.gate.restraints import GateState
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import EventName, Input, Kind, RiskEvent
from risk_daemon.portfolio.manager import Equity


@dataclass(frozen=True, slots=True)
class SetGate:
    """Shut or open the gate, in memory and in the memory map, before anything else."""

    gate: GateState


@dataclass(frozen=True, slots=True)
class SaveLatch:
    """Write the latch down durably. None: there is no trip any more."""

    latch: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class SaveHalts:
    """Write the halts of single venues and bots down durably, before whoever asked is answered."""

    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KeepSample:
    """Store this sample of the equity's history."""

    sample: Sample


@dataclass(frozen=True, slots=True)
class ReadNow:
    """Read these kinds over REST at once, limiter off. venues None: all."""

    kinds: frozenset[Kind]
    venues: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class StartSweep:
    """Cancel everything everywhere and prove it. A sweep that runs under this trip id already goes on.

    locked_mono: since when the trip has kept new orders out. deadline_mono: until then the latch may become durable,
    and longer nobody waits for it. closes: once that is proven, close every position and prove both.
    """

    trip_id: str
    locked_mono: float
    deadline_mono: float
    closes: bool = False


@dataclass(frozen=True, slots=True)
class RefreshDeadMan:
    """Arm a venue's own switch, or put its time off: it fires `timeout_s` after the last refresh.

    urgent: half of that is over, so it takes the place of what is under way. within_s: for longer nobody waits for it.
    """

    venue: str
    timeout_s: float
    within_s: float
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Finish:
    """End the process with this code, once what it stands for is durable."""

    exit_code: ExitCode
    reason: str


Action = SetGate | SaveLatch | SaveHalts | KeepSample | ReadNow | StartSweep | RefreshDeadMan | Finish


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person who asked for something is told."""

    accepted: bool
    reason: str


class Decision(NamedTuple):
    """One turn of the engine.

    verdicts: the rules' last answers; while nothing is near a limit and nothing but prices and amounts changes, they
    stand, and what they observed is of when the rules were asked. equity: what was judged; None: not known.
    wake_mono: look again then, even if nothing happens. persist: baselines or flows changed.
    """

    seq: int
    now: Instant
    event: Input
    verdicts: tuple[Verdict, ...]
    before: CircuitBreakerState
    after: CircuitBreakerState
    gate: GateState
    actions: tuple[Action, ...]
    records: tuple[RiskEvent, ...]
    equity: Equity | None = None
    wake_mono: float | None = None
    persist: bool = False
    answer: Answer | None = None


class Turn:
    """by_prices: the event of this turn changed prices, nothing else. equity: what is judged in it."""

    __slots__ = ("actions", "answer", "by_prices", "equity", "now", "persist", "records", "seq")

    def __init__(self, now: Instant, seq: int) -> None:
        self.now = now
        self.seq = seq
        self.by_prices = False
        self.equity: Equity | None = None
        self.actions: list[Action] = []
        self.records: list[RiskEvent] = []
        self.persist = False
        self.answer: Answer | None = None

    def act(self, action: Action) -> None:
        """Have the shell do this."""
        self.actions.append(action)

    def record(self, name: EventName, **fields: Any) -> None:
        """Write this down."""
        self.records.append(RiskEvent(name, fields))
