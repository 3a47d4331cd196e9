"""The engine: what one update costs, and how many go through with everything written down."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from timeit import Timer

from benchmarks.rows import Row
from benchmarks.timing import ROUNDS, median_s, once
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
from risk_daemon.model.events import BalancesSeen, Input, Kind, Price, PricesSeen, Source, Tick
from risk_daemon.portfolio.manager import PortfolioManager, PortfolioSettings
from risk_daemon.runtime.inbox import Inbox
from risk_daemon.state.event_log import EventLog

UPDATES = 2_000
CHECKS = 200
ADDITIONS = 2_000
_TEN = Timer(
    "; ".join(["one + other"] * 10), "one, other = Decimal('1234.5678'), Decimal('98765.4321')", globals=globals()
)
A_SECOND = 10_000
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


class Ticks:
    """Prices of twenty assets on a stream, over and over. Time goes on; now and then it is looked at, as it is."""

    def __init__(self, engine: Engine, source: Source = Source.STREAM) -> None:
        self.engine = engine
        self._source = source
        self._count = 0

    def events(self) -> list[tuple[Input, Instant]]:
        """The next ones."""
        made: list[tuple[Input, Instant]] = []
        for _ in range(UPDATES):
            self._count += 1
            now = after(WARM_S + self._count / A_SECOND)
            price = price_of(f"A{self._count % 20}", 2 + (self._count % 7) / 100)
            made.append((PricesSeen("venue", now.mono, self._source, (price,)), now))
        return [(Tick(), made[0][1]), *made]

    def decision_s(self) -> float:
        """Seconds of one decision."""
        events, process = self.events(), self.engine.process
        return once(lambda: [process(event, now) for event, now in events]) / len(events)


def addition_s() -> float:
    """Seconds of adding two Decimals: what a decision is measured by."""
    return _TEN.timeit(ADDITIONS) / (10 * ADDITIONS)


def additions(ticks: Ticks) -> float:
    """How many additions one decision costs."""
    return statistics.median(ticks.decision_s() / addition_s() for _ in range(ROUNDS))


def revalue(engine: Engine) -> None:
    """What a guard without sums would do on every update: one pass over all holdings."""
    portfolio = engine.portfolio
    sum((amount * portfolio.rate(asset) for asset, amount in portfolio.amounts("venue").items()), Decimal(0))


def through_the_log(directory: Path) -> float:
    """Events a second through inbox, engine and event log. Nothing is merged: each is taken before the next comes."""
    ticks, log = Ticks(engine_with(20, all_rules())), EventLog.open(directory / "events.jsonl")

    async def work(events: Sequence[tuple[Input, Instant]]) -> None:
        inbox = Inbox()
        for told, now in events:
            inbox.put(told)
            event = inbox.take()
            if event is not None:
                for record in ticks.engine.process(event, now).records:
                    log.append(record, now.wall)

    def seconds() -> float:
        events = ticks.events()
        return once(lambda: asyncio.run(work(events))) / len(events)

    taken_s = statistics.median(seconds() for _ in range(ROUNDS))
    log.close()
    return 1 / taken_s


def checks(engine: Engine) -> None:
    """A look at everything though nothing happened."""
    for number in range(CHECKS):
        engine.process(Tick(), after(WARM_S + 1 + number / 1e4))


def check_rows() -> list[Row]:
    """What one check costs: the daemon's with every rule on, and a program's."""
    engine, portfolio = engine_with(20, all_rules()), PortfolioManager(10_000)
    portfolio.update_balance("USDT", 10_000)
    breaker = CircuitBreaker(CircuitBreakerConfig(10_000), portfolio)
    look_s = median_s(lambda: checks(engine)) / CHECKS
    check_s = median_s(lambda: [breaker.check() for _ in range(CHECKS)]) / CHECKS
    return [
        Row(name="a tick of time with every rule asked, 20 holdings", measured=look_s * 1e3, unit="ms"),
        Row(name="one CircuitBreaker.check() of a program", measured=check_s * 1e3, unit="ms"),
    ]


def rows() -> list[Row]:
    """What is measured, what should hold, what was measured."""
    bare = Ticks(engine_with(20))
    small, middle, large = (Ticks(engine_with(count, all_rules())) for count in (20, 1_000, 20_000))
    flat = statistics.median(large.decision_s() / small.decision_s() for _ in range(ROUNDS))
    anew = median_s(lambda: revalue(middle.engine)) / statistics.median(middle.decision_s() for _ in range(ROUNDS))
    with tempfile.TemporaryDirectory() as name:
        a_second = through_the_log(Path(name))
    price = "a decision on a price, in Decimal additions"
    return [
        Row(name=f"{price}: all rules on, 20 holdings", measured=additions(small), at_most=300),
        Row(name=f"{price}: all rules on, 20,000 holdings", measured=additions(large), at_most=300),
        Row(name=f"{price}: only the rules that are always on", measured=additions(bare)),
        Row(name="a decision at 20,000 holdings / at 20", measured=flat, at_most=1.2),
        Row(name="valuing everything anew / a decision, at 1,000 holdings", measured=anew, at_least=30),
        Row(name="events a second through inbox, engine and log", measured=a_second, at_least=40_000),
        *check_rows(),
    ]
