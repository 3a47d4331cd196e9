"""Rates in the daemon: orders and errors."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from risk_daemon.baselines.baselines import Baselines
from risk_daemon.breakers import (
    Action,
    BaseCircuitBreaker,
    ErrorRateCircuitBreaker,
    EvaluationContext,
    OrderRateCircuitBreaker,
    Verdict,
    VolatilityCircuitBreaker,
)
from risk_daemon.gate.activity import Activity, Teller
from risk_daemon.gate.restraints import OrderRequest
from risk_daemon.model.clock import Instant, ManualClock
from risk_daemon.model.events import ErrorKind

NOW = Instant(1_000.0, 1_700_000_000.0)
D = Decimal


def later(seconds: float) -> Instant:
    return Instant(NOW.mono + seconds, NOW.wall + seconds)


def look(rule: BaseCircuitBreaker, activity: Activity, now: Instant = NOW) -> Verdict:
    return rule.evaluate(EvaluationContext(None, None, Baselines(), activity=activity), now)


def ordered(count: int) -> Activity:
    activity = Activity()
    for _ in range(count):
        activity.record_order(NOW.mono)
    return activity


# --- orders ----------------------------------------------------------------------------------------------


def test_more_than_the_limit_breaches_and_the_limit_itself_does_not() -> None:
    rule = OrderRateCircuitBreaker(100)
    assert not look(rule, ordered(100)).breached
    verdict = look(rule, ordered(101))
    assert (verdict.breached, verdict.action, verdict.cause) == (True, Action.VETO, "order_rate")
    assert verdict.reason == "101 orders in 60 s, limit 100"
    assert verdict.observed == {"orders": 101}
    assert verdict.limits == {"max_orders": 100, "window_s": 60.0}


def test_orders_age_out() -> None:
    rule, activity = OrderRateCircuitBreaker(2, 10), ordered(3)
    assert look(rule, activity, later(9.9)).breached
    assert rule.settle(look(rule, activity, later(9.9)))
    assert rule.settle(look(rule, activity, later(10)))
    assert not rule.is_tripped


def test_one_order_more_is_vetoed_before_it_would_breach() -> None:
    rule = OrderRateCircuitBreaker(2)
    assert rule.veto(ordered(1), NOW) is None
    veto = rule.veto(ordered(2), NOW)
    assert veto is not None
    assert (veto.veto_reason, veto.observed) == ("order_rate", {"orders": 2})
    assert rule.veto(ordered(2), later(60)) is None


def test_orders_of_all_bots_add_up() -> None:
    rule, activity = OrderRateCircuitBreaker(2), Activity()
    for bot in ("a", "b", None):
        activity.record_order(NOW.mono, bot=bot)
    assert look(rule, activity).breached


def test_a_rate_may_warn() -> None:
    rule = OrderRateCircuitBreaker(10, warnings=(5, 8))
    assert [look(rule, ordered(n)).warning for n in (4, 5, 8, 11)] == [None, D(5), D(8), D(8)]
    assert [look(rule, ordered(n)).cleared for n in (4, 5)] == [True, False]


def test_the_daemon_is_not_held_by_a_clock_of_the_rule() -> None:
    """What the daemon's verdicts tripped is not cleared because the rule itself counted nothing."""
    rule = OrderRateCircuitBreaker(1)
    rule.settle(look(rule, ordered(2)))
    rule.refresh()
    assert rule.is_tripped
    assert not rule.can_trade()


def test_what_the_daemon_tripped_is_not_cleared_by_what_a_program_recorded() -> None:
    clock = ManualClock()
    rule = OrderRateCircuitBreaker(2, clock=clock)
    rule.record_order()
    rule.settle(look(rule, ordered(3)))
    clock.advance(1_000)
    assert not rule.can_trade()


# --- errors ----------------------------------------------------------------------------------------------


def failed(*errors: tuple[str | None, str | None, ErrorKind, int]) -> Activity:
    activity = Activity()
    for bot, venue, kind, count in errors:
        for _ in range(count):
            activity.record_error(NOW.mono, kind, bot=bot, venue=venue)
    return activity


def test_one_bot_on_one_venue_breaches_beyond_the_limit() -> None:
    rule = ErrorRateCircuitBreaker(10, 60, scope="bot")
    rejected, lost = ErrorKind.ORDER_REJECTED, ErrorKind.CONNECTION
    assert not look(rule, failed(("a", "kraken", rejected, 10))).breached
    verdict = look(rule, failed(("a", "kraken", rejected, 8), ("a", "kraken", lost, 3), ("b", "kraken", lost, 5)))
    assert verdict.breached
    by_kind = {"connection": 3, "order_rejected": 8}
    held = [{"bot": "a", "venue": None, "count": 11}]
    assert verdict.observed == {"bot": "a", "venue": "kraken", "errors": 11, "by_kind": by_kind, "held": held}
    assert verdict.limits == {"max_errors": 10, "window_s": 60.0, "scope": "bot", "max_errors_total": None}
    assert verdict.reason == "11 errors of bot a on kraken in 60 s (connection 3, order_rejected 8), limit 10"
    assert verdict.cause == "error_rate"


