"""`make bench`: the numbers to hold, each as a ratio measured in this run."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.table import Table

from risk_daemon.client import TradingGate
from risk_daemon.clock import Instant, SystemClock
from risk_daemon.engine import Engine, EngineSettings
from risk_daemon.event_log import EventLog
from risk_daemon.events import BalancesSeen, Kind, Price, PricesSeen, Source
from risk_daemon.inbox import Inbox
from risk_daemon.lock.base import LockRecord
from risk_daemon.lock.shared import SharedLock
from risk_daemon.portfolio import PortfolioSettings

ROUNDS = 7
UPDATES = 2_000


def best_of(work: Callable[[], None]) -> float:
    """Median seconds of some rounds."""
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def engine_with(holdings: int) -> Engine:
    """An engine that holds that many assets on one venue, all priced."""
    kinds = frozenset({Kind.BALANCES, Kind.PRICES})
    engine = Engine(EngineSettings(portfolio=PortfolioSettings(expected={"venue": kinds})))
    now = Instant(1_000.0, 1_700_000_000.0)
    assets = [f"A{number}" for number in range(holdings)]
    prices = (Price("USDT/USD", "USDT", "USD", Decimal(1)), *(price_of(asset, 2) for asset in assets))
    engine.process(PricesSeen("venue", now.mono, Source.REST, prices), now)
    amounts = {asset: Decimal(5) for asset in assets} | {"USDT": Decimal(1_000_000)}
    engine.process(BalancesSeen("venue", now.mono, Source.REST, amounts, complete=True), now)
    return engine


def price_of(asset: str, value: float) -> Price:
    return Price(f"{asset}/USD", asset, "USD", Decimal(str(value)))


def updates(engine: Engine) -> None:
    """Prices of twenty assets, over and over."""
    for number in range(UPDATES):
        now = Instant(1_001.0 + number / 1e4, 1_700_000_001.0 + number / 1e4)
        price = price_of(f"A{number % 20}", 2 + (number % 7) / 100)
        engine.process(PricesSeen("venue", now.mono, Source.STREAM, (price,)), now)


def revalue(engine: Engine) -> None:
    """What a guard without sums would do on every update: one pass over all holdings."""
    portfolio = engine.portfolio
    sum((amount * portfolio.rate(asset) for asset, amount in portfolio.amounts("venue").items()), Decimal(0))


def through_the_log(directory: Path) -> float:
    """Events a second through inbox, engine and event log."""
    engine, log = engine_with(20), EventLog.open(directory / "events.jsonl")

    async def work() -> None:
        inbox = Inbox()
        for number in range(UPDATES):
            now = Instant(2_000.0 + number / 1e3, 1_700_001_000.0 + number / 1e3)
            inbox.put(PricesSeen("venue", now.mono, Source.REST, (price_of(f"A{number % 20}", 2 + number % 3 / 100),)))
            event = inbox.take()
            if event is not None:
                for record in engine.process(event, now).records:
                    log.append(record, now.wall)

    seconds = best_of(lambda: asyncio.run(work()))
    log.close()
    return UPDATES / seconds


def gate_read(directory: Path) -> float:
    """Seconds of one `TradingGate.is_open()` while open."""
    path, clock = directory / "gate.bin", SystemClock()
    lock, gate = SharedLock(path), TradingGate(path)

    def work() -> None:
        now = clock.now()
        lock.write(LockRecord(locked=False), now)
        lock.stamp(now)
        for _ in range(UPDATES):
            gate.is_open()

    return best_of(work) / UPDATES


def main() -> None:
    small, large, middle = engine_with(20), engine_with(20_000), engine_with(1_000)
    at_20, at_20_000 = best_of(lambda: updates(small)), best_of(lambda: updates(large))
    at_1_000, full = best_of(lambda: updates(middle)) / UPDATES, best_of(lambda: revalue(middle))
    with tempfile.TemporaryDirectory() as name:
        a_second, gate_s = through_the_log(Path(name)), gate_read(Path(name))
    table = Table("what", "hold", "measured", title="numbers to hold")
    table.add_row("update at 20,000 holdings / at 20", "<= 1.3", f"{at_20_000 / at_20:.2f}")
    table.add_row("full re-valuation / update, at 1,000 holdings", ">= 30", f"{full / at_1_000:.1f}")
    table.add_row("events a second through inbox, engine, log", ">= 20,000", f"{a_second:,.0f}")
    table.add_row("TradingGate.is_open()", "<= 1 us", f"{gate_s * 1e6:.2f} us")
    Console().print(table)


if __name__ == "__main__":
    main()
