"""The patch set: a drawdown of the peak that vetoes new orders, and how it is published."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from risk_daemon.app.rules import build_rules
from risk_daemon.baselines.baselines import Baselines, BaselineSettings, PortfolioDDState, get_portfolio_dd_state
from risk_daemon.breakers import DrawdownCircuitBreaker, OrderRateCircuitBreaker
from risk_daemon.breakers.base import Action
from risk_daemon.cli.risk_limits import (
    CircuitBreakerConfig,
    RiskLimitsConfig,
    config_text,
    load_risk_limits,
    normalize_percentage,
    remarks,
)
from risk_daemon.config.load import load as load_config
from risk_daemon.engine.decision import Finish, StartSweep
from risk_daemon.errors import ConfigError
from risk_daemon.gate.pretrade import PreTradeSettings
from risk_daemon.gate.restraints import Veto
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import EventName
from risk_daemon.runtime.status import status_of
from risk_daemon.state.veto_log import VetoLog, VetoRecord
from tests.core_world import World, engine_settings
from tests.seeds.common import ask, guarded, lose, order, publish, why

LIMIT = Decimal("0.10")
# What a reader of risk.json could rely on before the circuit was added.
FIELDS_BEFORE = {"time", "equity", "loss_ratio", "drawdown_ratio", "state", "locked", "lock", "breakers", "venues"}


def circuit(limit: Decimal = LIMIT) -> DrawdownCircuitBreaker:
    """The rule as the patch set has it: it vetoes, and measures from the highest value ever."""
    return DrawdownCircuitBreaker(limit, lookback_days=None, action=Action.VETO)


def limits_file(directory: Path, document: object) -> Path:
    file = directory / "risk_limits.json"
    file.write_text(json.dumps(document))
    return file


def veto_of(world: World) -> Veto:
    veto = ask(world).veto
    assert veto is not None
    return veto


# --- objective -----------------------------------------------------------------------------------------


def test_001_01_the_drawdown_is_a_part_of_the_peak() -> None:
    world = guarded(circuit())
    world.stream_price("BTC/USDT", 70_000)
    world.run(31.0)
    assert world.engine.baselines.peak == Decimal(12_000)
    world.stream_price("BTC/USDT", 58_000)
    world.run(1.0)
    assert world.engine.figures(world.clock.now())["drawdown_ratio"] == 0.10


def test_001_02_it_vetoes_and_neither_cancels_nor_ends_anything() -> None:
    world = guarded(circuit())
    lose(world, "0.15")
    assert [why(ask(world, side=side, bot=bot)) for side in ("buy", "sell") for bot in ("alice", None)] == [
        "portfolio_dd_circuit"
    ] * 4
    world.run(120.0)
    assert not world.actions(StartSweep)
    assert not world.actions(Finish)
    assert world.state == "ACTIVE"


def test_001_03_the_circuit_is_in_the_risk_state(tmp_path: Path) -> None:
    world = guarded(circuit())
    lose(world, "0.15")
    publish(world, tmp_path)
    written = json.loads((tmp_path / "risk.json").read_text())
    assert written["portfolio_dd_pct"] == 0.15
    assert written["circuit_breaker"]["active"] is True


def test_001_04_the_reason_has_its_name() -> None:
    world = guarded(circuit())
    lose(world, "0.15")
    assert veto_of(world).veto_reason == "portfolio_dd_circuit"


# --- configuration -------------------------------------------------------------------------------------


def test_001_07_the_block_and_its_fraction(tmp_path: Path) -> None:
    file = limits_file(tmp_path, {"circuit_breakers": {"max_portfolio_dd_nav_pct": 0.10}})
    assert load_risk_limits(file).circuit_breakers.max_portfolio_dd_nav_pct == 0.10


@pytest.mark.parametrize(
    "document", [{}, {"circuit_breakers": {}}, {"circuit_breakers": None}, {"circuit_breakers": {"other": 1}}]
)
def test_001_08_missing_is_disabled_and_said(document: object, tmp_path: Path) -> None:
    limits = load_risk_limits(limits_file(tmp_path, document))
    assert limits.circuit_breakers.max_portfolio_dd_nav_pct is None
    assert "DISABLED" in next(remarks(limits))


def test_001_08_null_is_disabled(tmp_path: Path) -> None:
    file = limits_file(tmp_path, {"circuit_breakers": {"max_portfolio_dd_nav_pct": None}})
    limits = load_risk_limits(file)
    assert limits.circuit_breakers.max_portfolio_dd_nav_pct is None
    made = tmp_path / "config.toml"
    made.write_text(config_text(limits, "risk_limits.json"))
    assert build_rules(load_config(made)) == ()


# --- loader --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("written", "ratio"), [(0.10, 0.10), (10, 0.10), (10.0, 0.10), (0.05, 0.05), (5, 0.05)])
def test_001_09_one_function_reads_fractions_and_percent(written: float, ratio: float, tmp_path: Path) -> None:
    assert normalize_percentage(written) == ratio
    file = limits_file(tmp_path, {"circuit_breakers": {"max_portfolio_dd_nav_pct": written}})
    assert load_risk_limits(file).circuit_breakers.max_portfolio_dd_nav_pct == ratio


@pytest.mark.parametrize("written", ["0.10", True, -0.1, 0, 101, [0.1]])
def test_001_09_what_is_no_percentage_is_refused(written: object, tmp_path: Path) -> None:
    file = limits_file(tmp_path, {"circuit_breakers": {"max_portfolio_dd_nav_pct": written}})
    with pytest.raises(ConfigError, match="max_portfolio_dd_nav_pct"):
        load_risk_limits(file)


def test_001_10_the_field_is_an_optional_float() -> None:
    assert get_type_hints(CircuitBreakerConfig)["max_portfolio_dd_nav_pct"] == float | None
    assert get_type_hints(RiskLimitsConfig)["circuit_breakers"] is CircuitBreakerConfig


def test_001_11_the_configuration_of_the_circuit() -> None:
    assert CircuitBreakerConfig(max_portfolio_dd_nav_pct=0.10).max_portfolio_dd_nav_pct == 0.10
    assert CircuitBreakerConfig().max_portfolio_dd_nav_pct is None


def test_001_12_other_fields_are_named_and_change_nothing(tmp_path: Path) -> None:
    block = {"circuit_breakers": {"max_portfolio_dd_nav_pct": 0.10}}
    alone = load_risk_limits(limits_file(tmp_path, block))
    among = load_risk_limits(limits_file(tmp_path, {**block, "max_leverage": 3, "per_trade": {"cap": 0.02}}))
    assert among.circuit_breakers == alone.circuit_breakers
    assert among.other_keys == ("max_leverage", "per_trade.cap")
    assert any("max_leverage, per_trade.cap" in remark for remark in remarks(among))


# --- drawdown function ---------------------------------------------------------------------------------


def test_001_13_three_floats() -> None:
    assert is_dataclass(PortfolioDDState)
    assert [field.name for field in fields(PortfolioDDState)] == ["current_dd_pct", "peak_nav_usd", "latest_nav_usd"]
    state = get_portfolio_dd_state([1000, 968])
    assert state is not None
    assert asdict(state) == {"current_dd_pct": 0.032, "peak_nav_usd": 1000.0, "latest_nav_usd": 968.0}
    assert {type(value) for value in asdict(state).values()} == {float}


def test_001_14_any_sequence_of_numbers_will_do() -> None:
    expected = PortfolioDDState(0.10, 1200.0, 1080.0)
    for history in ([1000, 1200, 1080], (1000.0, 1200.0, 1080.0)):
        assert get_portfolio_dd_state(history) == expected
    assert get_portfolio_dd_state(nav_history=[1000, 1200, 1080]) == expected


@pytest.mark.parametrize(
    "history", [[], [0], [0, 0.0, -5], [-1000, -900], [1000, None], [1000, float("nan")], [float("inf")], [None]]
)
def test_001_15_none_for_what_can_not_be_known(history: Sequence[float | None]) -> None:
    assert get_portfolio_dd_state(history) is None


def test_001_16_the_formula() -> None:
    state = get_portfolio_dd_state([900, 1600, 1500, 1360])
    assert state == PortfolioDDState((1600 - 1360) / 1600, 1600.0, 1360.0)


def test_001_17_without_a_positive_peak_it_is_unknown_and_not_zero() -> None:
    assert get_portfolio_dd_state([-10, -20]) is None
    below = get_portfolio_dd_state([1000, 0])
    assert below is not None
    assert below.current_dd_pct == 1.0, "a last sample of zero counts in full"
    gone = get_portfolio_dd_state([1000, -500])
    assert gone is not None
    assert gone.current_dd_pct == 1.5


@pytest.mark.parametrize("history", [[1000, 1100, 1200], [1000, 1200, 1080], [500, 2000, 1990, 100], [7, 3, 5]])
def test_001_18_the_function_the_rule_and_the_daemon_agree(history: list[int]) -> None:
    clock, baselines, rule = ManualClock(), Baselines(BaselineSettings()), DrawdownCircuitBreaker(LIMIT, None)
    for worth in history:
        rule.can_trade(Decimal(worth))
        for _ in range(30):
            baselines.observe(Decimal(worth), clock.advance(1.0), trusted=True, rest_mono=clock.now().mono, agreed=True)
    state = get_portfolio_dd_state(history)
    ratio = baselines.drawdown_ratio(Decimal(history[-1]))
    assert state is not None
    assert ratio is not None
    assert float(ratio) == pytest.approx(state.current_dd_pct, abs=1e-12)
    assert rule.is_tripped is any(
        (max(history[: n + 1]) - history[n]) / max(history[: n + 1]) >= 0.10 for n in range(len(history))
    )


@pytest.mark.parametrize(
    ("history", "drawdown"),
    [([1000, 1100, 1200], 0.0), ([1, 2, 3, 4], 0.0), ([1000, 900], 0.10), ([500, 1000, 900], 0.10)],
)
def test_001_19_rising_and_ten_percent_off_the_peak(history: list[float], drawdown: float) -> None:
    state = get_portfolio_dd_state(history)
    assert state is not None
    assert state.current_dd_pct == pytest.approx(drawdown)


def test_001_19_empty_is_none() -> None:
    assert get_portfolio_dd_state([]) is None


# --- veto ----------------------------------------------------------------------------------------------


def test_001_20_the_circuit_is_looked_at_before_the_limits_of_single_orders() -> None:
    world = guarded(circuit(), pretrade=PreTradeSettings(max_notional=Decimal(100)))
    assert why(ask(world)) == "max_notional"
    lose(world, "0.15")
    assert why(ask(world)) == "portfolio_dd_circuit"


@pytest.mark.parametrize(("loss", "vetoed"), [("0.0999", False), ("0.10", True), ("0.1001", True)])
def test_001_21_at_the_limit_itself_it_vetoes(loss: str, vetoed: bool) -> None:
    world = guarded(circuit())
    lose(world, loss)
    assert (why(ask(world)) == "portfolio_dd_circuit") is vetoed


def test_001_22_what_was_seen_and_which_limit_holds() -> None:
    world = guarded(circuit())
    lose(world, "0.15")
    veto = veto_of(world)
    assert veto.observed == {"current_dd_pct": 0.15, "peak_nav_usd": 10_000.0, "latest_nav_usd": 8_500.0}
    assert veto.limits == {"max_portfolio_dd_nav_pct": 0.10}


def test_001_22_what_was_seen_is_what_is_seen_now() -> None:
    """A veto that lasts tells of the present drawdown, not of the one it began with."""
    world = guarded(circuit())
    lose(world, "0.15")
    lose(world, "0.20")
    assert veto_of(world).observed["latest_nav_usd"] == 8_000.0


def test_001_23_without_a_limit_there_is_no_circuit() -> None:
    world = guarded()
    lose(world, "0.80")
    assert ask(world).allowed
    assert status_of(world.engine, world.clock.now(), {}).document()["circuit_breaker"]["active"] is False


def test_001_24_no_data_is_refused_for_its_own_reason_and_never_for_drawdown() -> None:
    world = World(engine_settings(), rules=lambda: (circuit(),))
    assert why(ask(world)) == "starting"
    seeing = guarded(circuit())
    seeing.dead.update(seeing.expected)
    seeing.run(120.0)
    assert why(ask(seeing)) == "blind"


def test_001_25_below_the_limit_the_other_checks_go_on() -> None:
    world = guarded(circuit(), pretrade=PreTradeSettings(max_quantity=Decimal("0.02")))
    lose(world, "0.05")
    assert ask(world).allowed
    assert why(ask(world, quantity=Decimal("0.03"))) == "max_quantity"


def test_001_26_one_veto_an_order_and_the_circuit_comes_first() -> None:
    world = guarded(circuit(), OrderRateCircuitBreaker(1), pretrade=PreTradeSettings(max_notional=Decimal(100)))
    lose(world, "0.15")
    for _ in range(3):
        assert why(ask(world)) == "portfolio_dd_circuit"
    world.run(2.0)
    told = [*world.records(EventName.ORDER_VETOED), *world.engine.last_words()]
    assert sum(record.fields["count"] for record in told) == 3
    assert {reason for record in told for reason in record.fields["by_reason"]} == {"portfolio_dd_circuit"}


async def test_001_27_every_veto_is_a_line_with_reason_and_payload(tmp_path: Path) -> None:
    world = guarded(circuit())
    lose(world, "0.15")
    log = VetoLog.open(tmp_path / "risk_vetoes.jsonl")
    now = world.clock.now().wall
    log.append([VetoRecord(now, order(client_order_id=f"o{number}"), veto_of(world)) for number in range(3)])
    await asyncio.wait_for(log.close(), 5.0)
    lines = [json.loads(line) for line in (tmp_path / "risk_vetoes.jsonl").read_text().splitlines()]
    assert [line["client_order_id"] for line in lines] == ["o0", "o1", "o2"]
    for line in lines:
        assert line["veto_reason"] == "portfolio_dd_circuit"
        assert line["observed"] == {"current_dd_pct": 0.15, "peak_nav_usd": 10_000.0, "latest_nav_usd": 8_500.0}
        assert line["limits"] == {"max_portfolio_dd_nav_pct": 0.10}


# --- risk state ----------------------------------------------------------------------------------------


def risk_state(world: World, directory: Path) -> dict[str, Any]:
    publish(world, directory)
    document: dict[str, Any] = json.loads((directory / "risk.json").read_text())
    return document


def test_001_28_the_drawdown_is_a_field(tmp_path: Path) -> None:
    world = guarded(circuit())
    lose(world, "0.032")
    assert risk_state(world, tmp_path)["portfolio_dd_pct"] == 0.032


@pytest.mark.parametrize(("loss", "active"), [("0.05", False), ("0.10", True), ("0.15", True)])
def test_001_29_limit_and_whether_it_is_reached(loss: str, active: bool, tmp_path: Path) -> None:
    world = guarded(circuit())
    lose(world, loss)
    told = risk_state(world, tmp_path)["circuit_breaker"]
    assert told["max_portfolio_dd_nav_pct"] == 0.10
    assert told["active"] is active


def test_001_29_active_is_what_the_rule_says(tmp_path: Path) -> None:
    """A rule that looks back a week has forgotten a peak that the state remembers for a month."""
    rule = DrawdownCircuitBreaker(LIMIT, lookback_days=7, action=Action.VETO)
    world = guarded(rule)
    lose(world, "0.09")
    world.restart(down_s=8 * 86_400.0)
    world.begin()
    world.run(20.0)
    lose(world, "0.12")
    told = risk_state(world, tmp_path)["circuit_breaker"]
    assert told["active"] is (why(ask(world)) == "portfolio_dd_circuit")


def test_001_30_it_is_a_number(tmp_path: Path) -> None:
    world = guarded(circuit())
    lose(world, "0.032")
    publish(world, tmp_path)
    assert '"portfolio_dd_pct":0.032' in (tmp_path / "risk.json").read_text().replace(" ", "")


def test_001_31_what_was_there_before_is_still_there(tmp_path: Path) -> None:
    assert risk_state(guarded(circuit()), tmp_path).keys() >= FIELDS_BEFORE


def test_001_32_disabled_and_unknown_are_null_and_not_absent(tmp_path: Path) -> None:
    disabled = risk_state(guarded(), tmp_path)
    assert disabled["portfolio_dd_pct"] == 0.0
    assert disabled["circuit_breaker"]["max_portfolio_dd_nav_pct"] is None
    assert disabled["circuit_breaker"]["active"] is False
    unknown = risk_state(World(engine_settings(), rules=lambda: (circuit(),)), tmp_path)
    assert unknown["portfolio_dd_pct"] is None
    assert unknown["circuit_breaker"]["max_portfolio_dd_nav_pct"] == 0.10
    assert unknown["circuit_breaker"]["active"] is False


def test_001_34_it_ends_by_itself_when_the_worth_recovers() -> None:
    world = guarded(circuit())
    lose(world, "0.15")
    assert why(ask(world)) == "portfolio_dd_circuit"
    lose(world, "0.09")
    assert ask(world).allowed


# --- tests that it asks for ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("history", "drawdown"), [([1000, 1100, 1200], 0.0), ([1000, 1200, 1080], (1200 - 1080) / 1200), ([], None)]
)
def test_001_35_the_three_histories(history: list[float], drawdown: float | None) -> None:
    state = get_portfolio_dd_state(history)
    assert (None if state is None else state.current_dd_pct) == drawdown


@pytest.mark.parametrize(
    ("limit", "loss", "reason"), [(None, "0.5", None), ("0.10", "0.05", None), ("0.10", "0.15", "portfolio_dd_circuit")]
)
def test_001_36_the_three_scenarios(limit: str | None, loss: str, reason: str | None) -> None:
    world = guarded(*(() if limit is None else (circuit(Decimal(limit)),)))
    lose(world, loss)
    answer = ask(world)
    assert why(answer) == reason
    if answer.veto is not None:
        assert answer.veto.observed["current_dd_pct"] == pytest.approx(0.15)
        assert answer.veto.limits == {"max_portfolio_dd_nav_pct": 0.10}


def test_001_37_the_fields_of_the_risk_state(tmp_path: Path) -> None:
    state = risk_state(guarded(circuit()), tmp_path)
    assert "portfolio_dd_pct" in state
    assert {"max_portfolio_dd_nav_pct", "active"} <= state["circuit_breaker"].keys()


# --- acceptance ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [0.10, 10])
def test_001_39_from_the_file_to_a_veto(written: float, tmp_path: Path) -> None:
    limits = load_risk_limits(limits_file(tmp_path, {"circuit_breakers": {"max_portfolio_dd_nav_pct": written}}))
    made = tmp_path / "config.toml"
    made.write_text(config_text(limits, "risk_limits.json"))
    rules = build_rules(load_config(made))
    world = guarded(*rules)
    lose(world, "0.10")
    assert why(ask(world)) == "portfolio_dd_circuit"
    assert world.state == "ACTIVE"


def test_001_40_sample_histories() -> None:
    samples = {(1000.0, 968.0): 0.032, (1000.0, 886.0): 0.114, (100.0, 200.0, 50.0, 150.0): 0.25, (5.0,): 0.0}
    for history, drawdown in samples.items():
        state = get_portfolio_dd_state(history)
        assert state is not None
        assert state.current_dd_pct == pytest.approx(drawdown)


def test_001_41_never_for_drawdown_when_there_is_no_limit_or_no_history() -> None:
    disabled, unknown = guarded(), World(engine_settings(), rules=lambda: (circuit(),))
    lose(disabled, "0.9")
    assert why(ask(disabled)) != "portfolio_dd_circuit"
    assert why(ask(unknown)) != "portfolio_dd_circuit"


def test_001_42_the_three_fields_through_a_whole_story(tmp_path: Path) -> None:
    world = guarded(circuit())
    seen = []
    for loss in ("0.032", "0.114", "0.05"):
        lose(world, loss)
        told = risk_state(world, tmp_path)
        circuit_told = told["circuit_breaker"]
        seen.append((told["portfolio_dd_pct"], circuit_told["max_portfolio_dd_nav_pct"], circuit_told["active"]))
    assert seen == [(0.032, 0.10, False), (0.114, 0.10, True), (0.05, 0.10, False)]