def held(verdict: Verdict) -> list[tuple[str | None, str | None, int]] | None:
    """Whom it holds against; None: everybody."""
    rows = verdict.observed.get("held")
    return None if rows is None else [(row["bot"], row["venue"], row["count"]) for row in rows]


def test_all_counts_everything_together_as_the_documents_have_it() -> None:
    kind = ErrorKind.ORDER_REJECTED
    verdict = look(ErrorRateCircuitBreaker(10), failed(("a", "x", kind, 9), ("b", "x", kind, 9), ("c", "y", kind, 9)))
    assert (verdict.breached, held(verdict), verdict.observed["errors"]) == (True, None, 27)
    assert look(ErrorRateCircuitBreaker(10), failed(("a", "x", kind, 10), ("a", "y", kind, 10))).breached


def test_errors_of_different_bots_do_not_add_up_and_those_of_one_do() -> None:
    kind = ErrorKind.BROKER
    activity = failed(("a", "x", kind, 6), ("a", "y", kind, 6), ("b", "x", kind, 10), (None, "x", kind, 10))
    assert held(look(ErrorRateCircuitBreaker(10, scope="bot"), activity)) == [("a", None, 12)]
    assert held(look(ErrorRateCircuitBreaker(10, scope="venue"), activity)) == [(None, "x", 26)]


def test_what_no_bot_said_concerns_its_venue_and_what_nobody_said_everybody() -> None:
    kind = ErrorKind.DATA_FEED
    rule = ErrorRateCircuitBreaker(10, scope="bot")
    assert held(look(rule, failed((None, "x", kind, 11)))) == [(None, "x", 11)]
    nobodys = look(rule, failed((None, None, kind, 11)))
    assert (nobodys.breached, held(nobodys)) == (True, None)


@pytest.mark.parametrize("scope", ["bot", "venue"])
def test_one_party_alone_never_stops_the_others_and_some_together_do(scope: str) -> None:
    rule, kind = ErrorRateCircuitBreaker(10, 60, scope=scope, max_errors_total=10), ErrorKind.BROKER
    one = look(rule, failed(("a", "x", kind, 5_000)))
    assert held(one) is not None
    two = look(rule, failed(("a", "x", kind, 5_000), ("b", "y", kind, 5)))
    assert held(two) is not None, "half is left to the others"
    three = look(rule, failed(("a", "x", kind, 9), ("b", "y", kind, 4), ("c", "z", kind, 2)))
    assert (three.breached, held(three), three.observed["errors_in_all"]) == (True, None, 11)
    assert "11 errors in all in 60 s, limit 10" in three.reason


def test_a_veto_holds_against_whom_it_names_and_a_trip_against_all() -> None:
    kind = ErrorKind.BROKER
    for action, whom in ((None, ["a"]), (Action.TRIP, [None])):
        rule = ErrorRateCircuitBreaker(10, scope="bot", action=action)
        rule.settle(look(rule, failed(("a", "x", kind, 12))))
        assert [one.bot for one in rule.restraints(False)] == whom


def test_another_one_that_goes_too_far_is_told_of_too() -> None:
    rule, kind = ErrorRateCircuitBreaker(10, scope="bot"), ErrorKind.BROKER
    assert rule.settle(look(rule, failed(("a", "x", kind, 12))))
    assert not rule.settle(look(rule, failed(("a", "x", kind, 13))))
    assert rule.settle(look(rule, failed(("a", "x", kind, 13), ("b", "x", kind, 12))))
    assert [one.bot for one in rule.restraints(False)] == ["a", "b"]
    assert not rule.settle(look(rule, failed(("b", "x", kind, 12))))
    assert rule.settle(look(rule, failed(("b", "x", kind, 1))))
    assert not rule.is_tripped


# --- orders by bot ---------------------------------------------------------------------------------------


def sent(**bots: int) -> Activity:
    """So many orders of each bot; `nobody` is one that is not known."""
    activity = Activity()
    for bot, count in bots.items():
        for _ in range(count):
            activity.record_order(NOW.mono, venue="x", bot=None if bot == "nobody" else bot)
    return activity


def an_order(bot: str | None) -> OrderRequest:
    return OrderRequest("x", "BTC/USDT", "buy", D(1), bot=bot)


