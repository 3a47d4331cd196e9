"""The table of metrics: what each reads, that what is not known has no sample, and that the page is the table."""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path

import pytest

from risk_daemon.metrics.table import FAMILIES, PREFIX
from risk_daemon.model.events import ListingFailed, OrdersListed
from risk_daemon.model.status import Status
from tests.core_world import SPOT, World, engine_settings
from tests.metrics_world import guarded, names, reading_of, scraped, troubled, value

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"

# What of the status no metric shows by itself, and why.
NOT_SHOWN = {
    "time": "Prometheus notes when it scraped",
    "warning_threshold": "rule_limit has the limits; a warning is an event",
    "loss_threshold": "rule_limit of capital_loss",
    "daily_loss": "rule_observed of a daily_loss in money",
    "portfolio_dd_pct": "rule_observed of the drawdown",
    "circuit_breaker": "state, gate_locked and the drawdown's rule",
    "halts": "restraint, by venue and bot",
    "distances": "rule_headroom, of all rules",
    "holdings": "venue_equity; what each asset is worth is for people",
}
READ = {
    "reference_currency", "equity", "equity_low", "equity_high", "trusted", "loss_ratio", "drawdown_ratio", "state",
    "started", "confirming", "missing", "locked", "lock", "initial_capital", "daily_loss_ratio", "breakers", "rules",
    "restraints", "venues", "last_sweep",
    "profit", "positions", "locks", "guards", "fund",
}  # fmt: skip


def test_every_part_of_the_status_has_a_metric_or_a_reason_for_none() -> None:
    assert {field.name for field in fields(Status)} == READ | set(NOT_SHOWN)


async def test_every_metric_can_have_a_sample() -> None:
    told = {name for name in names(await scraped(troubled())) if name.startswith(PREFIX)}
    assert told == {family.exported for family in FAMILIES}


async def test_before_anything_was_read_what_is_not_known_is_absent() -> None:
    world = World(engine_settings(venues={"spot": SPOT}))
    reading = replace(reading_of(world), evaluated_wall=None, log_seq=None)
    told = await scraped(reading)
    unknown = {
        "equity", "equity_low", "equity_high", "loss_ratio", "drawdown_ratio", "daily_loss_ratio", "venue_equity",
        "venue_data_age_seconds", "rule_observed", "rule_used_ratio", "rule_headroom", "unproven_venues",
        "trip_proven", "venue_proven", "sweep_duration_seconds", "trip_phase_seconds", "open_orders",
        "last_evaluation_timestamp_seconds", "event_log_seq", "venue_may_cancel", "venue_orders_failing_seconds",
        "call_budget_used",
    }  # fmt: skip
    assert {PREFIX + name for name in unknown}.isdisjoint(names(told))
    assert value(told, "gate_locked") == 1.0
    assert value(told, "started") == value(told, "venue_connected", venue="spot") == 0.0
    assert value(told, "rule_limit", breaker="capital_loss", action="trip", unit="ratio") == 0.05


async def test_a_loss_moves_equity_ratios_and_what_may_still_be_lost() -> None:
    world = guarded()
    world.stream_price("BTC/USDT", Decimal(49_000))
    world.run(1.0)
    told = await scraped(reading_of(world))
    assert value(told, "equity") == 4_900.0
    assert value(told, "loss_ratio") == pytest.approx(0.02)
    assert value(told, "rule_used_ratio", breaker="capital_loss", action="trip") == pytest.approx(0.4)
    assert value(told, "rule_headroom", breaker="capital_loss", action="trip") == pytest.approx(150.0)
    assert value(told, "rule_headroom", breaker="daily_loss", action="trip") == pytest.approx(300.0)
    assert value(told, "rule_observed", breaker="daily_loss", action="trip", unit="money") == pytest.approx(100.0)


async def test_a_state_is_one_of_all_and_the_others_are_zero() -> None:
    calm, told = await scraped(reading_of(guarded())), await scraped(troubled())
    assert value(calm, "state", state="ACTIVE") == value(told, "state", state="TRIGGERED") == 1.0
    assert value(calm, "state", state="TRIGGERED") == value(told, "state", state="ACTIVE") == 0.0
    assert value(told, "breaker_state", breaker="manual", state="MANUALLY_HALTED") == 1.0
    assert value(told, "restraint", cause="manual_halt", venue="", bot="grid-1") == 1.0


