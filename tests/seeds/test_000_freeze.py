"""The phase plan: at 3 % in a day everything is frozen until midnight UTC."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from risk_daemon.app.rules import build_rules
from risk_daemon.breakers import BaseCircuitBreaker, DailyLossCircuitBreaker
from risk_daemon.breakers.base import Action
from risk_daemon.client import TradingGate
from risk_daemon.config.load import load as load_config
from risk_daemon.engine.decision import Finish, SetGate, StartSweep
from risk_daemon.errors import CircuitBreakerError, CircuitBreakerException
from risk_daemon.middleware.asgi import CircuitBreakerMiddleware
from risk_daemon.model.clock import ManualClock, SystemClock
from risk_daemon.model.events import EventName, HaltRequested
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.memory_map import MemoryMap
from risk_daemon.state.lock.redis import RedisLock
from risk_daemon.state.lock.redis_address import RedisAddress
from risk_daemon.state.risk_file import RiskFile
from tests.core_world import World, amounts, perp
from tests.redis_server import RedisServer
from tests.seeds.common import ask, guarded, lose, profile, publish, why

MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
ACCOUNT = UUID("00000000-0000-4000-8000-000000000001")


def zen(action: Action = Action.FREEZE) -> DailyLossCircuitBreaker:
    return DailyLossCircuitBreaker(max_daily_loss_pct=Decimal("0.03"), action=action)


def evening(rule: BaseCircuitBreaker, before_midnight_s: float = 600.0) -> World:
    return guarded(rule, clock=ManualClock(wall=MIDNIGHT - before_midnight_s))


async def requested(guard: CircuitBreakerMiddleware, method: str, path: str) -> tuple[int, dict[str, Any]]:
    """Status and body of a request to the guarded application."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await guard({"type": "http", "method": method, "path": path, "headers": []}, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(body or b"{}")


async def order_service(scope: Any, receive: Any, send: Any) -> None:
    """Takes every request."""
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


def guard_of(directory: Path, routes: Sequence[str] = ("POST /orders",)) -> CircuitBreakerMiddleware:
    return CircuitBreakerMiddleware(order_service, TradingGate(directory), guard=routes)


# --- overview ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "state"), [("0.0299", "ACTIVE"), ("0.03", "TRIGGERED"), ("0.031", "TRIGGERED")])
def test_000_01_reaching_three_percent_in_a_day_freezes_everything(loss: str, state: str) -> None:
    world = guarded(zen())
    lose(world, loss)
    assert world.state == state
    for venue, symbol in (("spot", "BTC/USDT"), ("perp", "BTC/USDT:USDT")):
        assert why(ask(world, venue=venue, symbol=symbol)) == ("daily_loss" if state == "TRIGGERED" else None)
    world.run(60.0)
    assert not world.actions(Finish), "frozen, it stays up"


async def test_000_02_every_route_that_sends_orders_can_be_guarded(tmp_path: Path) -> None:
    world = guarded(zen())
    lose(world, "0.03")
    publish(world, tmp_path)
    routes = ("POST /orders", "PUT /orders/{id}", "PATCH /orders/*", "POST /v2/**/orders", "* /positions/close")
    guard = guard_of(tmp_path, routes)
    for method, path in (
        ("POST", "/orders"),
        ("PUT", "/orders/17"),
        ("PATCH", "/orders/17"),
        ("POST", "/v2/accounts/9/orders"),
        ("DELETE", "/positions/close"),
    ):
        assert (await requested(guard, method, path))[0] == 423
    assert (await requested(guard, "DELETE", "/orders/17"))[0] == 201, "a cancel always passes"
    assert (await requested(guard, "GET", "/orders"))[0] == 201


def test_000_03_zen_mode_is_a_profile() -> None:
    settings = load_config(profile("zen-3-percent.toml"))
    daily = next(rule for rule in build_rules(settings) if rule.name == "daily_loss")
    assert daily.describe()["limits"] == {"max_daily_loss_pct": 0.03}
    assert daily.action is Action.FREEZE
    assert (settings.baselines.reset_at.isoformat(), settings.baselines.timezone) == ("00:00:00", "UTC")


