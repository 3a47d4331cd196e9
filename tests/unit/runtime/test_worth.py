"""The money part of the status, through the engine: positions, holdings, profit and distances."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from risk_daemon.breakers.base import Action
from risk_daemon.breakers.daily_loss import DailyLossCircuitBreaker
from risk_daemon.breakers.drawdown import DrawdownCircuitBreaker
from risk_daemon.model.events import Kind, Position, ResetRequested, SweepFinished, VenueProven
from risk_daemon.runtime.status import status_of
from tests.core_world import World, engine_settings

PERP = "BTC/USDT:USDT"


def rules() -> tuple[Any, ...]:
    return (
        DailyLossCircuitBreaker(max_daily_loss=400),
        DrawdownCircuitBreaker(Decimal("0.08"), action=Action.VETO),
    )


def world() -> World:
    return World(engine_settings(10_000), rules=rules)


def told(of: World) -> dict[str, Any]:
    return status_of(of.engine, of.clock.now(), {}).document()


def position(quantity: object, entry: object) -> Position:
    return Position(
        symbol=PERP, quantity=Decimal(str(quantity)), entry=Decimal(str(entry)), settle="USDT", underlying="BTC"
    )


def test_before_anything_was_read_there_are_no_rows_and_no_figures() -> None:
    of = told(world())
    assert (of["positions"], of["holdings"]) == ([], [])
    assert {name: of["profit"][name] for name in ("total", "realized", "unrealized")} == {
        "total": None,
        "realized": None,
        "unrealized": None,
    }
    assert [(one["rule"], one["loss"], one["equity"], one["left"]) for one in of["distances"]] == [
        ("capital_loss", None, None, None),
        ("daily_loss", None, None, None),
        ("drawdown", None, None, None),
    ]


def test_the_nearest_limit_comes_first_with_the_money_that_is_left() -> None:
    of = world().start()
    shown = [(one["rule"], one["action"], one["equity"], one["left"]) for one in told(of)["distances"]]
    assert shown == [
        ("daily_loss", "trip", "9600", "400"),
        ("capital_loss", "trip", "9500", "500"),
        ("drawdown", "veto", "9200", "800"),
    ]
    of.trade("spot", USDT=-150)
    nearest = told(of)["distances"][0]
    assert (nearest["rule"], nearest["loss"], nearest["limit"], nearest["left"]) == ("daily_loss", "150", "400", "250")


def test_the_distance_is_to_where_the_rule_really_trips() -> None:
    of = world().start()
    left = Decimal(told(of)["distances"][0]["left"])
    of.trade("spot", USDT=-(left - Decimal("0.01")))
    of.run(200)
    assert of.engine.trip is None
    of.trade("spot", USDT=Decimal("-0.01"))
    of.run(200)
    assert of.engine.trip is not None
    assert of.engine.trip.breaker == "daily_loss"


def test_a_position_with_its_mark_value_and_profit() -> None:
    of = world().start()
    of.stream_price(PERP, 50_000)
    of.stream_position("perp", position("-0.2", 51_000))
    of.run(1)
    [row] = told(of)["positions"]
    assert row == {
        "venue": "perp", "symbol": PERP, "quantity": "-0.2", "entry": "51000", "mark": "50000", "value": "10000",
        "unrealized": "200", "stale": False,
    }  # fmt: skip
    assert told(of)["profit"]["open"] == "200"


def test_a_position_without_a_mark_has_no_value_and_no_zero() -> None:
    of = world().start()
    of.stream_position("perp", position(1, 51_000))
    [row] = told(of)["positions"]
    assert (row["mark"], row["value"], row["unrealized"]) == (None, None, None)
    assert told(of)["profit"]["open"] is None


def test_holdings_by_venue_with_their_worth() -> None:
    of = world()
    of.holdings["spot"]["BTC"] = Decimal("0.1")
    of.start()
    rows = [(one["venue"], one["asset"], one["amount"], one["price"], one["value"]) for one in told(of)["holdings"]]
    assert sorted(rows) == [
        ("perp", "USDT", "5000", "1", "5000"),
        ("spot", "BTC", "0.1", "50000", "5000"),
        ("spot", "USDT", "5000", "1", "5000"),
    ]


def test_total_is_realized_and_unrealized_by_venue_and_in_all() -> None:
    of = world()
    of.holdings["spot"]["BTC"] = Decimal("0.1")
    of.start()
    of.stream_price("BTC/USDT", 51_000)
    of.trade("spot", BTC="-0.05", USDT=2_550)
    of.run(30)
    profit = told(of)["profit"]
    assert (profit["total"], profit["realized"], profit["unrealized"]) == ("100", "50", "50")
    assert (profit["venues"]["spot"]["realized"], profit["venues"]["perp"]["realized"]) == ("50", "0")
    assert profit["venues"]["spot"]["total"] == "100"


def test_a_deposit_is_no_profit_once_the_book_has_told_of_it() -> None:
    of = world().start()
    of.move_money("spot", "USDT", 1_000)
    of.book_flow("spot", "USDT", 1_000, "deposit")
    of.tell_balance("spot", "USDT")
    of.list_flows("spot")
    of.read("spot", Kind.BALANCES)
    of.run(5)
    profit = told(of)["profit"]
    assert (profit["total"], profit["realized"]) == ("0", "0")


def test_what_was_realised_survives_a_restart() -> None:
    of = world().start()
    of.trade("spot", USDT=-25)
    of.run(10)
    restarted = of.restart()
    restarted.begin()
    restarted.run(12)
    assert told(restarted)["profit"]["realized"] == "-25"


def test_after_a_reset_with_current_all_of_it_is_measured_from_the_new_start() -> None:
    of = world().start()
    of.trade("spot", USDT=-450)
    of.run(10)
    assert of.engine.trip is not None
    trip_id = of.engine.trip.trip_id
    for venue in of.expected:
        of.send(VenueProven(venue, trip_id, 3, 0.5))
    of.send(SweepFinished(trip_id, True, 6, 0.9))
    answer = of.send(ResetRequested("looked", "anna", "current")).answer
    assert answer is not None
    assert answer.accepted, answer.reason
    profit = told(of)["profit"]
    assert (profit["total"], profit["realized"], profit["unrealized"]) == (None, None, None)
    of.run(60)
    profit = told(of)["profit"]
    assert (profit["total"], profit["realized"], profit["unrealized"]) == ("0", "0", "0")
    of.trade("spot", USDT=-25)
    of.run(10)
    profit = told(of)["profit"]
    assert (profit["total"], profit["realized"], profit["unrealized"]) == ("-25", "-25", "0")
