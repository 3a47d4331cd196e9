"""What can be said of a configuration without asking a venue: what is off, weaker than it looks, or does nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from risk_daemon.api.tls import server_context
from risk_daemon.app.overrides import rules_of
from risk_daemon.app.rules import build_rule
from risk_daemon.auth.wardens import WardenStore
from risk_daemon.config.breakers import kind_of
from risk_daemon.config.load import Settings, credentials, unknown_environment
from risk_daemon.config.notation import Hours, LossSize, ratio_text
from risk_daemon.config.own_rule import OwnRule
from risk_daemon.config.registry import RULES
from risk_daemon.errors import ConfigError, ExitCode, StateError
from risk_daemon.state.files import utc_text

_DAY_MIN = 24 * 60


class Level(StrEnum):
    """problem: the guard would not start or not work. warning: it works, and less than one may think."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know, as a sentence. exit_code: what a problem makes `check` end with."""

    level: Level
    subject: str
    sentence: str
    exit_code: ExitCode = ExitCode.STOPPED


def configured(settings: Settings) -> list[Finding]:
    """Everything the file alone gives away."""
    return [
        *(_credentials(settings, venue) for venue in settings.venues),
        *_rules_off(settings),
        *_own_rules(settings),
        *_limits_too_far(settings),
        *_warnings_and_blindness(settings),
        *_listening(settings),
        *_wardens(settings),
        *_without_effect(settings),
    ]


def _credentials(settings: Settings, venue: str) -> Finding:
    if settings.venues[venue].simulated:
        return Finding(Level.NOTE, venue, "simulated: no money and no keys are involved")
    try:
        credentials(settings, venue)
    except ConfigError as error:
        return Finding(Level.PROBLEM, venue, str(error), ExitCode.REFUSED)
    return Finding(Level.OK, venue, "credentials found")


# --- rules -------------------------------------------------------------------------------------------


def _rules_off(settings: Settings) -> Iterator[Finding]:
    """Loud for those that nobody should be without; the others in one line."""
    rules = settings.breakers.rules.values()
    on = {kind_of(rule) for rule in rules}
    loud = {kind: table.missed for kind, table in RULES.items() if table.missed}
    for kind, why in loud.items():
        if kind not in on:
            yield Finding(Level.WARNING, kind, f"OFF: {why}")
            continue
        gaps = _gaps([rule.active_hours for rule in rules if kind_of(rule) == kind])
        if gaps:
            when = " and ".join(f"from {gap} {settings.baselines.timezone}" for gap in gaps)
            yield Finding(Level.WARNING, kind, f"OFF {when}: no instance of this rule is active then")
    off = [kind for kind in RULES if kind not in on and kind not in loud]
    if off:
        yield Finding(Level.NOTE, "breakers", f"off: {', '.join(off)}; a table [breakers.NAME] turns a rule on")


def _gaps(spans: list[Hours | None]) -> list[str]:
    """Parts of the day that no span covers, as texts."""
    if None in spans:
        return []
    covered = [any(_covers(span, minute) for span in spans if span is not None) for minute in range(_DAY_MIN)]
    starts = [minute for minute in range(_DAY_MIN) if not covered[minute] and covered[minute - 1]]
    return [f"{_clock(start)} to {_clock(_next_covered(covered, start))}" for start in starts]


def _covers(span: Hours, minute: int) -> bool:
    start, end = (moment.hour * 60 + moment.minute for moment in (span.start, span.end))
    return start <= minute < end if start < end else minute >= start or minute < end


def _next_covered(covered: list[bool], start: int) -> int:
    return next(minute for minute in range(start, start + _DAY_MIN) if covered[minute % _DAY_MIN])


def _clock(minute: int) -> str:
    minute %= _DAY_MIN
    return f"{minute // 60:02}:{minute % 60:02}"


