"""Too much is unknown to say whether a limit is breached. Always on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from risk_daemon.breakers.base import Action, BaseCircuitBreaker, Calm, EvaluationContext, Verdict
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Instant
from risk_daemon.model.units import finite


@dataclass(frozen=True, slots=True)
class BlindSettings:
    """Seconds of blindness before a warning, a veto, a trip. None: never."""

    warn_after_s: float = 10.0
    veto_after_s: float | None = 30.0
    trip_after_s: float | None = None


class BlindCircuitBreaker(BaseCircuitBreaker):
    """Blind: a limit lies inside the interval of the equity."""

    needs_confirmation = False

    def __init__(self, settings: BlindSettings) -> None:
        super().__init__(CircuitBreakerType.BLIND, action=Action.VETO)
        self._since_mono: float | None = None
        self.reconfigure(settings)

    def reconfigure(self, settings: BlindSettings) -> None:
        """Other times; since when it is blind stays."""
        self.settings = settings
        self._limits = {"veto_after_s": settings.veto_after_s, "trip_after_s": settings.trip_after_s}
        since_mono, self._since_mono = self._since_mono, None
        self._seeing = self._judge(0.0)
        self._since_mono = since_mono

    def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
        if not context.is_undecided:
            self._since_mono = None
            return self._seeing
        self._since_mono = now.mono if self._since_mono is None else self._since_mono
        return self._judge(now.mono - self._since_mono)

    def _judge(self, blind_s: float) -> Verdict:
        trips = self._passed(blind_s, self.settings.trip_after_s)
        warned = self._passed(blind_s, self.settings.warn_after_s)
        return Verdict(
            breaker=self.name,
            breaker_type=self.breaker_type,
            action=Action.TRIP if trips else Action.VETO,
            breached=trips or self._passed(blind_s, self.settings.veto_after_s),
            suspected=trips,
            warning=finite(blind_s) if warned else None,
            reason=f"blind for {blind_s:.0f} s: too much is unknown to say whether a limit is breached",
            observed={"blind_s": blind_s},
            limits=self._limits,
            calm=None if self._since_mono is not None else Calm(),
        )

    def _passed(self, blind_s: float, after_s: float | None) -> bool:
        return self._since_mono is not None and after_s is not None and blind_s >= after_s

    def restore(self, data: Mapping[str, Any]) -> None:
        """Blindness is measured anew after a restart."""
