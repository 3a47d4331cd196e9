"""All rules at once: every one is asked, and every verdict is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from risk_daemon.breakers.base import BaseCircuitBreaker, EvaluationContext, Verdict
from risk_daemon.breakers.blind import BlindCircuitBreaker
from risk_daemon.clock import Instant
from risk_daemon.errors import CircuitBreakerError


class CircuitBreakerManager:
    """Holds breakers by instance name. Not thread-safe."""

    def __init__(self) -> None:
        self._breakers: dict[str, BaseCircuitBreaker] = {}
        self._seeing: list[BaseCircuitBreaker] = []
        self._blind: list[BaseCircuitBreaker] = []

    def add_breaker(self, breaker: BaseCircuitBreaker) -> None:
        """Add a rule. Raises CircuitBreakerError if its name is taken."""
        if breaker.name in self._breakers:
            raise CircuitBreakerError(f"there is a breaker named {breaker.name!r} already")
        self._breakers[breaker.name] = breaker
        (self._blind if isinstance(breaker, BlindCircuitBreaker) else self._seeing).append(breaker)

    def evaluate(self, context: EvaluationContext, now: Instant) -> tuple[Verdict, ...]:
        """Ask every rule; the blind one last, since it judges what the others could not decide."""
        verdicts = [breaker.evaluate(context, now) for breaker in self._seeing]
        if any(verdict.undecided for verdict in verdicts):
            context = replace(context, is_undecided=True)
        return (*verdicts, *(breaker.evaluate(context, now) for breaker in self._blind))

    def get_breaker(self, name: str) -> BaseCircuitBreaker:
        return self._breakers[name]

    def get_all_breakers(self) -> list[BaseCircuitBreaker]:
        return list(self._breakers.values())

    def any_tripped(self) -> bool:
        return any(breaker.is_tripped for breaker in self._breakers.values())

    def can_trade(self) -> bool:
        """Whether no rule was tripped by the last evaluation."""
        return not self.any_tripped()

    def get_tripped(self) -> list[BaseCircuitBreaker]:
        return [breaker for breaker in self._breakers.values() if breaker.is_tripped]

    def get_trip_reasons(self) -> dict[str, str | None]:
        """Reasons of the tripped rules, by instance name."""
        return {breaker.name: breaker.get_trip_reason() for breaker in self.get_tripped()}

    def get_status(self) -> dict[str, str]:
        """States by instance name."""
        return {name: breaker.state.value for name, breaker in self._breakers.items()}

    def reset_all(self, operator: str | None = None) -> None:
        """Reset every tripped rule."""
        for breaker in self.get_tripped():
            breaker.reset(operator)

    def snapshot(self) -> dict[str, Any]:
        return {name: breaker.snapshot() for name, breaker in self._breakers.items()}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take back what was persisted; a rule added since starts NORMAL."""
        for name, saved in data.items():
            if name in self._breakers:
                self._breakers[name].restore(saved)
