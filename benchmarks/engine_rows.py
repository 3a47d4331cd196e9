"""The engine: what one update costs, and how many go through with everything written down."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from benchmarks.timing import median_s, ratio
from risk_daemon.breakers import (
    BaseCircuitBreaker,
    DailyLossCircuitBreaker,
    DrawdownCircuitBreaker,
    ErrorRateCircuitBreaker,
    OrderRateCircuitBreaker,
)
from risk_daemon.breakers.base import Action
from risk_daemon.breakers.position_loss import PositionLossCircuitBreaker
from risk_daemon.breakers.volatility import VolatilityCircuitBreaker
from risk_daemon.breakers.weekly_loss import WeeklyLossCircuitBreaker
from risk_daemon.circuit_breaker import CircuitBreaker, CircuitBreakerConfig
from risk_daemon.engine.engine import Engine, EngineSettings
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import BalancesSeen, Kind, Price, PricesSeen, Source, Tick
from risk_daemon.portfolio.manager import PortfolioManager, PortfolioSettings
from risk_daemon.runtime.inbox import Inbox
from risk_daemon.state.event_log import EventLog

UPDATES = 2_000
CHECKS = 200
START = Instant(1_000.0, 1_700_000_000.0)
WARM_S = 30
READ_EVERY_S = 6


def all_rules() -> Sequence[BaseCircuitBreaker]:
    """Every rule whose cost does not depend on the number of holdings by its nature."""
    one = Decimal("0.5")
    return (
        DrawdownCircuitBreaker(one),
        DailyLossCircuitBreaker(max_daily_loss_pct=one),
        WeeklyLossCircuitBreaker(max_weekly_loss_pct=one, action=Action.VETO),
        PositionLossCircuitBreaker(max_position_loss_pct=one),
        VolatilityCircuitBreaker(Decimal(9)),
        OrderRateCircuitBreaker(),
        ErrorRateCircuitBreaker(window=60),
    )


def engine_with(holdings: int, rules: Sequence[BaseCircuitBreaker] = ()) -> Engine:
    """An engine with baselines that holds that many assets on one venue, all priced."""
    kinds = frozenset({Kind.BALANCES, Kind.PRICES})
    engine = Engine(EngineSettings(portfolio=PortfolioSettings(expected={"venue": kinds})), rules)
    assets = [f"A{number}" for number in range(holdings)]
    prices = (Price("USDT/USD", "USDT", "USD", Decimal(1)), *(price_of(asset, 2) for asset in assets))
    amounts = {asset: Decimal(5) for asset in assets} | {"USDT": Decimal(1_000_000)}
    for second in range(WARM_S):
        now = after(second)
        if second % READ_EVERY_S == 0:
            engine.process(PricesSeen("venue", now.mono, Source.REST, prices), now)
            engine.process(BalancesSeen("venue", now.mono, Source.REST, amounts, complete=True), now)
        engine.process(Tick(), now)
    if engine.gate.locked:
        raise RuntimeError(f"the gate is shut: {engine.gate.cause}")
    return engine


def after(seconds: float) -> Instant:
    return Instant(START.mono + seconds, START.wall + seconds)


def price_of(asset: str, value: float) -> Price:
    return Price(f"{asset}/USD", asset, "USD", Decimal(str(value)))


def updates(engine: Engine) -> None:
    """Prices of twenty assets, over and over."""
    for number in range(UPDATES):
        now = after(WARM_S + number / 1e4)
        price = price_of(f"A{number % 20}", 2 + (number % 7) / 100)
        engine.process(PricesSeen("venue", now.mono, Source.STREAM, (price,)), now)


def revalue(engine: Engine) -> None:
    """What a guard without sums would do on every update: one pass over all holdings."""
    portfolio = engine.portfolio
    sum((amount * portfolio.rate(asset) for asset, amount in portfolio.amounts("venue").items()), Decimal(0))


def through_the_log(directory: Path) -> float:
    """Events a second through inbox, engine and event log."""
    engine, log = engine_with(20, all_rules()), EventLog.open(directory / "events.jsonl")

    async def work() -> None:
        inbox = Inbox()
        for number in range(UPDATES):
            now = after(1_000.0 + number / 1e3)
            inbox.put(PricesSeen("venue", now.mono, Source.REST, (price_of(f"A{number % 20}", 2 + number % 3 / 100),)))
            event = inbox.take()
            if event is not None:
                for record in engine.process(event, now).records:
                    log.append(record, now.wall)

    seconds = median_s(lambda: asyncio.run(work()))
    log.close()
    return UPDATES / seconds


def checks(engine: Engine) -> None:
    """A look at everything though nothing happened."""
    for number in range(CHECKS):
        engine.process(Tick(), after(WARM_S + 1 + number / 1e4))


def check_rows() -> list[tuple[str, str, str]]:
    """What one check costs: the daemon's with every rule on, and a program's."""
    engine, portfolio = engine_with(20, all_rules()), PortfolioManager(10_000)
    portfolio.update_balance("USDT", 10_000)
    breaker = CircuitBreaker(CircuitBreakerConfig(10_000), portfolio)
    look_s = median_s(lambda: checks(engine)) / CHECKS
    check_s = median_s(lambda: [breaker.check() for _ in range(CHECKS)]) / CHECKS
    return [
        ("one check of the daemon, all breakers on, 20 holdings", "about 1 ms", f"{look_s * 1e3:.3f} ms"),
        ("one CircuitBreaker.check() of a program", "about 1 ms", f"{check_s * 1e3:.3f} ms"),
    ]


def rows() -> list[tuple[str, str, str]]:
    """What is measured, what should hold, what was measured."""
    small, large, middle = (engine_with(count, all_rules()) for count in (20, 20_000, 1_000))
    bare, full = engine_with(20), engine_with(20, all_rules())
    update_s = median_s(lambda: updates(middle)) / UPDATES
    with tempfile.TemporaryDirectory() as name:
        a_second = through_the_log(Path(name))
    return [
        (
            "update at 20,000 holdings / at 20, all breakers on",
            "<= 1.3",
            f"{ratio(lambda: updates(large), lambda: updates(small)):.2f}",
        ),
        (
            "full re-valuation / update, at 1,000 holdings",
            ">= 30",
            f"{median_s(lambda: revalue(middle)) / update_s:.1f}",
        ),
        ("update, all breakers on / none", "-", f"{ratio(lambda: updates(full), lambda: updates(bare)):.2f}"),
        ("events a second through inbox, engine, log", ">= 20,000", f"{a_second:,.0f}"),
        *check_rows(),
    ]
