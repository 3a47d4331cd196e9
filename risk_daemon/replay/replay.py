"""A configuration and a piece of the past: put together, driven, told."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from risk_daemon.app.composition import engine_settings
from risk_daemon.app.rules import build_rules
from risk_daemon.breakers.capital_loss import CapitalLossCircuitBreaker
from risk_daemon.config.load import Settings
from risk_daemon.engine.settings import EngineSettings, ListingSettings
from risk_daemon.errors import UsageError
from risk_daemon.model.account import Kind
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.replay.book import VENUE, Holdings, equity_track, log_track, market_track
from risk_daemon.replay.drive import Drive, Guard, Progress
from risk_daemon.replay.levels import levels_of
from risk_daemon.replay.logs import read_curve
from risk_daemon.replay.outcome import Outcome
from risk_daemon.replay.tables import Table
from risk_daemon.replay.track import Track

DEFAULT_CAPITAL = Decimal(10_000)
LONGEST_MINUTE_S = 120.0

_NO_BOTS = "nothing is told of bots and their orders"

# What no price and no curve of equity says anything of.
_UNJUDGED = {
    CircuitBreakerType.ORDER_RATE: _NO_BOTS,
    CircuitBreakerType.ERROR_RATE: _NO_BOTS,
    CircuitBreakerType.VENUE_LOSS: "single venues are not told apart",
    CircuitBreakerType.POSITION_LOSS: "no positions are told",
}


def is_log(path: Path) -> bool:
    """A state directory, or a file with the name that logs have."""
    return path.is_dir() or path.suffix == ".jsonl"


def name_of(path: Path) -> str:
    """What a file is called for people."""
    return path.resolve().name.removesuffix(".gz").removesuffix(".csv")


def track_of(path: Path, table: Table | None, settings: Settings, holdings: Holdings | None) -> Track:
    """What a file tells; `table` is what was read of it, None of a log. Raises UsageError or StateError."""
    name, reference = name_of(path), settings.portfolio.reference_currency
    if table is None:
        _refuse_holdings(path, holdings)
        return log_track(name, read_curve(path), reference)
    if table.equity:
        _refuse_holdings(path, holdings)
        return equity_track(name, table.equity, reference)
    if table.prices and holdings is None:
        raise UsageError(f'{path}: these are prices: say what is held, such as --holdings "{_example(table)}"')
    capital = settings.portfolio.initial_capital or DEFAULT_CAPITAL
    return market_track(name, table, holdings, capital, reference)


def _refuse_holdings(path: Path, holdings: Holdings | None) -> None:
    if holdings is not None:
        raise UsageError(f"{path}: it tells the equity itself: --holdings is for prices")


def _example(table: Table) -> str:
    return f"{next(iter(table.prices))}=1000,USDT=5000"


def replay(
    settings: Settings, track: Track, *, profile: str = "", capital: Decimal | None, progress: Progress | None = None
) -> Outcome:
    """Drive it. capital: what losses of initial capital are measured from; None: what is there at the start."""
    unjudged = _unjudged(settings, track)
    rules = build_rules(settings)
    of_engine = _of_one_venue(engine_settings(settings, {}), capital)
    outcome = Outcome(
        name=track.name,
        profile=profile,
        reference=settings.portfolio.reference_currency,
        rules=(CircuitBreakerType.CAPITAL_LOSS.value, *(rule.name for rule in rules), CircuitBreakerType.BLIND.value),
        unjudged=unjudged,
        holdings=track.holdings if track.is_book else {},
        gaps=track.gaps,
        logged=track.logged,
    )
    guard = Guard(
        settings=of_engine,
        rules=lambda: [rule for rule in build_rules(settings) if rule.name not in unjudged],
        read_every_s=settings.data.reconcile_every,
        looks_always=any(
            rule.active_hours is not None or rule.breaker_type is CircuitBreakerType.CUSTOM for rule in rules
        ),
        levels=levels_of([CapitalLossCircuitBreaker(of_engine.capital_loss), *rules]),
    )
    Drive(guard, track, outcome).run(progress)
    return outcome


def _unjudged(settings: Settings, track: Track) -> dict[str, str]:
    """Rules that nothing is said of, and why."""
    found = {}
    for rule in build_rules(settings):
        why = _UNJUDGED.get(rule.breaker_type)
        if rule.breaker_type is CircuitBreakerType.VOLATILITY and track.usual_s > LONGEST_MINUTE_S:
            why = "it is measured from minute to minute, and there are fewer values"
        if why is not None:
            found[rule.name] = why
    return found


def _of_one_venue(settings: EngineSettings, capital: Decimal | None) -> EngineSettings:
    """Everything of the configuration but its venues: one stands for all, and it has neither orders nor a switch."""
    return replace(
        settings,
        portfolio=replace(
            settings.portfolio, expected={VENUE: frozenset({Kind.BALANCES, Kind.PRICES})}, stale_s_by_venue={}
        ),
        baselines=replace(settings.baselines, initial_capital=capital),
        flows=replace(settings.flows, without_ledger=frozenset({VENUE}), ledger_lag_s_by_venue={}),
        listing=ListingSettings(),
        dead_men={},
        leases=frozenset(),
    )
