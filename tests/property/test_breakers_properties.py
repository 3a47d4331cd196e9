"""The rules against the plainest way to say the same."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from risk_daemon.baselines.baselines import Baselines, BaselineSettings
from risk_daemon.breakers import (
    Action,
    BreakerState,
    CircuitBreakerType,
    DailyLossCircuitBreaker,
    DrawdownCircuitBreaker,
    EvaluationContext,
    OrderRateCircuitBreaker,
    Verdict,
)
from risk_daemon.breakers.capital_loss import CapitalLossCircuitBreaker, CapitalLossSettings
from risk_daemon.breakers.loss import LossCircuitBreaker
from risk_daemon.breakers.manager import strongest
from risk_daemon.gate.activity import Activity, Teller
from risk_daemon.model.clock import Instant, ManualClock
from risk_daemon.portfolio.manager import Equity

NOW = Instant(2_000.0, 1_700_000_000.0)
START = Decimal(10_000)
LIMIT, WARNING = Decimal("0.10"), Decimal("0.05")
worths = st.integers(5_000, 12_000).map(Decimal)


def begun() -> Baselines:
    baselines = Baselines(BaselineSettings(START))
    for second in (0, 10, 20):
        now = Instant(1_000.0 + second, NOW.wall - 1_000 + second)
        baselines.observe(START, now, trusted=True, rest_mono=now.mono, agreed=True)
    return baselines


BEGUN = begun()
LOSSES: tuple[LossCircuitBreaker, ...] = (
    CapitalLossCircuitBreaker(CapitalLossSettings(LIMIT, (WARNING,))),
    DrawdownCircuitBreaker(LIMIT, warnings=(WARNING,)),
    DailyLossCircuitBreaker(max_daily_loss_pct=LIMIT, warnings=(WARNING,)),
    DailyLossCircuitBreaker(LIMIT * START, warnings=(WARNING * START,)),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(worths, min_size=3, max_size=3).map(sorted), worths)
def test_a_verdict_holds_for_every_worth_in_the_interval(interval: list[Decimal], suspected: Decimal) -> None:
    low, value, high = interval
    looked = EvaluationContext(Equity(value, low, high), suspected, BEGUN)
    at_limit, at_warning = START * (1 - LIMIT), START * (1 - WARNING)
    for rule in LOSSES:
        verdict = rule.evaluate(looked, NOW)
        assert verdict.breached == (high <= at_limit and suspected <= at_limit)
        assert verdict.suspected == (suspected <= at_limit)
        assert verdict.undecided == (low <= at_limit < max(high, suspected))
        assert (verdict.warning is not None) == (high <= at_warning)
        assert verdict.cleared == (low > at_warning)
        assert not (verdict.cleared and (verdict.breached or verdict.undecided or verdict.warning))


@settings(deadline=None, max_examples=200)
@given(st.lists(worths, min_size=1, max_size=30))
def test_with_nothing_unknown_every_rule_about_losses_says_the_same(history: list[Decimal]) -> None:
    for worth in history:
        looked = EvaluationContext(Equity(worth, worth, worth), worth, BEGUN)
        breached = {rule.evaluate(looked, NOW).breached for rule in LOSSES}
        assert breached == {worth <= START * (1 - LIMIT)}


# --- programs --------------------------------------------------------------------------------------------

steps = st.lists(st.tuples(st.integers(0, 5), st.integers(50, 200)), min_size=1, max_size=60)


@settings(deadline=None, max_examples=200)
@given(steps, st.integers(1, 10))
def test_a_program_trips_by_the_highest_value_of_the_lookback(history: list[tuple[int, int]], lookback: int) -> None:
    clock = ManualClock()
    rule = DrawdownCircuitBreaker(Decimal("0.25"), lookback, clock=clock)
    seen: list[tuple[float, int]] = []
    for days, value in history:
        now = clock.advance(days * 86_400.0)
        seen.append((now.mono, value))
        peak = max(worth for mono, worth in seen if mono >= now.mono - lookback * 86_400.0)
        may = rule.can_trade(value)
        assert may is (4 * value > 3 * peak)
        if not may:
            rule.reset()
            seen.clear()


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.floats(0, 400), st.integers(50, 200)), min_size=1, max_size=200))
def test_a_long_history_is_merged_and_never_makes_a_peak_lower(history: list[tuple[float, int]]) -> None:
    clock = ManualClock()
    rule = DrawdownCircuitBreaker(Decimal("0.9999"), 1 / 24, clock=clock)
    seen: list[tuple[float, int]] = []
    for seconds, value in history:
        now = clock.advance(seconds)
        seen.append((now.mono, value))
        peak = rule._peak.add(Decimal(value), now.mono)
        within = [worth for mono, worth in seen if mono >= now.mono - 3_600]
        a_grain_longer = [worth for mono, worth in seen if mono >= now.mono - 3_600 - 3.6]
        assert max(within) <= peak <= max(a_grain_longer)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.floats(0, 30), min_size=1, max_size=80), st.integers(1, 8), st.sampled_from([1, 10, 60]))
def test_a_program_that_asks_first_never_sends_more_than_the_limit(
    pauses: list[float], limit: int, window_s: int
) -> None:
    clock = ManualClock()
    rule = OrderRateCircuitBreaker(limit, window_s, clock=clock)
    sent: list[float] = []
    for pause in pauses:
        now = clock.advance(pause).mono
        recent = [mono for mono in sent if mono > now - window_s]
        assert rule.get_order_count() == len(recent)
        assert rule.can_trade() is (len(recent) < limit)
        assert (rule.state is BreakerState.TRIPPED) is (len(recent) >= limit)
        if rule.can_trade():
            rule.record_order()
            sent.append(now)


# --- activity --------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.floats(0, 20), st.integers(0, 6), st.sampled_from(Teller)), max_size=60))
def test_orders_with_ids_are_counted_once(tellings: list[tuple[float, int, Teller]]) -> None:
    activity, now, first = Activity(), 1_000.0, dict[int, float]()
    for pause, number, teller in tellings:
        now += pause
        is_ask = teller is Teller.GATE
        if is_ask and number in first:
            continue  # each asking is an order of its own
        ids = {"client_order_id": f"c{number}", "order_id": None if is_ask else f"o{number}"}
        told = {"venue": "v", "symbol": "s", "side": "buy", "bot": None if teller is Teller.VENUE else "b", **ids}
        assert activity.record_order(now, teller=teller, **told) is (number not in first)
        first.setdefault(number, now)
        assert activity.order_count(now, 60.0) == sum(mono > now - 60 for mono in first.values())


tellers = st.sampled_from([Teller.BOT, Teller.VENUE])


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.booleans(), st.lists(tellers, max_size=2, unique=True)), max_size=40))
def test_however_little_tellings_have_in_common_no_order_is_lost(orders: list[tuple[bool, list[Teller]]]) -> None:
    """Each may be asked for, reported and streamed, or not; only the stream knows an id."""
    activity, now = Activity(), 1_000.0
    told = [[Teller.GATE] * is_asked + by for is_asked, by in orders]
    for number, by in enumerate(told):
        now += 0.1
        for teller in by:
            order_id = str(number) if teller is Teller.VENUE else None
            activity.record_order(now, venue="v", symbol="s", side="buy", order_id=order_id, teller=teller)
    by_teller = [sum(teller in by for by in told) for teller in Teller]
    assert max(by_teller) <= activity.order_count(now, 60.0) <= sum(bool(by) for by in told)


# --- the strongest ---------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(CircuitBreakerType), st.sampled_from(Action), st.booleans()), max_size=12))
def test_nothing_that_breaches_is_stronger_than_the_strongest(
    said: list[tuple[CircuitBreakerType, Action, bool]],
) -> None:
    verdicts = [
        Verdict(breaker=kind.value, breaker_type=kind, action=action, breached=breached)
        for kind, action, breached in said
    ]
    breached = [verdict for verdict in verdicts if verdict.breached]
    found = strongest(verdicts)
    assert (found is None) == (not breached)
    if found is not None:
        assert found.breached
        assert found.action == max(verdict.action for verdict in breached)
