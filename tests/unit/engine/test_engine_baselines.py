"""What losses are measured from, when a reply lacks half of the account: the whole engine, in virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from risk_daemon.breakers import DailyLossCircuitBreaker, VenueLossCircuitBreaker
from risk_daemon.breakers.base import Action, BaseCircuitBreaker
from risk_daemon.engine.engine import EngineSettings
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import BalancesSeen, EventName, Kind, PricesSeen, ResetRequested, Source
from risk_daemon.runtime.status import status_of
from tests.core_world import SPOT, ShortWorld, World, amounts, engine_settings, price, with_

MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
HALF, LESS, MORE = Decimal("0.5"), Decimal("0.97"), Decimal("1.03")


def daily() -> Sequence[BaseCircuitBreaker]:
    rule = DailyLossCircuitBreaker(max_daily_loss_pct=Decimal("0.03"), action=Action.FREEZE)
    return (rule, VenueLossCircuitBreaker(max_venue_loss_pct=Decimal("0.2")))


def world_of(
    *wild: Decimal | int,
    capital: object = None,
    wall: float = MIDNIGHT - 43_200.0,
    settings: EngineSettings | None = None,
) -> ShortWorld:
    world = ShortWorld(settings or engine_settings(capital), ManualClock(wall=wall), daily)
    world.holdings["spot"] = amounts(BTC="0.1")
    world.wild = wild
    world.sweeps_take_s = 1.0
    return world


def starts(world: World) -> set[Decimal | None]:
    """Of everything that was worth 10,000 all the time; each venue was worth 5,000."""
    books = world.engine.books
    venues = [books.venue_days.start_of(venue) for venue in world.expected]
    halves = {None if start.value is None else start.value * 2 for start in venues}
    return {books.baselines.capital, books.baselines.start_of_day, books.baselines.start_of_week, *halves}


@pytest.mark.parametrize("wild", [(), (HALF,), (HALF, HALF), (1, HALF, HALF), (3,), (1, 3, 3), (0, 0), (1, 1, HALF)])
def test_one_wild_reading_or_two_in_a_row_become_no_capital(wild: tuple[Decimal | int, ...]) -> None:
    world = world_of(*wild)
    world.begin()
    world.run(9.0)
    assert world.gate == "starting"
    world.run(50.0)
    assert world.gate == "open"
    assert starts(world) == {Decimal(10_000)}
    assert world.engine.baselines.peak == 10_000
    world.stream_price("BTC/USDT", 43_000)
    world.run(1.0)
    assert world.state == "TRIGGERED"


def test_without_anything_wild_the_start_takes_no_longer_than_the_hold() -> None:
    world = world_of()
    world.begin()
    world.run(10.6)
    assert world.gate == "open"


def test_after_init_the_starts_of_the_venues_take_no_longer_either() -> None:
    """`init` leaves baselines of the portfolio and none of the venues: no rule is on while it reads."""
    world = world_of()
    world.start()
    world.engine.books.venue_days.forget()
    world.restart()
    world.begin()
    world.run(23.0)
    assert starts(world) == {Decimal(10_000)}


def test_what_is_missing_is_said() -> None:
    world = world_of(HALF)
    world.begin()
    world.run(6.0)
    missing = status_of(world.engine, world.clock.now(), {}).missing
    assert missing[0] == "initial capital (1 readings agree, 3 in a row over 10 s are needed)"
    world.run(30.0)
    assert status_of(world.engine, world.clock.now(), {}).missing == ()


def test_readings_that_never_agree_leave_the_gate_shut_and_a_venue_is_not_asked_for_ever() -> None:
    world = world_of(*[HALF, 1] * 2_000)
    world.begin()
    world.run(120.0)
    asked = len(world.decisions)
    assert world.gate == "starting"
    assert world.engine.baselines.capital is None
    world.forget()
    world.run(600.0)
    assert world.gate == "starting"
    assert asked > 0
    reads = [d for d in world.decisions if isinstance(d.event, BalancesSeen) and d.event.venue == "perp"]
    assert len(reads) < 60, "by the schedule, one in 15 s, and what the ledger's questions ask for"


def test_prices_that_are_wild_twice_in_a_row_become_no_capital() -> None:
    """Without a stream a wild price stays until the next reading; prices are read often while a baseline waits."""
    world = world_of()
    wrong = PricesSeen("spot", 0.0, Source.REST, (price("BTC/USDT", 500),))
    world.begin()
    world.run(4.0)
    for venue in world.expected:
        world.send(PricesSeen(venue, world.now, Source.REST, wrong.prices))
    world.run(1.5)
    for venue in world.expected:
        world.send(PricesSeen(venue, world.now, Source.REST, wrong.prices))
    world.run(20.0)
    assert starts(world) == {Decimal(10_000)}


# --- reset ---------------------------------------------------------------------------------------------


def frozen(settings: EngineSettings | None = None) -> ShortWorld:
    world = world_of(capital=10_000, settings=settings)
    world.start()
    world.run(30.0)
    world.stream_price("BTC/USDT", 46_000)
    world.run(5.0)
    assert world.gate == "daily_loss"
    return world


@pytest.mark.parametrize("wild", [(HALF,), (HALF, HALF), (1, HALF, HALF), (3,), (3, 3), (1, 1, HALF)])
def test_a_wild_reading_after_a_reset_with_current_becomes_nothing(wild: tuple[Decimal | int, ...]) -> None:
    world = frozen()
    answer = world.send(ResetRequested("go on", "anna", "current")).answer
    assert answer is not None
    assert answer.accepted
    assert world.gate == "starting"
    world.wild = wild
    world.read("spot", Kind.BALANCES)
    world.run(60.0)
    assert world.gate == "open"
    baselines = world.engine.baselines
    assert {baselines.capital, baselines.start_of_day, baselines.start_of_week, baselines.peak} == {Decimal(9_600)}


@pytest.mark.parametrize("factor", [HALF, LESS, MORE, 3])
def test_a_wild_reading_after_a_reset_that_no_ledger_tells_of(factor: Decimal | int) -> None:
    world = frozen(with_(engine_settings(), flows={"without_ledger": frozenset({"spot", "perp"})}))
    world.wild = (factor,)
    world.read("spot", Kind.BALANCES)
    world.send(ResetRequested("go on", "anna", "current"))
    world.wild = (factor,)
    world.run(60.0)
    assert world.gate == "open"
    assert world.engine.baselines.capital == 9_600


def test_readings_from_before_the_reset_do_not_count() -> None:
    world = frozen()
    world.send(ResetRequested("go on", "anna", "current"))
    world.run(9.8)
    assert world.gate == "starting"
    assert world.engine.baselines.capital is None
    world.run(1.2)
    assert world.gate == "open"


def test_a_wild_reading_at_the_start_after_a_reset_becomes_nothing() -> None:
    world = frozen()
    world.send(ResetRequested("go on", "anna", "current"))
    world.restart()
    world.wild = (HALF, HALF)
    world.begin()
    world.run(40.0)
    assert world.gate == "open"
    assert world.engine.baselines.capital == 9_600


# --- the boundary of a day -----------------------------------------------------------------------------


def before_midnight(seconds: float, settings: EngineSettings | None = None) -> ShortWorld:
    world = world_of(capital=10_000, wall=MIDNIGHT - seconds - 60.0, settings=settings)
    world.start()
    world.run(48.0)
    assert world.gate == "open"
    return world


def assert_the_rule_is_awake(world: World, start: object = 10_000) -> None:
    """The new day began at `start`, nothing was frozen or tripped, and a loss of 3.5 % from it is seen."""
    assert world.engine.baselines.day == "2026-11-20"
    assert world.engine.baselines.start_of_day == Decimal(str(start))
    assert not world.records(EventName.CIRCUIT_BREAKER_TRIGGERED)
    world.stream_price("BTC/USDT", Decimal(str(start)) * Decimal("0.965") * 10 - 50_000)
    world.run(3.0)
    assert world.gate == "daily_loss"


@pytest.mark.parametrize("value", [25_000, 49_000, 51_000, 90_000])
@pytest.mark.parametrize(("at_s", "for_s"), [(4.0, 0.2), (9.0, 4.0), (2.0, 4.0), (0.3, 3.0)])
def test_a_wick_around_midnight(value: int, at_s: float, for_s: float) -> None:
    world = before_midnight(10.0, with_(engine_settings(), confirmation={"within_s": 60.0}))
    world.run(10.0 - at_s)
    world.stream_price("BTC/USDT", value, is_true=False)
    world.run(for_s)
    world.stream_price("BTC/USDT", 50_000)
    world.run(20.0)
    assert_the_rule_is_awake(world)


@pytest.mark.parametrize(
    "wild", [(HALF,), (HALF, HALF), (Decimal("0.97"),), (Decimal("0.97"),) * 2, (Decimal("1.03"),)]
)
@pytest.mark.parametrize("at_s", [14.0, 9.0, 4.0, 0.5])
def test_a_wild_reading_around_midnight(wild: tuple[Decimal | int, ...], at_s: float) -> None:
    """With a ledger it is in question at once; the second reading comes within a second."""
    world = before_midnight(15.0)
    world.run(15.0 - at_s)
    world.wild = wild
    world.read("spot", Kind.BALANCES)
    world.run(50.0)
    assert_the_rule_is_awake(world)


@pytest.mark.parametrize("factor", ["0.985", "1.015"])
@pytest.mark.parametrize("at_s", [29.0, 14.0, 9.0, 4.0, 0.5])
def test_a_wild_reading_that_no_ledger_tells_of(factor: str, at_s: float) -> None:
    """A venue without a ledger: too small to be in question, it stays until the next reading, 15 s later."""
    settings = with_(engine_settings(), flows={"without_ledger": frozenset({"spot", "perp"})})
    world = before_midnight(30.0, settings)
    world.run(30.0 - at_s)
    world.wild = (Decimal(factor),)
    world.read("spot", Kind.BALANCES)
    world.run(60.0)
    assert_the_rule_is_awake(world)


def test_blind_before_midnight_the_higher_counts() -> None:
    world = before_midnight(720.0)
    world.dead.update(world.expected)
    world.run(750.0)
    world.dead.clear()
    world.prices["spot"]["BTC/USDT"] = world.prices["perp"]["BTC/USDT"] = price("BTC/USDT", 49_000)
    world.wild = (3, 3)
    world.run(90.0)
    assert_the_rule_is_awake(world, 10_000)


def test_blind_before_midnight_and_richer_after_it() -> None:
    world = before_midnight(720.0)
    world.dead.update(world.expected)
    world.run(750.0)
    world.dead.clear()
    world.prices["spot"]["BTC/USDT"] = world.prices["perp"]["BTC/USDT"] = price("BTC/USDT", 52_000)
    world.wild = (HALF,)
    world.run(90.0)
    assert_the_rule_is_awake(world, 10_200)


@pytest.mark.parametrize("jump_s", [7_200.0, 90_000.0, -7_200.0, -90_000.0])
def test_a_clock_that_jumps_in_a_wick(jump_s: float) -> None:
    world = world_of(capital=10_000, wall=MIDNIGHT - 600.0)
    world.start()
    world.run(40.0)
    world.stream_price("BTC/USDT", 30_000, is_true=False)
    world.clock.jump(jump_s)
    world.run(0.4)
    world.stream_price("BTC/USDT", 50_000)
    world.run(20.0)
    world.clock.jump(-jump_s)
    world.run(700.0)
    assert world.engine.baselines.start_of_day == 10_000
    assert not world.records(EventName.CIRCUIT_BREAKER_TRIGGERED)
    world.stream_price("BTC/USDT", 46_500)
    world.run(3.0)
    assert world.gate == "daily_loss"


def test_one_venue_of_an_account_that_trades_all_the_time_still_starts() -> None:
    """Fees of a busy bot are no disagreement."""
    world = ShortWorld(engine_settings(None, {"spot": SPOT}), ManualClock(wall=MIDNIGHT - 43_200.0), daily)
    world.begin()
    for _ in range(100):
        world.stream_balances("spot", USDT=world.holdings["spot"]["USDT"] - Decimal("0.05"))
        world.run(0.2)
    assert world.gate == "open"
