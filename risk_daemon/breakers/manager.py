"""All rules at once: every one is asked, and every verdict is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from risk_daemon.breakers import custom
from risk_daemon.breakers.base import BaseCircuitBreaker, EvaluationContext, Verdict
from risk_daemon.breakers.blind import BlindCircuitBreaker
from risk_daemon.errors import CircuitBreakerError
from risk_daemon.gate.restraints import severity
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Instant

_CUSTOM = CircuitBreakerType.CUSTOM


class CircuitBreakerManager:
    """Holds breakers by instance name. Not thread-safe."""

    def __init__(self) -> None:
        self._breakers: dict[str, BaseCircuitBreaker] = {}
        self._seeing: list[BaseCircuitBreaker] = []
        self._blind: list[BaseCircuitBreaker] = []

    def add_breaker(self, breaker: BaseCircuitBreaker) -> None:
        """Add a rule. Raises CircuitBreakerError if its name is taken."""
        if breaker.name in self._breakers:
            raise CircuitBreakerError(f"there is a breaker named {breaker.name!r} already: give this one another name")
        self._breakers[breaker.name] = breaker
        (self._blind if isinstance(breaker, BlindCircuitBreaker) else self._seeing).append(breaker)

    def replace_all(self, breakers: Iterable[BaseCircuitBreaker]) -> None:
        """These rules from now on, and no others. Raises CircuitBreakerError if two have one name."""
        self._breakers, self._seeing, self._blind = {}, [], []
        for breaker in breakers:
            self.add_breaker(breaker)

    def evaluate(self, context: EvaluationContext, now: Instant) -> tuple[Verdict, ...]:
        """Ask every rule, and move each to what its verdict says. For a program; the daemon confirms first."""
        for breaker in self._breakers.values():
            breaker.is_sure = False  # and so it stays where one of them raises
        verdicts = self.ask(context, now)
        for name, verdict in verdicts.items():
            breaker = self._breakers[name]
            breaker.settle(verdict)
            breaker.is_sure = verdict.is_sure
        return tuple(verdicts.values())

    def ask(self, context: EvaluationContext, now: Instant) -> dict[str, Verdict]:
        """Ask every rule, by instance name; the blind one last: it judges what the others could not decide.

        No state moves.
        """
        verdicts = {breaker.name: ask(breaker, context, now) for breaker in self._seeing}
        for verdict in verdicts.values():
            if verdict.undecided:
                context = replace(context, is_undecided=True)
                break
        for breaker in self._blind:
            verdicts[breaker.name] = breaker.evaluate(context, now)
        return verdicts

    def get_breaker(self, name: str) -> BaseCircuitBreaker:
        """Raises KeyError for a name that is not there."""
        return self._breakers[name]

    def find(self, name: str) -> BaseCircuitBreaker | None:
        """The rule of that name, if there is one."""
        return self._breakers.get(name)

    def get_all_breakers(self) -> list[BaseCircuitBreaker]:
        return list(self._breakers.values())

    def any_tripped(self) -> bool:
        return bool(self.get_tripped())

    def can_trade(self) -> bool:
        """Whether no rule is tripped: by the last evaluation, or in a program by what it was told last."""
        return not self.any_tripped()

    def get_tripped(self) -> list[BaseCircuitBreaker]:
        """The rules that hold against orders now; what time alone clears is cleared first."""
        for breaker in self._breakers.values():
            breaker.refresh()
        return [breaker for breaker in self._breakers.values() if breaker.is_tripped]

    def get_unsure(self) -> list[BaseCircuitBreaker]:
        """The rules that can't say whether they hold: what they judge by was not told, or leaves it open."""
        for breaker in self._breakers.values():
            breaker.refresh()
        return [breaker for breaker in self._breakers.values() if not breaker.is_sure]

    def get_trip_reasons(self) -> dict[str, str | None]:
        """Reasons of the tripped rules, by instance name."""
        return {breaker.name: breaker.get_trip_reason() for breaker in self.get_tripped()}

    def get_status(self) -> dict[str, str]:
        """States by instance name."""
        for breaker in self._breakers.values():
            breaker.refresh()
        return {name: breaker.state.value for name, breaker in self._breakers.items()}

    def reset(self, name: str, operator: str | None = None) -> None:
        """Reset one rule. A rule of the user's own that fails at it stays shut, and says so as its reason."""
        breaker = self._breakers[name]
        if breaker.breaker_type is CircuitBreakerType.CUSTOM:
            custom.reset(breaker, operator)
        else:
            breaker.reset(operator)

    def reset_all(self, operator: str | None = None) -> None:
        """Reset every tripped rule."""
        for breaker in self.get_tripped():
            self.reset(breaker.name, operator)

    def snapshot(self) -> dict[str, Any]:
        return {name: breaker.snapshot() for name, breaker in self._breakers.items()}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take back what was persisted; a rule added since starts NORMAL."""
        for name, saved in data.items():
            if name in self._breakers:
                self._breakers[name].restore(saved)


def strongest(verdicts: Iterable[Verdict]) -> Verdict | None:
    """Of those that breach, the one with the strongest action; among equals, the one the gate would name."""
    breached = (verdict for verdict in verdicts if verdict.breached)
    return min(breached, key=lambda verdict: (-verdict.action, severity(verdict.cause)), default=None)


def by_strength(breakers: Iterable[BaseCircuitBreaker]) -> tuple[str, ...]:
    """The rules that are judged when they are seen, the strongest first: it gives a trip its name.

    A person's halt is carried out when it is asked for, blindness is looked at last.
    """
    apart = (CircuitBreakerType.MANUAL, CircuitBreakerType.BLIND)
    seen = [rule for rule in breakers if rule.breaker_type not in apart]
    return tuple(rule.name for rule in sorted(seen, key=lambda rule: (-rule.action, severity(rule.cause))))


def ask(breaker: BaseCircuitBreaker, context: EvaluationContext, now: Instant) -> Verdict:
    """What one rule answers at this hour. No state moves."""
    if breaker.active_hours is not None and not breaker.is_active(now):
        return Verdict(
            breaker=breaker.name,
            breaker_type=breaker.breaker_type,
            action=breaker.action,
            reason="outside its active hours",
        )
    if breaker.breaker_type is _CUSTOM:
        return custom.ask(breaker, context, now)
    verdict = breaker.evaluate(context, now)
    return verdict if breaker.active_hours is None else replace(verdict, calm=None)  # the hour may strike
