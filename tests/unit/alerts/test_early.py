"""What is told too early waits in its order, and a trip always finds a place."""

from __future__ import annotations

from functools import partial

from risk_daemon.alerts.early import Early
from risk_daemon.model.event_names import EventName, RiskEvent

LOST = RiskEvent(EventName.VENUE_LOST)
TRIP = RiskEvent(EventName.CIRCUIT_BREAKER_TRIGGERED, {"trip_id": "t"})


async def test_it_is_done_later_in_order_and_from_then_on_at_once() -> None:
    done, lost = list[str](), list[Exception]()
    early = Early(lost.append, at_most=2)
    for name, records in [("1", [LOST]), ("2", [LOST]), ("3", [LOST]), ("trip", [TRIP]), ("own", [])]:
        early.do(partial(done.append, name), records)
    assert (done, len(lost), early.has_begun, early.trip_id) == ([], 1, False, "t")
    early.begin()
    assert done == ["1", "2", "trip", "own"], "what did not fit is said to be lost, and no trip is"
    early.do(partial(done.append, "now"), [LOST])
    assert done[-1] == "now"
    await early.begun()


async def test_one_that_fails_takes_no_other_with_it() -> None:
    done, lost = list[str](), list[Exception]()
    early = Early(lost.append)
    early.do(partial(int, "x"))
    early.do(partial(done.append, "2"))
    early.begin()
    assert (done, [type(error) for error in lost]) == (["2"], [ValueError])