async def test_a_state_that_nobody_knows_is_no_state() -> None:
    reading = reading_of(guarded())
    told = await scraped(replace(reading, status=replace(reading.status, state="MOLTEN")))
    assert PREFIX + "state" not in names(told)


async def test_listings_that_fail_count_their_seconds() -> None:
    world = guarded()
    good = await scraped(reading_of(world))
    world.send(ListingFailed("spot", "plain", world.now, "answered 401", is_refused=False))
    world.clock.advance(2.0)
    bad = await scraped(reading_of(world))
    world.send(OrdersListed("spot", "plain", world.now, ()))
    again = await scraped(reading_of(world))
    assert value(good, "venue_orders_failing_seconds", venue="spot") == 0.0
    assert value(bad, "venue_orders_failing_seconds", venue="spot") == pytest.approx(2.0)
    assert value(again, "venue_orders_failing_seconds", venue="spot") == 0.0
    assert value(bad, "venue_data_age_seconds", venue="spot", kind="orders") == pytest.approx(2.0)


async def test_a_sweep_that_is_not_proven_is_told_and_then_its_phases() -> None:
    proven = troubled()
    sweep = proven.status.last_sweep
    assert sweep is not None
    one = replace(sweep.venues["spot"], proven=False, proven_s=None)
    status = replace(proven.status, last_sweep=replace(sweep, venues={"spot": one}))
    told, bad = await scraped(proven), await scraped(replace(proven, status=status))
    assert value(told, "unproven_venues") == 0.0
    assert value(bad, "unproven_venues") == 1.0
    assert value(bad, "venue_proven", venue="spot") == 0.0
    assert value(told, "trip_phase_seconds", venue="spot", phase="proven") == 2.0
    assert value(bad, "trip_phase_seconds", venue="spot", phase="proven") is None
    assert value(told, "trip_phase_seconds", venue="spot", phase="first_cancel") == 0.1
    assert value(told, "trip") == 1.0
    assert value(told, "trip_proven") == 0.0


async def test_positions_and_the_profit_of_the_day_with_nothing_unknown_as_zero() -> None:
    told = await scraped(troubled())
    assert value(told, "position_quantity", venue="perp", symbol="BTC/USDT:USDT") == -2.0
    assert value(told, "position_unrealized", venue="perp", symbol="BTC/USDT:USDT") == 2_000.0
    assert value(told, "position_value", venue="perp", symbol="ETH/USDT:USDT") is None
    assert value(told, "profit", part="total") == value(told, "venue_profit", venue="spot", part="total") == 0.0
    fresh = await scraped(reading_of(World(engine_settings(venues={"spot": SPOT}))))
    assert value(fresh, "profit", part="total") is None


async def test_a_switch_that_is_about_to_fire() -> None:
    world = guarded()
    world.clock.advance(20.0)
    assert value(await scraped(reading_of(world)), "dead_man_left_seconds", venue="spot") == pytest.approx(
        40.0, abs=0.01
    )
    world.clock.advance(60.0)
    assert value(await scraped(reading_of(world)), "dead_man_left_seconds", venue="spot") == 0.0


async def test_nan_is_not_known() -> None:
    reading = reading_of(guarded())
    odd = replace(reading.status, loss_ratio=float("nan"), equity=str(Decimal("NaN")), drawdown_ratio=float("inf"))
    told = await scraped(replace(reading, status=odd))
    assert {PREFIX + name for name in ("loss_ratio", "equity", "drawdown_ratio")}.isdisjoint(names(told))


# --- the page ------------------------------------------------------------------------------------------


def test_the_page_is_the_table() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{PREFIX}")]
    rows = [
        f"| `{family.exported}` | {family.kind} | {', '.join(family.labels)} | {family.help} |" for family in FAMILIES
    ]
    assert lines == rows


def test_names_are_as_prometheus_wants_them() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    for family in FAMILIES:
        assert family.help.endswith(".")
        assert not family.name.endswith(("_total", "_info")), "its kind adds that"
