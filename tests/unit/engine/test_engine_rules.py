"""Several rules at once: vetoes that come and go, trips that stay, and the answer to single orders."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from risk_daemon.breakers import (
    BaseCircuitBreaker,
    CircuitBreakerType,
    DailyLossCircuitBreaker,
    DrawdownCircuitBreaker,
    ErrorRateCircuitBreaker,
    OrderRateCircuitBreaker,
)
from risk_daemon.breakers.base import Action, EvaluationContext, Verdict
from risk_daemon.breakers.position_loss import PositionLossCircuitBreaker
from risk_daemon.breakers.venue_loss import VenueLossCircuitBreaker
from risk_daemon.breakers.volatility import VolatilityCircuitBreaker
from risk_daemon.engine.decision import SetGate, StartSweep
from risk_daemon.engine.engine import Engine
from risk_daemon.gate.pretrade import PreTradeSettings
from risk_daemon.gate.restraints import OrderAnswer, OrderRequest
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import (
    ErrorKind,
    ErrorReported,
    EventName,
    HaltRequested,
    Order,
    OrderReported,
    OrdersSeen,
    ReleaseRequested,
    Started,
    Tick,
    TokenRevoked,
)
from tests.core_world import BTC_PERP, World, amounts, engine_settings, perp, price, with_


def world_with(*rules: BaseCircuitBreaker, **settings: Any) -> World:
    """10,000 USDT, half of it BTC at 50,000."""
    world = World(with_(engine_settings(), **settings), rules=lambda: rules)
    world.holdings["spot"] = amounts(BTC="0.1")
    world.start()
    world.run(20.0)
    assert world.gate == "open"
    return world


def ask(world: World, **changes: Any) -> OrderAnswer:
    fields: dict[str, Any] = {
        "venue": "spot",
        "symbol": "BTC/USDT",
        "side": "buy",
        "quantity": Decimal("0.01"),
        "price": Decimal(50_000),
        "bot": "alice",
    }
    return world.engine.check_order(OrderRequest(**(fields | changes)), world.clock.now())


def reason(answer: OrderAnswer) -> str | None:
    return None if answer.veto is None else str(answer.veto.veto_reason)


# --- vetoes --------------------------------------------------------------------------------------------


def test_a_drawdown_veto_comes_and_goes_by_itself_and_cancels_nothing() -> None:
    world = world_with(DrawdownCircuitBreaker(Decimal("0.02"), action=Action.VETO))
    world.stream_price("BTC/USDT", 48_000)
    assert (world.state, world.gate) == ("ACTIVE", "portfolio_dd_circuit")
    veto = ask(world).veto
    assert veto is not None
    assert veto.veto_reason == "portfolio_dd_circuit"
    assert veto.observed == {"current_dd_pct": 0.02, "peak_nav_usd": 10_000.0, "latest_nav_usd": 9_800.0}
    assert veto.limits == {"max_portfolio_dd_nav_pct": 0.02}
    world.stream_price("BTC/USDT", 49_000)
    assert world.gate == "open"
    assert ask(world).allowed
    assert world.engine.trip is None
    names = [r.name for r in world.records(EventName.BREAKER_TRIPPED, EventName.BREAKER_RESET)]
    assert names == [EventName.BREAKER_TRIPPED, EventName.BREAKER_RESET]


def test_the_breach_shuts_the_gate_as_the_first_action_of_its_turn() -> None:
    world = world_with(DrawdownCircuitBreaker(Decimal("0.02")))
    decision = world.stream_price("BTC/USDT", 48_000)
    shut = next(d for d in world.decisions if any(isinstance(a, SetGate) and a.gate.locked for a in d.actions[:1]))
    assert shut.seq <= decision.seq
    assert world.gate == "confirming"


def test_two_drawdowns_of_different_lookbacks_and_one_trips() -> None:
    world = world_with(
        DrawdownCircuitBreaker(Decimal("0.04"), 7, name="week", action=Action.VETO),
        DrawdownCircuitBreaker(Decimal("0.045"), None, name="ever"),
    )
    world.stream_price("BTC/USDT", 45_500)
    world.run(1.0)
    assert world.state == "TRIGGERED"
    assert world.gate == "portfolio_dd_circuit"
    assert world.engine.trip is not None
    assert world.engine.trip.breaker == "ever"
    assert world.engine.manager.get_status()["week"] == "TRIPPED"


def test_the_strongest_reason_is_given_first() -> None:
    rules = (
        OrderRateCircuitBreaker(1),
        DrawdownCircuitBreaker(Decimal("0.02"), action=Action.VETO),
        DailyLossCircuitBreaker(max_daily_loss=Decimal(150), action=Action.VETO),
    )
    world = world_with(*rules)
    world.stream_price("BTC/USDT", 48_000)
    for number in range(3):
        world.send(OrderReported("spot", "BTC/USDT", "buy", "alice", order_id=str(number)))
    assert [str(r.cause) for r in world.engine.restraints] == ["portfolio_dd_circuit", "daily_loss", "order_rate"]
    assert world.gate == "portfolio_dd_circuit"


def test_a_daily_loss_in_money_is_not_moved_by_a_flow() -> None:
    world = world_with(DailyLossCircuitBreaker(max_daily_loss=Decimal(300), action=Action.VETO))
    world.run(700.0)
    world.stream_price("BTC/USDT", 48_000)
    world.move_money("perp", "USDT", 90_000)
    world.book_flow("perp", "USDT", 90_000, "deposit")
    world.tell_balance("perp", "USDT")
    world.run(70.0)
    assert world.gate == "open", "200 USDT were lost, however much came in"
    world.stream_price("BTC/USDT", 46_900)
    assert world.gate == "daily_loss"


# --- rates ---------------------------------------------------------------------------------------------


def test_an_order_that_may_be_sent_takes_its_slot() -> None:
    world = world_with(OrderRateCircuitBreaker(3, 60))
    assert [ask(world).allowed for _ in range(5)] == [True, True, True, False, False]
    assert reason(ask(world)) == "order_rate"
    assert world.gate == "open", "exactly as many as allowed were sent"
    world.run(61.0)
    assert ask(world).allowed


def test_orders_nobody_asked_for_shut_the_gate_until_they_age_out() -> None:
    world = world_with(OrderRateCircuitBreaker(3, 60))
    for number in range(4):
        order = Order(
            venue="spot", scope="plain", order_id=f"X{number}", symbol="BTC/USDT", side="buy", order_type="limit"
        )
        world.send(OrdersSeen("spot", world.now, (order,)))
    assert world.gate == "order_rate"
    world.run(61.0)
    assert world.gate == "open"


def test_no_order_is_counted_twice() -> None:
    world = world_with(OrderRateCircuitBreaker(2, 60))
    assert ask(world, client_order_id="mine-1").allowed
    world.send(OrderReported("spot", "BTC/USDT", "buy", "alice", order_id="X1", client_order_id="mine-1"))
    order = Order(
        venue="spot",
        scope="plain",
        order_id="X1",
        symbol="BTC/USDT",
        side="buy",
        order_type="limit",
        client_order_id="mine-1",
    )
    world.send(OrdersSeen("spot", world.now, (order,)))
    world.send(OrdersSeen("spot", world.now, (order,)))
    assert world.engine.books.activity.order_count(world.now, 60) == 1
    assert ask(world).allowed
    assert reason(ask(world)) == "order_rate"


def test_what_was_open_before_the_start_is_not_counted() -> None:
    world = world_with(OrderRateCircuitBreaker(2, 60))
    old = tuple(
        Order(venue="spot", scope="plain", order_id=f"X{n}", symbol="BTC/USDT", side="buy", order_type="limit")
        for n in range(50)
    )
    world.send(OrdersSeen("spot", world.now, old, is_snapshot=True))
    assert world.gate == "open"
    world.send(OrdersSeen("spot", world.now, old))
    assert world.gate == "open"


def test_errors_count_by_bot_and_expected_ones_do_not() -> None:
    world = world_with(ErrorRateCircuitBreaker(3, 60, scope="bot"))
    for _ in range(3):
        world.send(ErrorReported(ErrorKind.BROKER, "alice", "spot"))
        world.send(ErrorReported(ErrorKind.BROKER, "bob", "spot"))
    for _ in range(10):
        world.send(ErrorReported(ErrorKind.EXPECTED, "alice", "spot"))
    assert world.gate == "open"
    assert reason(ask(world, bot="alice")) is None
    world.send(ErrorReported(ErrorKind.CONNECTION, "alice", "spot"))
    assert world.gate == "open", "it is no matter of the others"
    assert reason(ask(world, bot="alice")) == "error_rate"
    assert reason(ask(world, bot="bob")) is None
    assert reason(ask(world, bot=None)) is None
    world.run(61.0)
    assert reason(ask(world, bot="alice")) is None


@pytest.mark.parametrize("end", [HaltRequested("evil", "anna", bot="evil"), TokenRevoked("evil")])
def test_a_bots_reports_end_with_its_halt_or_its_token(end: Any) -> None:
    """Counted over everything, one bot stops all, until somebody stops it."""
    world = world_with(ErrorRateCircuitBreaker(3, 60))
    for _ in range(12):
        world.send(ErrorReported(ErrorKind.ORDER_REJECTED, "evil", "spot"))
    assert world.gate == "error_rate"
    world.send(end)
    assert world.gate == "open"
    assert reason(ask(world, bot="alice")) is None
    world.send(ErrorReported(ErrorKind.ORDER_REJECTED, "evil", "spot"))
    assert world.gate == "open"


def test_a_halted_bot_stays_set_aside_over_a_restart() -> None:
    world = world_with(ErrorRateCircuitBreaker(3, 60))
    world.send(HaltRequested("evil", "anna", bot="evil"))
    world.restart()
    world.begin()
    world.run(12.0)
    for _ in range(12):
        world.send(ErrorReported(ErrorKind.ORDER_REJECTED, "evil", "spot"))
    assert world.gate == "open"
    world.send(ReleaseRequested("fine again", "anna", bot="evil"))
    assert world.gate == "error_rate"


# --- halts of one venue or bot -------------------------------------------------------------------------


def test_a_scoped_halt_concerns_its_orders_only_and_survives_a_restart() -> None:
    world = world_with()
    answer = world.send(HaltRequested("odd fills", "anna", venue="perp")).answer
    assert answer is not None
    assert answer.accepted
    world.send(HaltRequested("runs wild", "anna", bot="bob"))
    assert world.gate == "open"
    assert reason(ask(world, venue="perp", symbol="BTC/USDT:USDT")) == "manual_halt"
    assert reason(ask(world, bot="bob")) == "manual_halt"
    assert ask(world).allowed
    world.restart()
    world.begin()
    world.run(20.0)
    assert reason(ask(world, bot="bob")) == "manual_halt"
    world.send(ReleaseRequested("mended", "anna", bot="bob"))
    assert ask(world, bot="bob").allowed
    unknown = world.send(HaltRequested("typo", "anna", venue="prep")).answer
    assert unknown is not None
    assert not unknown.accepted
    again = world.send(ReleaseRequested("mended", "anna", bot="bob")).answer
    assert again is not None
    assert not again.accepted


# --- rules of the user's own ---------------------------------------------------------------------------


class Falling(BaseCircuitBreaker):
    """Breaches below a price of its own; breaks when told to."""

    def __init__(self, action: Action = Action.VETO, *, breaks: bool = False) -> None:
        super().__init__(CircuitBreakerType.CUSTOM, "mine", action)
        self.breaks = breaks

    def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
        if self.breaks:
            raise ZeroDivisionError("oh")
        low = context.equity is not None and context.equity.high < 9_900
        return Verdict(
            breaker=self.name, breaker_type=self.breaker_type, action=self.action, breached=low, reason="below 9,900"
        )


@pytest.mark.parametrize("action", [Action.VETO, Action.TRIP])
def test_a_rule_of_ones_own_vetoes_or_trips(action: Action) -> None:
    world = world_with(Falling(action))
    world.stream_price("BTC/USDT", 48_500)
    world.run(1.0)
    assert world.gate == "custom:mine"
    assert (world.engine.trip is not None) is (action is Action.TRIP)


@pytest.mark.parametrize("action", [Action.VETO, Action.TRIP])
def test_a_rule_that_raises_is_a_veto_and_is_told(action: Action) -> None:
    rule = Falling(action)
    world = world_with(rule)
    rule.breaks = True
    world.send(Tick())
    assert world.gate == "custom:mine"
    assert world.engine.trip is None
    told = world.records(EventName.BREAKER_TRIPPED)[-1]
    assert "oh" in told.fields["reason"]


# --- limits of single orders ---------------------------------------------------------------------------


def test_limits_of_single_orders_come_last_and_know_the_price() -> None:
    limits = PreTradeSettings(max_notional=Decimal(1_000), price_collar=Decimal("0.05"))
    world = world_with(pretrade=limits)
    assert ask(world).allowed
    assert reason(ask(world, quantity=Decimal("0.03"))) == "max_notional"
    assert reason(ask(world, price=Decimal(60_000))) == "price_collar"
    assert reason(ask(world, symbol="DOGE/USDT")) == "price_unknown"
    assert reason(ask(world, venue="perp", symbol="BTC/USDT:USDT", price=None, quantity=Decimal("0.03"))) is not None


def test_vetoes_are_summed_up_in_the_log_and_none_is_lost() -> None:
    world = world_with(OrderRateCircuitBreaker(1, 60))
    for number in range(50):
        ask(world, bot=f"bot{number % 3}")
        if number % 20 == 0:
            world.run(0.3)
    world.run(2.0)
    told = world.records(EventName.ORDER_VETOED)
    left = world.engine.last_words()
    assert sum(record.fields["count"] for record in (*told, *left)) == 49


# --- one venue's loss ----------------------------------------------------------------------------------


def test_a_venue_that_loses_vetoes_and_a_transfer_between_venues_does_not() -> None:
    world = world_with(VenueLossCircuitBreaker(max_venue_loss_pct=Decimal("0.10")))
    world.run(700.0)
    world.move_money("perp", "USDT", -2_000)
    world.book_flow("perp", "USDT", -2_000)
    world.tell_balance("perp", "USDT")
    world.move_money("spot", "USDT", 2_000)
    world.book_flow("spot", "USDT", 2_000)
    world.tell_balance("spot", "USDT")
    world.run(70.0)
    assert world.gate == "open"
    world.stream_price("BTC/USDT", 42_000)
    world.run(1.0)
    assert world.engine.manager.get_status()["venue_loss"] == "TRIPPED"


# --- a state that was spoilt ---------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["FINE", None, "TRIPPED", "RESETTING"])
def test_a_rule_tripped_for_good_without_a_latch_is_a_trip(state: str | None) -> None:
    world = World(engine_settings(), rules=lambda: (DrawdownCircuitBreaker(),)).start()
    documents = json.loads(json.dumps(world.engine.snapshot()))
    documents["breakers"]["drawdown"]["state"] = state
    engine = Engine(world.settings, (DrawdownCircuitBreaker(),))
    engine.restore(documents, world.clock.now())
    assert engine.gate.locked
    decision = engine.process(Started(), world.clock.now())
    assert decision.after.value == "TRIGGERED"
    assert decision.gate.cause == "portfolio_dd_circuit"
    assert any(isinstance(action, StartSweep) for action in decision.actions)


# --- what a review found -------------------------------------------------------------------------------


def test_a_stronger_veto_takes_neither_the_trip_nor_its_id_off_the_lock() -> None:
    world = world_with(DrawdownCircuitBreaker(Decimal("0.02"), action=Action.VETO))
    world.stream_price("BTC/USDT", 44_000)
    world.run(1.0)
    assert world.state == "TRIGGERED"
    assert world.engine.trip is not None
    assert (world.gate, world.engine.gate.trip_id) == ("capital_loss", world.engine.trip.trip_id)
    veto = ask(world).veto
    assert veto is not None
    assert veto.trip_id == world.engine.trip.trip_id


def test_a_veto_that_was_tripped_by_a_failure_ends_when_the_rule_works_again() -> None:
    rule = Falling(Action.TRIP)
    world = world_with(rule)
    rule.breaks = True
    world.send(Tick())
    assert world.gate == "custom:mine"
    rule.breaks = False
    world.send(Tick())
    assert world.gate == "open"


def test_a_veto_ends_though_its_rule_trips_by_now() -> None:
    rules = [DrawdownCircuitBreaker(Decimal("0.02"), action=Action.VETO)]
    world = World(engine_settings(), rules=lambda: tuple(rules))
    world.holdings["spot"] = amounts(BTC="0.1")
    world.start()
    world.run(20.0)
    world.stream_price("BTC/USDT", 47_900)
    assert world.gate == "portfolio_dd_circuit"
    rules[0] = DrawdownCircuitBreaker(Decimal("0.02"))
    world.restart()
    for venue in world.expected:
        world.prices[venue]["BTC/USDT"] = price("BTC/USDT", 50_000)
    world.begin()
    world.run(20.0)
    assert world.gate == "open"


def day_old_world(rule: BaseCircuitBreaker) -> World:
    world = world_with(rule)
    world.run(60.0)
    return world


def flow(world: World, venue: str, *amounts_moved: int) -> None:
    for moved in amounts_moved:
        world.move_money(venue, "USDT", moved)
        world.book_flow(venue, "USDT", moved)
    world.tell_balance(venue, "USDT")


def test_a_venue_that_was_emptied_by_a_transfer_lost_nothing() -> None:
    world = day_old_world(VenueLossCircuitBreaker(max_venue_loss_pct=Decimal("0.10")))
    world.stream_balances("perp", USDT=4_998)  # fees
    world.run(70.0)
    flow(world, "perp", -4_998)
    world.run(70.0)
    assert world.gate == "open"
    flow(world, "perp", 2_000)
    world.run(70.0)
    assert world.gate == "open"
    world.stream_balances("perp", USDT=1_700)
    world.run(70.0)
    assert world.gate == "venue_loss"


@pytest.mark.parametrize("moved", [(1_000, -900), (1_000, 1_000), (-400, -400)])
def test_several_flows_at_once_move_a_venues_start_once(moved: tuple[int, ...]) -> None:
    world = day_old_world(VenueLossCircuitBreaker(max_venue_loss_pct=Decimal("0.10")))
    flow(world, "perp", *moved)
    world.run(70.0)
    assert world.gate == "open"
    start = world.engine.books.venue_days.start_of("perp").value
    assert start is not None
    assert abs(start - (5_000 + sum(moved))) < 1


def test_what_an_unpriced_coin_cost_is_not_lost_to_its_venue() -> None:
    world = day_old_world(VenueLossCircuitBreaker(max_venue_loss_pct=Decimal("0.20")))
    world.stream_balances("perp", USDT=3_750, NEWCOIN=100)
    world.run(5.0)
    assert world.engine.manager.get_status()["venue_loss"] == "NORMAL"


def test_a_withdrawal_makes_no_volatility() -> None:
    world = day_old_world(VolatilityCircuitBreaker(Decimal("0.50"), action=Action.TRIP))
    world.run(600.0)
    world.run(59.0 - world.clock.now().wall % 60)
    world.move_money("perp", "USDT", -2_500)
    world.tell_balance("perp", "USDT")
    world.run(2.0)
    world.book_flow("perp", "USDT", -2_500)
    world.run(300.0)
    assert world.gate == "open"
    returns = world.engine.books.history.log_returns(3_600.0, world.clock.now())
    assert max((abs(change) for change in returns), default=0.0) < 0.001


def test_a_dead_little_venue_with_a_position_blinds_nobody() -> None:
    world = World(engine_settings(), rules=lambda: (PositionLossCircuitBreaker(max_position_loss=Decimal(2_000)),))
    world.holdings["perp"] = amounts(USDT=10)
    world.positions["perp"] = {BTC_PERP: perp("0.0001", 50_000)}
    world.prices["perp"][BTC_PERP] = price(BTC_PERP, 50_000)
    world.holdings["spot"] = amounts(USDT=9_990)
    world.start()
    world.run(20.0)
    world.dead.add("perp")
    world.run(150.0)
    assert world.gate == "open"


def test_after_a_month_away_the_last_peak_is_still_looked_at() -> None:
    world = World(engine_settings(), rules=lambda: (DrawdownCircuitBreaker(Decimal("0.02"), 7, action=Action.VETO),))
    world.holdings["spot"] = amounts(BTC="0.1")
    world.start()
    world.run(20.0)
    world.restart(down_s=40 * 86_400.0)
    world.prices["spot"]["BTC/USDT"] = price("BTC/USDT", 48_000)
    world.prices["perp"]["BTC/USDT"] = price("BTC/USDT", 48_000)
    world.begin()
    assert world.gate == "portfolio_dd_circuit"


def test_leases_that_nobody_used_hide_no_orders_that_nobody_asked_for() -> None:
    world = world_with(OrderRateCircuitBreaker(10, 10))
    assert all(ask(world).allowed for _ in range(10))
    world.run(10.5)
    for number in range(11):
        order = Order(
            venue="spot", scope="plain", order_id=f"X{number}", symbol="BTC/USDT", side="buy", order_type="limit"
        )
        world.send(OrdersSeen("spot", world.now, (order,)))
    assert world.gate == "order_rate"


def test_orders_that_were_filled_at_once_count_too() -> None:
    world = world_with(OrderRateCircuitBreaker(3, 60))
    for number in range(4):
        order = Order(
            venue="spot", scope="plain", order_id=f"X{number}", symbol="BTC/USDT", side="buy", order_type="market"
        )
        world.send(OrdersSeen("spot", world.now, (), ended=(order,)))
    assert world.gate == "order_rate"


def test_a_release_of_one_halt_is_none_of_a_later_one() -> None:
    world = world_with()
    world.send(HaltRequested("runs wild", "anna", bot="bob"))
    [seen] = world.engine.halts
    world.run(1.0)
    world.send(HaltRequested("runs wild again", "ben", bot="bob"))
    event = ReleaseRequested("mended", "anna", bot="bob", since_wall=seen["since_wall"])
    now = world.clock.now()

    assert "another halt" in (world.engine.why_not(event, now) or "")
    answer = world.send(event).answer
    assert answer is not None
    assert (answer.accepted, reason(ask(world, bot="bob"))) == (False, "manual_halt")
    [later] = world.engine.halts
    fitting = ReleaseRequested("mended", "anna", bot="bob", since_wall=later["since_wall"])
    assert world.engine.why_not(fitting, now) is None
    assert reason(ask(world, bot="bob")) == "manual_halt", "asking releases nothing"
    world.send(fitting)
    assert ask(world, bot="bob").allowed
