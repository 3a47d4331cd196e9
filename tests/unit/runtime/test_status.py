"""The report is JSON at every moment, a restart included."""

from __future__ import annotations

import json
from decimal import Decimal

from risk_daemon.engine.engine import Engine, EngineSettings
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import (
    BalancesSeen,
    Kind,
    Position,
    PositionsSeen,
    Price,
    PricesSeen,
    Source,
    Started,
    Tick,
)
from risk_daemon.portfolio.manager import PortfolioSettings
from risk_daemon.runtime.status import status_of

VENUE = "krakenfutures"
KINDS = frozenset({Kind.BALANCES, Kind.POSITIONS, Kind.PRICES})
SETTINGS = EngineSettings(portfolio=PortfolioSettings(expected={VENUE: KINDS}))
POSITION = Position(symbol="BTC/USD:USD", quantity=Decimal(1), entry=Decimal(60_000), settle="USDT", underlying="BTC")
MARK = Price("BTC/USD:USD", "BTC", "USDT", Decimal(61_000), converts=False)


def fed(clock: ManualClock) -> Engine:
    engine = Engine(SETTINGS)
    engine.process(Started(), clock.now())
    mono = clock.now().mono
    engine.process(BalancesSeen(VENUE, mono, Source.REST, {"USDT": Decimal(100)}, True), clock.now())
    engine.process(PositionsSeen(VENUE, mono, Source.REST, (POSITION,), True), clock.now())
    engine.process(PricesSeen(VENUE, mono, Source.REST, (MARK,)), clock.now())
    engine.process(Tick(), clock.now())
    return engine


def test_what_was_restored_has_no_age() -> None:
    clock = ManualClock()
    saved = fed(clock).snapshot()
    restarted = Engine(SETTINGS)
    restarted.restore({**saved, "latch": None}, clock.now())
    venue = json.loads(json.dumps(status_of(restarted, clock.now(), {}).document(), allow_nan=False))["venues"][VENUE]
    assert venue["age_s"] == {"balances": None, "positions": None, "prices": None}


def test_what_was_read_has_one() -> None:
    clock = ManualClock()
    engine = fed(clock)
    clock.advance(3)
    told = status_of(engine, clock.now(), {}).document()
    assert told["venues"][VENUE]["age_s"] == {"balances": 3, "positions": 3, "prices": 3}
    assert told["reference_currency"] == "USDT"
