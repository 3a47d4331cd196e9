"""Other settings for an engine that runs: what goes on, what begins, what is refused, and when it acts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from risk_daemon.breakers import DailyLossCircuitBreaker, DrawdownCircuitBreaker, OrderRateCircuitBreaker
from risk_daemon.breakers.base import Action, BaseCircuitBreaker, BreakerState, EvaluationContext, Verdict
from risk_daemon.breakers.blind import BlindSettings
from risk_daemon.breakers.capital_loss import CapitalLossSettings
from risk_daemon.engine.decision import Decision, StartSweep
from risk_daemon.engine.reconfiguration import Reconfiguration
from risk_daemon.engine.settings import ListingSettings
from risk_daemon.gate.pretrade import PreTradeSettings
from risk_daemon.model.account import OrderSide
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.events import (
    DisableRequested,
    EventName,
    HaltRequested,
    Kind,
    ListingFailed,
    OrderReported,
    OrdersListed,
    SweepFinished,
)
from tests.core_world import World, engine_settings, with_
from tests.seeds.common import OUT_OF_THE_WAY, ask, guarded, lose, why

STAYS: Mapping[str, BaseCircuitBreaker | None] = {}


def daily(limit: str = "0.05", action: Action = Action.VETO, **more: Any) -> DailyLossCircuitBreaker:
    return DailyLossCircuitBreaker(max_daily_loss_pct=Decimal(limit), action=action, **more)


def event(world: World, rules: Mapping[str, BaseCircuitBreaker | None], *looser: str, **tables: Any) -> Reconfiguration:
    settings = with_(world.engine.settings, **tables)
    return Reconfiguration(settings=settings, rules=rules, looser=looser, facts={"file": "config.toml"})


def reload(
    world: World, rules: Mapping[str, BaseCircuitBreaker | None] = STAYS, *looser: str, **tables: Any
) -> Decision:
    return world.send(event(world, rules, *looser, **tables))


def taken(decision: Decision) -> bool:
    assert decision.answer is not None
    return decision.answer.accepted


def refusal(decision: Decision) -> str:
    assert decision.answer is not None
    assert not decision.answer.accepted
    assert EventName.CONFIGURATION_RELOADED not in {record.name for record in decision.records}
    return decision.answer.reason


def names(world: World) -> list[str]:
    return [rule.name for rule in world.engine.manager.get_all_breakers()]


# --- what is taken ---------------------------------------------------------------------------------------


def test_it_is_one_line_of_the_log_and_the_gate_stays_open() -> None:
    world = guarded(daily())
    decision = reload(world, {"daily_loss": daily("0.04")})
    assert taken(decision)
    assert [record.fields for record in decision.records if record.name == EventName.CONFIGURATION_RELOADED] == [
        {"file": "config.toml"}
    ]
    assert world.gate == "open"
    lose(world, "0.045")
    assert world.gate == "daily_loss"


def test_a_rule_that_is_as_it_was_is_the_same_one_with_all_it_knows() -> None:
    world = guarded(daily(), OrderRateCircuitBreaker(10))
    before = world.engine.manager.get_breaker("daily_loss")
    taken(reload(world, {"daily_loss": None, "order_rate": OrderRateCircuitBreaker(5)}))
    assert world.engine.manager.get_breaker("daily_loss") is before
    assert world.engine.manager.get_breaker("order_rate").describe()["limits"]["max_orders"] == 5


def test_rules_are_in_the_order_of_the_new_file() -> None:
    world = guarded(daily())
    taken(reload(world, {"drawdown": DrawdownCircuitBreaker(Decimal("0.2")), "daily_loss": None}))
    assert names(world) == ["capital_loss", "manual", "drawdown", "daily_loss", "blind"]


def test_a_rate_counts_what_was_sent_before_it_was_changed() -> None:
    world = guarded(OrderRateCircuitBreaker(10))
    for number in range(4):
        world.send(OrderReported("spot", "BTC/USDT", OrderSide.BUY, "alice", client_order_id=f"c{number}"))
    assert ask(world, client_order_id="a").allowed
    assert taken(reload(world, {"order_rate": OrderRateCircuitBreaker(3)}))
    assert why(ask(world, client_order_id="b")) == "order_rate"


def test_a_veto_that_holds_goes_on_under_a_stricter_limit() -> None:
    world = guarded(daily("0.03"))
    lose(world, "0.035")
    reason = world.engine.manager.get_breaker("daily_loss").get_trip_reason()
    assert taken(reload(world, {"daily_loss": daily("0.02")}))
    assert world.gate == "daily_loss"
    rule = world.engine.manager.get_breaker("daily_loss")
    assert rule.state is BreakerState.TRIPPED
    assert rule.get_trip_reason() != reason  # while a veto lasts, it tells what is seen now
    lose(world, "0.025")
    assert world.gate == "daily_loss"
    lose(world, "0.01")
    assert world.gate == "open"


def test_a_rule_that_is_new_has_seen_nothing_and_looks_at_once() -> None:
    world = guarded()
    lose(world, "0.045")
    assert taken(reload(world, {"daily_loss": daily("0.04")}))
    assert world.gate == "daily_loss"
    assert len(world.records(EventName.BREAKER_TRIPPED)) == 1


def test_another_rule_under_the_same_name_takes_nothing_over() -> None:
    world = guarded(daily("0.03", name="mine"))
    lose(world, "0.035")
    assert world.gate == "daily_loss"
    assert taken(reload(world, {"mine": DrawdownCircuitBreaker(Decimal("0.5"), name="mine")}))  # said to be no looser
    assert world.engine.manager.get_breaker("mine").state is BreakerState.NORMAL


def test_single_orders_are_judged_by_the_new_limits() -> None:
    world = guarded()
    assert ask(world).allowed
    assert taken(reload(world, pretrade=PreTradeSettings(max_notional=Decimal(100))))
    assert why(ask(world)) == "max_notional"
    assert taken(reload(world, pretrade=PreTradeSettings(duplicate_window_s=60.0)))
    assert ask(world).allowed
    assert why(ask(world)) == "duplicate_order"


def test_ages_of_data_act_in_the_same_turn() -> None:
    world = guarded(daily("0.05"))
    world.dead.add("perp")
    world.run(20.0)
    assert world.engine.portfolio.interval().is_trusted
    stale = dict.fromkeys(Kind, 10.0)
    decision = reload(world, {"daily_loss": None}, portfolio={"stale_s": stale})
    assert taken(decision)
    assert not world.engine.portfolio.interval().is_trusted
    assert world.engine.portfolio.settings.stale_after_s("perp", Kind.BALANCES) == 10.0


def test_blindness_goes_on_and_its_times_are_the_new_ones() -> None:
    world = guarded(daily("0.05"))
    world.dead |= {"spot", "perp"}
    world.run(50.0)
    assert world.records(EventName.BLIND_STARTED)
    assert world.gate == "open"
    assert taken(reload(world, {"daily_loss": None}, blind=BlindSettings(1.0, 2.0, None)))
    assert world.engine.manager.get_breaker("blind").state is BreakerState.TRIPPED
    assert world.gate == "blind"


def test_listings_are_missed_sooner() -> None:
    scopes = {"spot": frozenset({"plain"})}
    world = World(with_(engine_settings(), listing=ListingSettings(scopes, {"spot": 15.0}))).start()
    world.send(OrdersListed("spot", "plain", world.now, ()))
    world.run(20.0)
    assert world.gate == "open"
    world.send(ListingFailed("spot", "plain", world.now, "timeout"))
    world.run(10.0)
    assert world.gate == "open"
    assert taken(reload(world, listing={"veto_after_s": 5.0}))
    assert world.gate == "unlistable:spot"


def test_a_warning_that_nobody_would_take_back_is_taken_back() -> None:
    world = guarded(daily("0.05", warnings=("0.02",)))
    lose(world, "0.03")
    assert world.state == "WARNING"
    assert taken(reload(world, {}, "daily_loss is taken out"))
    assert world.state == "ACTIVE"


def test_a_warning_that_still_stands_is_told_anew() -> None:
    world = guarded(daily("0.05", warnings=("0.02",)))
    lose(world, "0.03")
    assert taken(reload(world, {"daily_loss": daily("0.05", warnings=("0.01", "0.025"))}))
    assert world.state == "WARNING"
    told = [record.fields["warning_threshold"] for record in world.records(EventName.WARNING_TRIGGERED)]
    assert told == [0.02, 0.025]


def test_the_lookback_of_peaks_grows() -> None:
    world = guarded()
    assert taken(reload(world, baselines={"lookback_days": None}))
    world.run(1.0)
    assert world.engine.baselines.settings.lookback_days is None
    assert world.engine.baselines.peak is not None


# --- a limit that is passed already --------------------------------------------------------------------------


def test_a_limit_that_is_passed_is_told_beforehand_and_acts_like_any_breach() -> None:
    world = guarded()
    lose(world, "0.045")
    stricter = {"capital_loss": CapitalLossSettings(limit=Decimal("0.04"), warnings=())}
    [verdict] = world.engine.passed_already(event(world, {}, **stricter), world.clock.now())
    assert (verdict.breaker, verdict.action) == ("capital_loss", Action.TRIP)
    assert verdict.breached
    assert (world.gate, world.state) == ("open", "ACTIVE")
    assert taken(reload(world, {}, **stricter))
    assert world.gate == "confirming"
    world.run(1.0)
    assert world.state == "TRIGGERED"
    assert len(world.actions(StartSweep)) == 1


def test_what_is_not_passed_or_not_new_is_not_told() -> None:
    world = guarded(daily("0.03"))
    lose(world, "0.035")
    asked = event(world, {"daily_loss": None, "drawdown": DrawdownCircuitBreaker(Decimal("0.5"))})
    assert world.engine.passed_already(asked, world.clock.now()) == ()


# --- what is refused -----------------------------------------------------------------------------------------


def test_while_a_trip_stands_nothing_is_taken() -> None:
    world = guarded()
    world.send(HaltRequested("drill", "op"))
    assert "a trip stands" in refusal(reload(world, {"daily_loss": daily("0.01")}))
    assert "daily_loss" not in names(world)
    assert world.gate == "manual_halt"


def test_while_a_breach_is_confirmed_nothing_is_taken_and_the_old_limit_ends_it() -> None:
    world = guarded(capital_loss=CapitalLossSettings(limit=Decimal("0.05"), warnings=()))
    world.stream_price("BTC/USDT", 50_000 - Decimal("0.06") * 100_000)
    assert world.gate == "confirming"
    assert "being confirmed" in refusal(reload(world, {}, "loss_threshold 5 % -> 9 %", capital_loss=OUT_OF_THE_WAY))
    world.run(1.0)
    assert world.state == "TRIGGERED"


def test_a_freeze_is_ended_as_it_was_set_and_then_stricter_is_taken_and_looser_is_not() -> None:
    world = guarded(daily("0.03", Action.FREEZE))
    world.sweeps_take_s = None
    lose(world, "0.035")
    assert world.engine.trip is not None
    assert "being emptied" in refusal(reload(world, {"daily_loss": daily("0.02", Action.FREEZE)}))
    world.send(SweepFinished(world.engine.trip.trip_id, True, 0, 0.1))
    assert "is looser (daily_loss 3 % -> 9 %)" in refusal(
        reload(world, {"daily_loss": daily("0.09", Action.FREEZE)}, "daily_loss 3 % -> 9 %")
    )
    assert taken(reload(world, {"daily_loss": daily("0.02", Action.FREEZE)}))
    assert world.engine.trip.is_freeze
    assert world.engine.manager.get_breaker("daily_loss").state is BreakerState.TRIPPED
    assert world.gate == "daily_loss"


def test_a_freeze_becomes_a_trip_where_the_file_says_so() -> None:
    world = guarded(daily("0.03", Action.FREEZE))
    lose(world, "0.035")
    world.run(4.0)
    assert world.engine.trip is not None
    assert world.engine.trip.proven
    assert taken(reload(world, {"daily_loss": daily("0.03", Action.TRIP)}))
    world.run(1.0)
    assert not world.engine.trip.is_freeze


def test_looser_is_taken_while_the_gate_is_open_only() -> None:
    world = guarded(daily("0.03"))
    assert taken(reload(world, {"daily_loss": daily("0.04")}, "daily_loss 3 % -> 4 %"))
    lose(world, "0.045")
    assert world.gate == "daily_loss"
    said = refusal(reload(world, {}, "daily_loss is taken out"))
    assert "no moment for that (loss of 4.50 % since the start of the day" in said
    assert world.gate == "daily_loss"


def test_looser_waits_for_the_first_baseline_and_stricter_does_not() -> None:
    world = World(with_(engine_settings(), capital_loss=OUT_OF_THE_WAY), rules=lambda: (daily("0.03"),))
    world.begin()
    assert world.gate != "open"
    assert "is not complete yet" in refusal(reload(world, {"daily_loss": daily("0.04")}, "daily_loss 3 % -> 4 %"))
    assert taken(reload(world, {"daily_loss": daily("0.02")}))
    world.run(12.0)
    assert world.gate == "open"


def test_looser_is_not_taken_while_nobody_acts() -> None:
    world = guarded(daily("0.03"))
    world.send(DisableRequested(60.0, "maintenance", "op"))
    assert "is disabled" in refusal(reload(world, {}, "daily_loss is taken out"))


def test_a_halt_of_one_bot_is_nobody_elses_matter() -> None:
    world = guarded(daily("0.03"))
    world.send(HaltRequested("drill", "op", bot="alice"))
    assert taken(reload(world, {"daily_loss": daily("0.04")}, "daily_loss 3 % -> 4 %"))
    assert why(ask(world)) == "manual_halt"


# --- rules of the user's own ----------------------------------------------------------------------------------


class Own(BaseCircuitBreaker):
    """Remembers what it is told, and may fail at taking it back."""

    fails = False

    def __init__(self) -> None:
        super().__init__(CircuitBreakerType.CUSTOM, "own")
        self.memory = 0

    def evaluate(self, context: EvaluationContext, now: Any) -> Verdict:
        self.memory += 1
        return Verdict(breaker=self.name, breaker_type=self.breaker_type, action=self.action)

    def snapshot(self) -> dict[str, Any]:
        return {**super().snapshot(), "memory": self.memory}

    def restore(self, data: Mapping[str, Any]) -> None:
        if self.fails:
            raise KeyError("memory")
        super().restore(data)
        self.memory = data["memory"]


def test_a_rule_of_ones_own_takes_its_state_back_as_after_a_restart() -> None:
    world = guarded(Own())
    old: Any = world.engine.manager.get_breaker("own")
    new = Own()
    assert taken(reload(world, {"own": new}))
    assert world.engine.manager.get_breaker("own") is new
    assert new.memory == old.memory + 1


def test_one_that_fails_at_it_refuses_the_whole_and_nothing_is_changed() -> None:
    world = guarded(Own(), daily("0.03"))
    old, new = world.engine.manager.get_breaker("own"), Own()
    new.fails = True
    said = refusal(reload(world, {"daily_loss": daily("0.02"), "own": new}, capital_loss=CapitalLossSettings()))
    assert "does not take its state back: KeyError" in said
    assert world.engine.manager.get_breaker("own") is old
    assert names(world) == ["capital_loss", "manual", "own", "daily_loss", "blind"]
    assert world.engine.settings.capital_loss == OUT_OF_THE_WAY


def test_what_is_persisted_from_then_on_are_the_states_of_the_new_rules() -> None:
    world = guarded(daily("0.03"), DrawdownCircuitBreaker(Decimal("0.5")))
    assert reload(world, {"daily_loss": daily("0.02")}, "drawdown is taken out").persist
    assert set(world.engine.snapshot()["breakers"]) == {"capital_loss", "manual", "daily_loss", "blind"}