# --- 21.1 daily drawdown -------------------------------------------------------------------------------


def test_000_04_realised_and_unrealised_losses_of_all_accounts_add_up() -> None:
    """100 realised on one account, 200 unrealised on the other: 3 % of 10,000."""
    world = guarded(zen())
    world.prices["perp"]["BTC/USDT:USDT"] = world.prices["perp"]["BTC/USDT"]
    world.ledger_dead.clear()
    world.stream_position("perp", perp("0.1", 50_000))
    world.stream_price("BTC/USDT:USDT", 50_000, "perp")
    world.holdings["spot"] = amounts(USDT=5_000)
    world.stream_balances("spot", BTC=0, USDT=5_000)
    world.run(5.0)
    world.stream_balances("spot", USDT=4_900)
    world.run(70.0)
    assert world.state == "ACTIVE", "1 % is realised"
    world.stream_price("BTC/USDT:USDT", 48_000, "perp")
    world.run(1.0)
    assert world.state == "TRIGGERED"
    tripped = world.records(EventName.BREAKER_TRIPPED)[0].fields
    assert tripped["observed"]["loss_ratio"] == 0.03


def test_000_05_the_turn_that_takes_the_change_in_judges_it() -> None:
    """No reading of a table and no schedule lies between; milliseconds are for the benchmarks."""
    world = guarded(zen())
    decision = world.stream_price("BTC/USDT", 47_000)
    judged = {verdict.breaker: verdict for verdict in decision.verdicts}["daily_loss"]
    assert judged.breached
    shut = next(d for d in world.decisions if any(isinstance(a, SetGate) and a.gate.locked for a in d.actions))
    assert shut.now == decision.now


def test_000_16_the_daily_drawdown_of_each_account_is_published(tmp_path: Path) -> None:
    """Without a rule for it, and over a new day."""
    world = evening(zen(), 90.0)
    lose(world, "0.02")
    document = publish(world, tmp_path)
    losses = {venue: row["daily_loss_ratio"] for venue, row in document["venues"].items()}
    assert (document["daily_loss_ratio"], losses) == (0.02, {"spot": 0.04, "perp": 0.0})
    assert json.loads((tmp_path / "risk.json").read_text())["venues"]["spot"]["daily_loss_ratio"] == 0.04
    world.run(120.0)
    assert publish(world, tmp_path)["venues"]["spot"]["daily_loss_ratio"] == 0.0, "a new day"
    lose(world, "0.03")
    assert publish(world, tmp_path)["venues"]["spot"]["daily_loss_ratio"] == pytest.approx(100 / 4800)


def test_000_16_an_account_that_is_not_known_has_no_drawdown(tmp_path: Path) -> None:
    world = World(rules=lambda: [zen()])
    document = publish(world, tmp_path)
    assert [row["daily_loss_ratio"] for row in document["venues"].values()] == [None, None]


# --- 21.2 middleware -----------------------------------------------------------------------------------


async def test_000_12_orders_are_answered_423_while_frozen(tmp_path: Path) -> None:
    world = evening(zen())
    publish(world, tmp_path)
    guard = guard_of(tmp_path)
    assert (await requested(guard, "POST", "/orders"))[0] == 201
    lose(world, "0.03")
    publish(world, tmp_path)
    status, body = await requested(guard, "POST", "/orders")
    assert status == 423
    assert (body["title"], body["veto_reason"]) == ("Locked", "daily_loss")
    assert datetime.fromisoformat(body["locked_until"]).timestamp() == MIDNIGHT