def test_one_bots_orders_are_its_own() -> None:
    rule = OrderRateCircuitBreaker(10, scope="bot", max_orders_total=20)
    activity = sent(a=10, b=3)
    assert rule.veto(activity, NOW, an_order("b")) is None
    veto = rule.veto(activity, NOW, an_order("a"))
    assert veto is not None
    assert veto.reason == "10 orders of bot a in 60 s, limit 10"
    assert held(look(rule, sent(a=500, b=3))) == [("a", None, 500)]
    assert rule.veto(sent(a=500, b=3), NOW, an_order("b")) is None


def test_orders_of_nobody_and_of_all_together_concern_everybody() -> None:
    rule = OrderRateCircuitBreaker(10, scope="bot", max_orders_total=20)
    nobodys = look(rule, sent(nobody=11))
    assert (nobodys.breached, held(nobodys)) == (True, None)
    together = look(rule, sent(a=9, b=9, c=9))
    assert (together.breached, held(together), together.observed["orders_in_all"]) == (True, None, 27)
    assert rule.veto(sent(a=7, b=7, c=6), NOW, an_order("d")) is not None, "not one more"


# --- bots that are halted, tokens that are revoked ---------------------------------------------------------


def test_what_a_bot_says_that_was_set_aside_counts_against_nobody_else() -> None:
    rule, kind = ErrorRateCircuitBreaker(10), ErrorKind.BROKER
    activity = failed(("evil", "x", kind, 50), ("good", "x", kind, 2))
    assert look(rule, activity).breached
    activity.set_aside(frozenset({"evil"}))
    assert not look(rule, activity).breached
    activity.set_aside(frozenset())
    assert look(rule, activity).breached
    activity.forget("evil")
    assert not look(rule, activity).breached
    assert look(rule, activity).observed["errors"] == 2


@pytest.mark.parametrize("end", ["set_aside", "forget"])
def test_orders_that_a_venue_showed_count_whoever_sent_them(end: str) -> None:
    rule, activity = OrderRateCircuitBreaker(10), Activity()
    for number in range(30):
        activity.record_order(
            NOW.mono, venue="x", symbol="s", side="buy", bot="evil", order_id=str(number), teller=Teller.BOT
        )
    for number in range(12):
        activity.record_order(NOW.mono, venue="x", symbol="s", side="buy", order_id=str(number), teller=Teller.VENUE)
    assert activity.order_count(NOW.mono, 60.0) == 30
    activity.set_aside(frozenset({"evil"})) if end == "set_aside" else activity.forget("evil")
    assert sum(activity.order_counts(NOW.mono, 60.0, for_others=True).values()) == 12
    assert look(rule, activity).breached


def test_whose_order_it_was_may_turn_out_later() -> None:
    activity = Activity()
    activity.record_order(NOW.mono, venue="x", symbol="s", side="buy", order_id="1", teller=Teller.VENUE)
    assert activity.order_counts(NOW.mono, 60.0) == {(None, "x"): 1}
    activity.record_order(NOW.mono, venue="x", symbol="s", side="buy", order_id="1", bot="a", teller=Teller.BOT)
    assert activity.order_counts(NOW.mono, 60.0) == {("a", "x"): 1}
    activity.set_aside(frozenset({"a"}))
    assert activity.order_counts(NOW.mono, 60.0, for_others=True) == {("a", "x"): 1}


def test_expected_errors_do_not_count() -> None:
    assert look(ErrorRateCircuitBreaker(1), failed(("a", "x", ErrorKind.EXPECTED, 50))).observed == {"errors": 0}


def test_errors_age_out() -> None:
    rule, activity = ErrorRateCircuitBreaker(1, 300), failed(("a", "x", ErrorKind.BROKER, 2))
    assert look(rule, activity, later(299)).breached
    assert not look(rule, activity, later(300)).breached


@pytest.mark.parametrize("rule", [OrderRateCircuitBreaker, ErrorRateCircuitBreaker])
@pytest.mark.parametrize(
    ("limit", "window_s", "more"),
    [
        *((limit, 60, {}) for limit in (0, -1, True, 1.5, "5", 10**6)),
        *((5, window_s, {}) for window_s in (0, -1, 3_601, float("nan"))),
        (5, 60, {"warnings": (6,)}),
    ],
)
def test_limits_that_limit_nothing_are_refused(rule: Any, limit: Any, window_s: Any, more: Any) -> None:
    with pytest.raises(ValueError):
        rule(limit, window_s, **more)


def test_rates_need_no_confirmation_and_losses_do() -> None:
    assert not OrderRateCircuitBreaker.needs_confirmation
    assert not ErrorRateCircuitBreaker.needs_confirmation
    assert VolatilityCircuitBreaker.needs_confirmation
