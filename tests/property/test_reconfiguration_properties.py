"""Whatever happened before, taking other settings opens nothing, and what is refused changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from risk_daemon.breakers import DailyLossCircuitBreaker, OrderRateCircuitBreaker
from risk_daemon.breakers.base import Action, BaseCircuitBreaker
from risk_daemon.breakers.blind import BlindSettings
from risk_daemon.breakers.capital_loss import CapitalLossSettings
from risk_daemon.engine.engine import Engine, EngineSettings
from risk_daemon.engine.reconfiguration import Reconfiguration
from risk_daemon.gate.pretrade import PreTradeSettings
from risk_daemon.model.events import Kind, Tick
from tests.core_world import World, amounts, engine_settings, price, with_
from tests.property.test_engine_properties import do, steps
from tests.seeds.common import order

# Each from the strictest to the loosest.
CAPITAL = ["0.02", "0.05", "0.2"]
DAILY = ["0.01", "0.03", "0.1", None]
ACTIONS = [Action.TRIP, Action.FREEZE, Action.VETO]
RATES = [1, 5, None]
BLIND_S = [1.0, 30.0, None]
STALE_S = [20.0, 45.0]
NOTIONAL = [100, None]
REDUCING = [False, True]
CHOICES: tuple[list[Any], ...] = (CAPITAL, DAILY, ACTIONS, RATES, BLIND_S, STALE_S, NOTIONAL, REDUCING)

configurations = st.tuples(*(st.integers(0, len(values) - 1) for values in CHOICES))
VETOES = (2, 1, 2, 1, 1, 1, 1, 0)
LOOSER = (2, 2, 2, 1, 1, 1, 1, 0)
STRICTER = (2, 0, 2, 0, 1, 0, 0, 0)


def settings_of(chosen: tuple[int, ...]) -> EngineSettings:
    capital, _, _, _, blind_s, stale_s, notional, reducing = values(chosen)
    return with_(
        engine_settings(),
        capital_loss=CapitalLossSettings(limit=Decimal(capital), warnings=()),
        blind=BlindSettings(1.0, blind_s, None),
        portfolio={"stale_s": dict.fromkeys(Kind, stale_s)},
        pretrade=PreTradeSettings(max_notional=None if notional is None else Decimal(notional)),
        allow_reduce_only=reducing,
    )


def rules_of(chosen: tuple[int, ...]) -> dict[str, BaseCircuitBreaker | None]:
    _, daily, action, rate, *_ = values(chosen)
    rules: dict[str, BaseCircuitBreaker | None] = {}
    if daily is not None:
        rules["daily_loss"] = DailyLossCircuitBreaker(max_daily_loss_pct=Decimal(daily), action=action)
    if rate is not None:
        rules["order_rate"] = OrderRateCircuitBreaker(rate)
    return rules


def values(chosen: tuple[int, ...]) -> list[Any]:
    return [of[index] for of, index in zip(CHOICES, chosen, strict=True)]


def event(old: tuple[int, ...], new: tuple[int, ...], unchanged: bool) -> Reconfiguration:
    rules: Mapping[str, BaseCircuitBreaker | None] = rules_of(new)
    if unchanged:  # as the daemon does where nothing in the table of a rule changed
        rules = {name: None if old[1:4] == new[1:4] else rule for name, rule in rules.items()}
    looser = tuple(str(index) for index, (before, after) in enumerate(zip(old, new, strict=True)) if after > before)
    return Reconfiguration(settings=settings_of(new), rules=rules, looser=looser, facts={})


def passes(engine: Engine, world: World, **changes: Any) -> bool:
    return deepcopy(engine).check_order(order(**changes), world.clock.now()).allowed


ORDERS: list[dict[str, Any]] = [{}, {"bot": "bob"}, {"venue": "perp"}, {"side": "sell", "reduce_only": True}]
changes = st.tuples(st.just("reload"), configurations, st.booleans())
sends = st.tuples(st.just("send"), st.integers(1, 6))


def opened(chosen: tuple[int, ...]) -> World:
    world = World(settings_of(chosen), rules=lambda: [rule for rule in rules_of(chosen).values() if rule is not None])
    world.holdings["spot"] = amounts(BTC="0.06", USDT=2_000)
    world.prices["perp"]["BTC/USDT:USDT"] = price("BTC/USDT:USDT", 50_000)
    return world.start()


def reload(world: World, old: tuple[int, ...], new: tuple[int, ...], *, unchanged: bool) -> tuple[int, ...]:
    """The settings in force from now on, compared with an engine for which nothing but time happened."""
    asked, other = event(old, new, unchanged), deepcopy(world.engine)
    decision, beside = world.send(asked), other.process(Tick(), world.clock.now())
    assert decision.answer is not None
    if beside.gate.locked:
        assert decision.gate.locked
    if not asked.looser or not decision.answer.accepted:
        for changes in ORDERS:
            assert passes(other, world, **changes) or not passes(world.engine, world, **changes)
    if beside.gate.locked and asked.looser:
        assert not decision.answer.accepted
    if not decision.answer.accepted:
        assert world.engine.settings == settings_of(old)
        assert world.engine.manager.get_status() == other.manager.get_status()
        return old
    assert world.engine.settings == replace(settings_of(new))
    assert {*rules_of(new)} == {*world.engine.manager.get_status()} - {"capital_loss", "manual", "blind"}
    return new


# Mostly small losses: at a large one it trips, and then there is little left to be opened.
falls = st.tuples(st.just("price"), st.integers(40_000, 51_000), st.just(True))
histories = st.lists(st.one_of(falls, changes, sends, steps, falls, changes), min_size=2, max_size=10)
A_VETO = [("price", 46_000, True), ("run", 3.0)]


@settings(deadline=None, max_examples=40)
@given(configurations, histories)
@example(VETOES, [*A_VETO, ("reload", LOOSER, False)])
@example(VETOES, [*A_VETO, ("reload", STRICTER, True), ("run", 3.0)])
@example(VETOES, [("send", 6), ("reload", LOOSER, True), ("reload", STRICTER, False)])
@example((2, 1, 1, 1, 1, 1, 1, 0), [*A_VETO, ("ask", "prove"), ("reload", LOOSER, False)])
def test_no_reload_opens_anything(first: tuple[int, ...], history: list[Any]) -> None:
    in_force = first
    world = opened(first)
    for step in history:
        match step:
            case ("reload", new, unchanged):
                in_force = reload(world, in_force, new, unchanged=unchanged)
            case ("send", count):
                for _ in range(count):
                    world.engine.check_order(order(), world.clock.now())
                world.send(Tick())
            case _:
                do(world, step)