def test_000_13_the_middleware_is_asked_for_an_account(tmp_path: Path) -> None:
    world = guarded(zen())
    publish(world, tmp_path)
    assert guard_of(tmp_path).check_breaker(ACCOUNT) is True
    lose(world, "0.03")
    publish(world, tmp_path)
    with pytest.raises(CircuitBreakerException):
        guard_of(tmp_path).check_breaker(account_id=ACCOUNT)
    assert issubclass(CircuitBreakerException, CircuitBreakerError)


def test_000_14_an_account_that_is_a_venue_is_judged_with_its_own_halt(tmp_path: Path) -> None:
    world = guarded(zen())
    world.send(HaltRequested("odd fills", "anna", venue="spot"))
    publish(world, tmp_path)
    assert why(ask(world, venue="spot")) == "manual_halt"
    with pytest.raises(CircuitBreakerException, match="manual_halt"):
        guard_of(tmp_path).check_breaker("spot")
    assert guard_of(tmp_path).check_breaker("perp")
    assert guard_of(tmp_path).check_breaker(ACCOUNT), "it names no venue: the gate alone"


def test_000_14_all_accounts_stand_behind_one_gate(tmp_path: Path) -> None:
    world = guarded(zen())
    lose(world, "0.03")
    publish(world, tmp_path)
    for account in (ACCOUNT, uuid4(), "an account by name"):
        with pytest.raises(CircuitBreakerException):
            guard_of(tmp_path).check_breaker(account)


def test_000_15_the_sentence_is_made_of_the_limit_that_is_told(tmp_path: Path) -> None:
    world = guarded(zen())
    lose(world, "0.035")
    document = publish(world, tmp_path)
    document["lock"]["limits"] = {"max_daily_loss_pct": 0.03}
    RiskFile(tmp_path / "risk.json").write(document, SystemClock().now(), force=True)
    with pytest.raises(CircuitBreakerException) as raised:
        guard_of(tmp_path).check_breaker(ACCOUNT)
    assert str(raised.value) == "Zen Mode Active: -3% Limit Hit"


@pytest.mark.parametrize(("limit", "sentence"), [("0.03", "-3%"), ("0.045", "-4.5%")])
def test_000_15_the_sentence_has_the_limit_that_was_hit(limit: str, sentence: str, tmp_path: Path) -> None:
    world = guarded(DailyLossCircuitBreaker(max_daily_loss_pct=Decimal(limit), action=Action.FREEZE))
    lose(world, "0.05")
    publish(world, tmp_path)
    with pytest.raises(CircuitBreakerException) as raised:
        guard_of(tmp_path).check_breaker(ACCOUNT)
    assert str(raised.value) == f"Zen Mode Active: {sentence} Limit Hit"


# --- 21.3 the lock -------------------------------------------------------------------------------------


def test_000_19_frozen_is_remembered_for_the_rest_of_the_day() -> None:
    world = evening(zen(), 300.0)
    lose(world, "0.03")
    world.run(10.0)
    world.restart(down_s=60.0)
    assert world.gate == "daily_loss"
    world.begin()
    lose(world, "0")
    world.run(30.0)
    assert world.gate == "daily_loss", "though the loss is made good"


def test_000_19_redis_remembers_it_until_midnight_over_restarts_of_both(tmp_path: Path) -> None:
    world = evening(zen(), 300.0)
    lose(world, "0.03")
    world.run(10.0)
    gate = world.engine.gate
    server = RedisServer(tmp_path).start("--appendonly", "yes")

    async def put() -> None:
        lock, now = RedisLock(RedisAddress.of(server.url)), SystemClock().now()
        await lock.write(LockRecord(gate.locked, gate.cause or "", gate.trip_id, now.wall, gate.until_wall), now)
        await lock.aclose()

    try:
        asyncio.run(put())
        server.kill()
        server.start("--appendonly", "yes")
        answer = TradingGate(redis=server.url, redis_timeout_s=1.0).peek()
        assert (answer.allowed, answer.veto_reason, answer.trip_id) == (False, "daily_loss", gate.trip_id)
        assert answer.locked_until == "2026-11-20T00:00:00.000000Z"
        server.ask("FLUSHALL")
        assert not TradingGate(redis=server.url, redis_timeout_s=1.0).is_open(), "who remembers nothing is locked"
    finally:
        server.kill()


