"""The day's snapshots, made of an engine: what is not sure makes no row."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from risk_daemon.breakers import BaseCircuitBreaker
from risk_daemon.breakers.daily_loss import DailyLossCircuitBreaker
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import Kind, Position
from risk_daemon.runtime.day_snapshots import daily_limit, snapshots_of
from risk_daemon.state.store.snapshots import Snapshot
from tests.core_world import World, engine_settings

IDS = {"spot": uuid4(), "perp": uuid4()}
PERP = "BTC/USDT:USDT"
NOON = 1_795_348_800.0  # 2026-11-22, 12:00 UTC


def world(*rules: BaseCircuitBreaker, wall: float = NOON) -> World:
    return World(engine_settings(), ManualClock(wall=wall), rules=lambda: rules)


def settled(*rules: BaseCircuitBreaker, wall: float = NOON) -> World:
    """Long enough that every account's start of the day is taken."""
    of = world(*rules, wall=wall).start()
    of.run(20)
    return of


def rows(of: World, ids: dict[str, UUID] = IDS) -> dict[str, Snapshot]:
    return snapshots_of(of.engine, of.clock.now(), "main", ids)


def test_nothing_is_told_of_what_was_never_read() -> None:
    of = world()
    assert rows(of) == {}
    of.dead.add("perp")
    of.begin()
    assert rows(of) == {}, "no start of the day yet"


def test_each_account_with_its_day_and_profit() -> None:
    of = settled()
    of.stream_price("BTC/USDT", 50_000)
    of.trade("spot", BTC="0.1", USDT=-5_000)
    of.run(20)
    of.stream_price("BTC/USDT", 48_000)
    of.trade("spot", BTC="-0.05", USDT=2_400)
    of.run(20)
    found = rows(of)
    assert found["spot"] == Snapshot(
        account_id=IDS["spot"],
        guard="main",
        wall=of.clock.now().wall,
        trading_day="2026-11-22",
        day_ends_wall=NOON + 43_200,
        reference_currency="USDT",
        start_of_day_equity=Decimal(5_000),
        current_equity=Decimal(4_800),
        realized_pnl=Decimal(-100),
        unrealized_pnl=Decimal(-100),
        guard_start_of_day=Decimal(10_000),
        loss_limit=Decimal("0.03"),
    )
    assert (found["perp"].account_id, found["perp"].current_equity) == (IDS["perp"], 5_000)


def test_money_that_moves_is_no_loss_and_hides_none() -> None:
    of = settled()
    of.trade("spot", USDT=-1_000)
    of.run(20)
    of.move_money("spot", "USDT", -2_000)
    of.book_flow("spot", "USDT", -2_000, "withdrawal")
    of.tell_balance("spot", "USDT")
    of.list_flows("spot")
    of.read("spot", Kind.BALANCES)
    of.run(20)
    found = rows(of)["spot"]
    assert (found.start_of_day_equity, found.current_equity) == (3_000, 2_000), "1,000 are lost"
    before_flows = Decimal(10_000) * Decimal(7_000) / Decimal(9_000)
    assert found.guard_start_of_day == pytest.approx(before_flows), "10 % of what the guard measures from"


def test_an_account_that_is_not_read_any_more_makes_no_row() -> None:
    of = settled()
    of.dead.add("perp")
    of.run(120)
    assert set(rows(of)) == {"spot"}


def test_after_a_restart_only_what_was_read_again_makes_a_row() -> None:
    of = settled()
    assert set(rows(of)) == {"spot", "perp"}
    of.restart()
    assert rows(of) == {}
    of.dead.add("perp")
    of.begin()
    of.run(20)
    assert set(rows(of)) == {"spot"}


def test_what_has_no_price_makes_no_row() -> None:
    of = settled()
    of.stream_balances("spot", PEPE=-1_000)
    of.run(30)
    assert set(rows(of)) == {"perp"}, "a debt without a price would hide a loss"


def test_a_position_without_a_mark_makes_no_row() -> None:
    of = settled()
    position = Position(symbol=PERP, quantity=Decimal(1), entry=Decimal(50_000), settle="USDT", underlying="BTC")
    of.stream_position("perp", position)
    of.run(1)
    assert set(rows(of)) == {"spot"}
    of.stream_price(PERP, 50_000)
    of.run(20)
    assert set(rows(of)) == {"spot", "perp"}


def test_a_new_day_begins_with_what_yesterday_ended_with() -> None:
    of = settled(wall=NOON + 43_200 - 120)
    of.trade("spot", USDT=-500)
    of.run(30)
    assert rows(of)["spot"].trading_day == "2026-11-22"
    of.run(60)
    found = rows(of)["spot"]
    assert (found.trading_day, found.start_of_day_equity, found.current_equity) == ("2026-11-23", 4_500, 4_500)
    assert found.realized_pnl in (None, 0)
    assert found.day_ends_wall == NOON + 43_200 + 86_400


def test_before_the_day_has_turned_nothing_is_told_of_it() -> None:
    of = settled(wall=NOON + 43_200 - 60)
    of.clock.advance(120)
    assert rows(of) == {}


def test_an_account_that_nobody_asks_for_makes_no_row() -> None:
    assert set(rows(settled(), {"spot": IDS["spot"]})) == {"spot"}


@pytest.mark.parametrize(
    ("rules", "limit"),
    [
        ((), "0.03"),
        ((DailyLossCircuitBreaker(max_daily_loss=400),), "0.03"),
        ((DailyLossCircuitBreaker(max_daily_loss_pct=Decimal("0.05")),), "0.05"),
        (
            (
                DailyLossCircuitBreaker(max_daily_loss_pct=Decimal("0.05"), name="wide"),
                DailyLossCircuitBreaker(max_daily_loss_pct=Decimal("0.02"), name="narrow"),
                DailyLossCircuitBreaker(max_daily_loss=1, name="money"),
            ),
            "0.02",
        ),
    ],
)
def test_the_limit_is_that_of_the_configuration(rules: tuple[BaseCircuitBreaker, ...], limit: str) -> None:
    of = settled(*rules)
    assert daily_limit(of.engine) == Decimal(limit)
    assert {one.loss_limit for one in rows(of).values()} == {Decimal(limit)}
