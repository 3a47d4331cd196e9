"""What is counted, and that what was read does not change afterwards."""

from __future__ import annotations

import math

from risk_daemon.metrics.counters import TURN_BOUNDS_S, Counters, Durations
from risk_daemon.model.account import OrderSide
from risk_daemon.model.events import ErrorKind, ErrorReported, EventName, OrderReported, RiskEvent


def test_durations_are_counted_by_size_each_bucket_with_those_below() -> None:
    took = Durations((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 3.0):
        took.add(seconds)
    buckets = took.buckets()
    assert buckets.reached == {0.1: 2, 1.0: 3, math.inf: 4}
    assert buckets.sum_s == 3.65


def test_bounds_rise() -> None:
    assert list(TURN_BOUNDS_S) == sorted(set(TURN_BOUNDS_S))


def test_orders_and_errors_by_whose_they_are() -> None:
    counters = Counters()
    for bot in ("a", "a", None):
        counters.reported(OrderReported("kraken", "BTC/USDT", OrderSide.BUY, bot))
    counters.reported(ErrorReported(ErrorKind.BROKER, "a", None, "down"))
    told = counters.counted()
    assert told.orders == {("kraken", "a"): 2, ("kraken", ""): 1}
    assert told.errors == {("broker", "", "a"): 1}


def test_events_by_name_and_how_long_the_last_sweep_took() -> None:
    counters = Counters()
    assert counters.counted().sweep_s is None
    swept = RiskEvent(EventName.SWEEP_FINISHED, {"proven": True, "elapsed_s": 3.5})
    counters.wrote([swept, RiskEvent(EventName.VENUE_LOST, {}), RiskEvent(EventName.VENUE_LOST, {})], 1.0)
    told = counters.counted()
    assert told.events == {"sweep_finished": 1, "venue_lost": 2}
    assert told.sweep_s == 3.5


def test_what_was_read_stays_as_it_was() -> None:
    counters = Counters()
    counters.answers["allowed"] += 1
    before = counters.counted()
    counters.answers["allowed"] += 1
    counters.turns.add(0.5)
    assert before.answers == {"allowed": 1}
    assert before.turns.reached[math.inf] == 0