def _own_rules(settings: Settings) -> Iterator[Finding]:
    """A rule of the user's own is imported here as it would be at the start."""
    for name, rule in settings.breakers.rules.items():
        if isinstance(rule, OwnRule):
            try:
                made = build_rule(settings, name, rule)
            except ConfigError as error:
                yield Finding(Level.PROBLEM, name, str(error), ExitCode.REFUSED)
            else:
                yield Finding(Level.OK, name, f"your own rule: {type(made).__module__}.{type(made).__qualname__}")


def _limits_too_far(settings: Settings) -> Iterator[Finding]:
    """Limits that come after the circuit breaker's own, as things stand at the start."""
    capital, own = settings.portfolio.initial_capital, settings.circuit_breaker.loss_threshold
    for name, rule in settings.breakers.rules.items():
        if not rule.is_of_portfolio:
            continue
        limit: Any = getattr(rule, "limit", None)
        ratio = _as_ratio(limit, capital)
        if ratio is not None and ratio > own:
            yield Finding(
                Level.NOTE,
                name,
                f"from initial capital, circuit_breaker.loss_threshold ({ratio_text(own)}) comes before its limit"
                f" ({_limit_text(limit)}), which counts once the portfolio has grown",
            )


def _as_ratio(limit: Any, capital: Decimal | None) -> Decimal | None:
    """A loss limit as a ratio of initial capital; None where that can't be said."""
    if isinstance(limit, Decimal):
        return limit
    if not isinstance(limit, LossSize):
        return None
    if limit.money is None:
        return limit.size
    return None if capital is None else limit.money / capital


def _limit_text(limit: Any) -> str:
    return ratio_text(limit) if isinstance(limit, Decimal) else str(limit)


# --- the rest ----------------------------------------------------------------------------------------


def _warnings_and_blindness(settings: Settings) -> Iterator[Finding]:
    if not settings.circuit_breaker.warning_levels:
        yield Finding(Level.WARNING, "warnings", "OFF: nothing is said before the limit is reached")
    if settings.breakers.blind.trip_after is None:
        yield Finding(Level.NOTE, "blind", "blindness refuses new orders but never trips")


def _listening(settings: Settings) -> Iterator[Finding]:
    api = settings.api
    if not api.is_local:
        yield Finding(Level.WARNING, "api", f"{api.listen} is reachable from elsewhere, over TLS")
    try:
        server_context(settings)
    except ConfigError as error:
        yield Finding(Level.PROBLEM, "api", str(error), ExitCode.REFUSED)


def _wardens(settings: Settings) -> Iterator[Finding]:
    """Who may resume, and whether they could."""
    try:
        register = WardenStore.beside(settings.state.dir).read()
    except StateError as error:
        yield Finding(Level.PROBLEM, "warden", str(error), ExitCode.REFUSED)
        return
    if not register.is_guarded:
        said = "no warden is enrolled: whoever may use this machine's socket or state may resume after a trip"
        yield Finding(Level.WARNING, "warden", said)
        return
    quorum, count = register.rules_with(rules_of(settings)).quorum, len(register.wardens)
    if count < quorum:
        said = f"{quorum} wardens must agree and {count} are enrolled: nothing can be resumed until others are"
        yield Finding(Level.WARNING, "warden", said)
    for name, known in register.wardens.items():
        if known.passkey.host != settings.warden.host:
            said = f"{name}'s passkey was made for {known.passkey.host}, and the page is at {settings.warden.host}"
            yield Finding(Level.WARNING, "warden", said)
    if register.break_glass is not None:
        due = utc_text(register.break_glass.due_wall)
        yield Finding(Level.WARNING, "warden", f"THE GLASS IS BEING BROKEN, from {due} on")
    yield Finding(Level.OK, "warden", f"{quorum} of {count} must agree to a reset")


def _without_effect(settings: Settings) -> Iterator[Finding]:
    if settings.portfolio.ignore_assets:
        ignored = ", ".join(settings.portfolio.ignore_assets)
        yield Finding(Level.NOTE, "ignore_assets", f"these count as nothing: {ignored}")
    for name in unknown_environment(settings):
        yield Finding(
            Level.WARNING, name, "this environment variable changes nothing: settings come from the file only"
        )
