"""The guide's scenarios, advice and recommended setups."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters import venue_adapter
from risk_daemon.app.findings import Level, configured
from risk_daemon.app.rules import build_rules
from risk_daemon.baselines.trading_day import ActiveHours
from risk_daemon.breakers import (
    CircuitBreakerManager,
    DailyLossCircuitBreaker,
    DrawdownCircuitBreaker,
    ErrorRateCircuitBreaker,
    ManualCircuitBreaker,
    OrderRateCircuitBreaker,
)
from risk_daemon.breakers.base import Action
from risk_daemon.breakers.capital_loss import CapitalLossSettings
from risk_daemon.config.load import load as load_config
from risk_daemon.engine.decision import Finish
from risk_daemon.errors import ConfigError
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import (
    DisableRequested,
    ErrorKind,
    ErrorReported,
    EventName,
    HaltRequested,
    ResetRequested,
)
from risk_daemon.state.event_log import EventLog, verify_log
from tests.seeds.common import ask, first, guarded, lose, profile, publish, settings_of, why, with_tables

PEAK = Decimal("100000")


# --- why -----------------------------------------------------------------------------------------------


def test_004_01_what_is_always_on_needs_no_table() -> None:
    assert list(guarded().engine.manager.get_status()) == ["capital_loss", "manual", "blind"]


@pytest.mark.parametrize(
    "table",
    ["[breakers.manual]", "[breakers.capital_loss]", "[circuit_breaker]\nenabled = false", "[breakers.blind]\noff = 1"],
)
def test_004_01_and_no_key_turns_it_off(table: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        settings_of(with_tables(table), tmp_path)


def test_004_02_a_loop_that_runs_away_is_stopped_after_ten_orders() -> None:
    world = guarded(OrderRateCircuitBreaker(max_orders_per_minute=10))
    answers = [ask(world) for _ in range(500)]
    assert [answer.allowed for answer in answers] == [True] * 10 + [False] * 490
    assert {why(answer) for answer in answers[10:]} == {"order_rate"}


def test_004_02_a_failing_interface_is_noticed() -> None:
    world = guarded(ErrorRateCircuitBreaker(max_errors=5, window_seconds=300))
    for _ in range(6):
        world.send(ErrorReported(ErrorKind.CONNECTION, "alice", "spot", "503"))
    assert why(ask(world)) == "error_rate"


# --- states --------------------------------------------------------------------------------------------


def test_004_34_a_trip_and_a_halt_write_their_reason_down() -> None:
    world = guarded(DailyLossCircuitBreaker(max_daily_loss=Decimal(500)))
    lose(world, "0.06")
    tripped = first(world, EventName.BREAKER_TRIPPED).fields
    assert tripped["state"] == "TRIPPED"
    assert tripped["reason"] == "loss of 600.00 since the start of the day, limit 500.00"
    halted = guarded()
    halted.send(HaltRequested("flash crash", "john"))
    assert first(halted, EventName.BREAKER_TRIPPED).fields["state"] == "MANUALLY_HALTED"
    assert first(halted, EventName.MANUAL_HALT).fields == {"operator": "john", "reason": "flash crash"}


# --- best practice -------------------------------------------------------------------------------------


def test_004_35_without_a_single_rule_a_loss_of_capital_still_trips() -> None:
    world = guarded(capital_loss=CapitalLossSettings())
    lose(world, "0.05")
    assert world.state == "TRIGGERED"
    assert world.gate == "capital_loss"


def test_004_36_halts_are_always_there_and_rules_that_are_off_are_said_loudly(tmp_path: Path) -> None:
    found = configured(settings_of(with_tables(""), tmp_path))
    loud = {finding.subject: finding.sentence for finding in found if finding.level is Level.WARNING}
    assert loud["drawdown"].startswith("OFF: ")
    assert loud["daily_loss"].startswith("OFF: ")
    assert "manual" in guarded().engine.manager.get_status()


def test_004_37_the_conservative_start() -> None:
    drawdown = DrawdownCircuitBreaker(max_drawdown_pct=Decimal("0.05"))
    daily = DailyLossCircuitBreaker(max_daily_loss=Decimal("2500"))
    orders = OrderRateCircuitBreaker(max_orders_per_minute=5, clock=ManualClock())
    assert drawdown.can_trade(PEAK)
    assert not drawdown.can_trade(Decimal("95000"))
    assert daily.can_trade(Decimal("97501"), PEAK)
    assert not daily.can_trade(Decimal("97500"), PEAK)
    for _ in range(5):
        assert orders.can_trade()
        orders.record_order()
    assert not orders.can_trade()


def test_004_38_a_low_limit_in_paper_trading_shows_the_whole_way() -> None:
    """Trips, halts, is in the log, can be reset; whether alerts are sent comes with the alerts."""
    world = guarded(DrawdownCircuitBreaker(max_drawdown_pct=Decimal("0.01")))
    lose(world, "0.01")
    assert world.state == "TRIGGERED"
    assert why(ask(world)) == "portfolio_dd_circuit"
    assert first(world, EventName.BREAKER_TRIPPED).fields["observed"]["current_dd_pct"] == 0.01
    world.run(5.0)
    assert [action.exit_code for action in world.actions(Finish) if isinstance(action, Finish)] == [1]
    answer = world.send(ResetRequested("only a test", "anna", "current")).answer
    assert answer is not None
    assert answer.accepted
    world.run(30.0)
    assert (world.state, world.gate) == ("ACTIVE", "open")


def test_004_55_every_rule_says_what_it_is_set_to(tmp_path: Path) -> None:
    world = guarded(DrawdownCircuitBreaker(Decimal("0.10")), OrderRateCircuitBreaker(10))
    rules = publish(world, tmp_path)["rules"]
    assert rules["drawdown"]["limits"] == {"max_portfolio_dd_nav_pct": 0.10}
    assert (rules["drawdown"]["action"], rules["drawdown"]["lookback_days"]) == ("trip", 30.0)
    assert rules["order_rate"]["limits"] == {"max_orders": 10, "window_s": 60.0}
    assert {"capital_loss", "manual", "blind"} <= rules.keys()
    assert json.loads((tmp_path / "risk.json").read_text())["rules"] == rules


@pytest.mark.parametrize("key", ["simulated", "sandbox"])
def test_004_39_simulated_and_testnet_accounts_are_a_key(key: str, tmp_path: Path) -> None:
    venue = settings_of(with_tables("").replace("simulated", key), tmp_path).venues["kraken"]
    assert (venue.simulated, venue.sandbox) == (key == "simulated", key == "sandbox")


@pytest.mark.parametrize(
    ("exchange", "market", "host"),
    [
        ("krakenfutures", "perp", "demo-futures.kraken.com"),
        ("binance", "spot", "testnet.binance.vision"),
    ],
)
async def test_004_39_a_testnet_account_talks_to_the_testnet(exchange: str, market: str, host: str) -> None:
    adapter: Any = venue_adapter(exchange, "KEY", "SECRET", markets=(market,), sandbox=True)
    assert host in str(adapter._client.urls["api"])
    live: Any = venue_adapter(exchange, "KEY", "SECRET", markets=(market,))
    assert host not in str(live._client.urls["api"])


async def test_004_39_an_exchange_without_a_testnet_is_refused() -> None:
    with pytest.raises(ConfigError, match="no testnet"):
        venue_adapter("kraken", "KEY", "SECRET", sandbox=True)


def test_004_40_the_status_can_be_looked_at_at_any_time() -> None:
    world = guarded(DailyLossCircuitBreaker(max_daily_loss=Decimal(500)))
    assert set(world.engine.manager.get_status().values()) == {"NORMAL"}
    lose(world, "0.06")
    assert world.engine.manager.any_tripped()
    assert world.engine.manager.get_status()["daily_loss"] == "TRIPPED"


def test_004_41_a_trip_is_one_line_with_type_state_reason_and_time(tmp_path: Path) -> None:
    world = guarded(OrderRateCircuitBreaker(10), DailyLossCircuitBreaker(max_daily_loss=Decimal(500)))
    lose(world, "0.06")
    log = EventLog.open(tmp_path / "events.jsonl")
    log.append(first(world, EventName.BREAKER_TRIPPED), world.clock.now().wall)
    log.close()
    line = (tmp_path / "events.jsonl").read_text()
    for part in ('"event":"breaker_tripped"', '"breaker_type":"daily_loss"', '"state":"TRIPPED"', '"reason":"loss of '):
        assert part in line
    assert datetime.fromtimestamp(world.clock.now().wall, UTC).strftime("%Y-%m-%dT%H:%M:%S") in line


def test_004_42_the_log_is_one_and_shows_what_was_changed(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    world = guarded(DailyLossCircuitBreaker(max_daily_loss=Decimal(500)))
    lose(world, "0.06")
    log = EventLog.open(path)
    for record in world.records(*EventName):
        log.append(record, world.clock.now().wall)
    log.close()
    assert verify_log(path).ok
    path.write_text(path.read_text().replace("TRIPPED", "NORMAL"))
    assert not verify_log(path).ok


# --- troubleshooting and advanced use ------------------------------------------------------------------


def test_004_47_a_reset_is_refused_while_the_limit_would_be_reached_again() -> None:
    world = guarded(DrawdownCircuitBreaker(Decimal("0.10")))
    lose(world, "0.12")
    unproven = world.send(ResetRequested("go on", "anna", "keep")).answer
    world.run(5.0)
    again = world.send(ResetRequested("go on", "anna", "keep")).answer
    assert unproven is not None
    assert again is not None
    assert not unproven.accepted, "not every cancel is proven"
    assert not again.accepted
    assert "trigger again" in again.reason
    lose(world, "0.04")
    back = world.send(ResetRequested("the price is back", "anna", "keep")).answer
    assert back is not None
    assert back.accepted


@pytest.mark.parametrize(("wall", "gate"), [("20:58:30", "open"), ("21:00:30", "portfolio_dd_circuit")])
def test_004_50_another_limit_outside_the_session(wall: str, gate: str) -> None:
    """10 % in the session, 5 % after it, and 6 % are lost."""
    session = ActiveHours(time(14, 30), time(21, 0))
    after = ActiveHours(time(21, 0), time(14, 30))
    rules = (
        DrawdownCircuitBreaker(Decimal("0.10"), name="session", action=Action.VETO, active_hours=session),
        DrawdownCircuitBreaker(Decimal("0.05"), name="after_hours", action=Action.VETO, active_hours=after),
    )
    start = datetime.fromisoformat(f"2026-11-20T{wall}+00:00").timestamp()
    world = guarded(*rules, clock=ManualClock(wall=start))
    lose(world, "0.06")
    assert world.gate == gate


def test_004_50_the_limit_changes_with_the_hour() -> None:
    after = ActiveHours(time(21, 0), time(14, 30))
    rule = DrawdownCircuitBreaker(Decimal("0.05"), action=Action.VETO, active_hours=after)
    start = datetime(2026, 11, 20, 20, 59, tzinfo=UTC).timestamp()
    world = guarded(rule, clock=ManualClock(wall=start))
    lose(world, "0.06")
    assert world.gate == "open"
    world.run(60.0)
    assert world.gate == "portfolio_dd_circuit"


# --- summary -------------------------------------------------------------------------------------------


def test_004_51_the_minimum_setup_in_a_program() -> None:
    manager = CircuitBreakerManager()
    manager.add_breaker(DrawdownCircuitBreaker(max_drawdown_pct=Decimal("0.10")))
    manager.add_breaker(DailyLossCircuitBreaker(max_daily_loss=Decimal("5000")))
    manager.add_breaker(OrderRateCircuitBreaker(max_orders_per_minute=10))
    manager.add_breaker(ManualCircuitBreaker())
    assert manager.can_trade()
    assert list(manager.get_status()) == ["drawdown", "daily_loss", "order_rate", "manual"]


def test_004_51_the_minimum_setup_as_a_profile() -> None:
    rules = {rule.name: rule.describe()["limits"] for rule in build_rules(load_config(profile("minimum.toml")))}
    assert rules == {
        "drawdown": {"max_portfolio_dd_nav_pct": 0.10},
        "daily_loss": {"max_daily_loss": "5000"},
        "order_rate": {"max_orders": 10, "window_s": 60.0, "scope": "bot", "max_orders_total": 10},
    }


def test_004_52_a_trip_can_be_neither_switched_off_nor_waited_out() -> None:
    world = guarded(DrawdownCircuitBreaker(Decimal("0.10")))
    lose(world, "0.12")
    refused = world.send(DisableRequested(3_600.0, "catching up", "anna")).answer
    assert refused is not None
    assert not refused.accepted
    lose(world, "0")
    world.run(60.0)
    assert world.gate == "portfolio_dd_circuit"
    world.restart()
    assert world.gate == "portfolio_dd_circuit"