def test_000_20_it_ends_at_midnight_utc() -> None:
    world = evening(zen(), 60.0)
    lose(world, "0.03")
    assert world.engine.gate.until_wall == MIDNIGHT
    world.run(MIDNIGHT - world.clock.now().wall - 1.0)
    assert world.gate == "daily_loss"
    world.run(20.0)
    assert (world.state, world.gate) == ("ACTIVE", "open")
    assert world.records(EventName.FREEZE_EXPIRED)


@pytest.mark.parametrize(("action", "gate"), [(Action.FREEZE, "open"), (Action.TRIP, "daily_loss")])
def test_000_21_midnight_ends_a_freeze_and_never_a_trip(action: Action, gate: str) -> None:
    world = evening(zen(action), 60.0)
    lose(world, "0.03")
    world.run(90.0)
    assert world.clock.now().wall > MIDNIGHT + 15.0
    assert world.gate == gate


def test_000_22_bots_ask_memory_and_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often they ask, nothing is opened and nothing is read but the map."""
    MemoryMap(tmp_path / "gate.bin").write(LockRecord(locked=False), SystemClock().now())
    gate = TradingGate(tmp_path)
    assert gate.is_open()

    def fail(*args: object, **kwargs: object) -> None:
        raise AssertionError("something was opened")

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", fail)
        patch.setattr("os.open", fail)
        patch.setattr(sqlite3, "connect", fail)
        asked = [gate.is_open() for _ in range(1_000)]
    assert all(asked)


def test_000_32_a_freeze_cancels_all_open_orders() -> None:
    world = guarded(zen())
    lose(world, "0.03")
    [sweep] = world.actions(StartSweep)
    assert isinstance(sweep, StartSweep)
    assert world.engine.trip is not None
    assert sweep.trip_id == world.engine.trip.trip_id
    assert world.records(EventName.SWEEP_STARTED)[0].fields["venues"] == ["perp", "spot"]


def test_000_33_the_drawdown_of_the_moment(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from risk_daemon import cli

    world = guarded(zen())
    lose(world, "0.02")
    (tmp_path / "var").mkdir()
    publish(world, tmp_path / "var")
    (tmp_path / "config.toml").write_text(
        '[portfolio]\ninitial_capital = 10000\n[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\n'
    )
    cli.main(["check-drawdown", "--json", "--config", str(tmp_path / "config.toml")])
    told = json.loads(capsys.readouterr().out)
    assert told["running"] is False, "no daemon answers in this test, and that is said"
    assert told["last_known"]["drawdown_ratio"] == 0.02


def test_000_33_the_loss_of_the_day_and_its_limit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Through the command: of everything, and of each account."""
    from risk_daemon import cli

    world = guarded(zen())
    lose(world, "0.0305")
    (tmp_path / "var").mkdir()
    publish(world, tmp_path / "var")
    config_of = ["--config", str(tmp_path / "config.toml")]
    (tmp_path / "config.toml").write_text(
        '[portfolio]\ninitial_capital = 10000\n[venues.spot]\nexchange = "kraken"\nmarkets = ["spot"]\n'
    )
    cli.main(["check-drawdown", *config_of])
    out = capsys.readouterr().out
    assert "Loss since the start of the day  3.05 % (limit 3.00 %)" in out
    assert "Loss of the day on spot          6.10 % (no rule for it is on)" in out
    cli.main(["check-drawdown", "--json", *config_of])
    told = json.loads(capsys.readouterr().out)["last_known"]
    assert (told["daily_loss_ratio"], told["daily_loss"]) == (0.0305, "305")
    assert told["rules"]["daily_loss"]["limits"] == {"max_daily_loss_pct": 0.03}
    assert told["venues"]["spot"] == {"equity": "4695", "daily_loss_ratio": 0.061}
