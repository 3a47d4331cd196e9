"""Who hears what, how often, and what time alone brings: no clock, so hours pass at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from risk_daemon.alerts.alert import Alert, Severity
from risk_daemon.alerts.channels.base import AppriseSettings
from risk_daemon.alerts.decide import decide
from risk_daemon.alerts.routing import HEARTBEAT, HOUR_S, QUIET_S, Router, RoutingSettings, Sends
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.event_names import EventName, RiskEvent


def channel(name: str, **settings: Any) -> AppriseSettings:
    return AppriseSettings(name=name, url="json://127.0.0.1", **settings)


def alert(name: EventName, **fields: Any) -> Alert:
    alert.count += 1  # type: ignore[attr-defined]
    return decide([RiskEvent(name, fields)], 1_700_000_000.0 + alert.count)[0]  # type: ignore[attr-defined]


alert.count = 0  # type: ignore[attr-defined]


def trip(trip_id: str = "trip-1", breaker: str = "drawdown") -> Alert:
    return alert(EventName.CIRCUIT_BREAKER_TRIGGERED, trip_id=trip_id, breaker=breaker, reason="x", action="trip")


def lost(venue: str = "kraken") -> Alert:
    return alert(EventName.VENUE_LOST, venue=venue, reason="no answer")


def veto(count: int = 1) -> Alert:
    return alert(EventName.ORDER_VETOED, count=count, last_reason="the gate is shut")


def names(sends: Sends) -> list[str]:
    return [name for name, _ in sends]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_a_channel_hears_its_severity_and_above_and_only_the_events_it_names(clock: ManualClock) -> None:
    router = Router(
        [
            channel("all", severity=Severity.INFO),
            channel("usual"),
            channel("loud", severity=Severity.CRITICAL),
            channel("vetoes", events=frozenset({EventName.ORDER_VETOED})),
        ]
    )
    assert names(router.take(alert(EventName.BLIND_ENDED), clock.now())) == ["all"]
    assert names(router.take(lost(), clock.now())) == ["all", "usual"]
    assert names(router.take(veto(), clock.now())) == ["all", "usual", "vetoes"]
    assert names(router.take(trip(), clock.now())) == ["all", "usual", "loud"]


def test_a_manual_halt_goes_to_all(clock: ManualClock) -> None:
    router = Router([channel("usual"), channel("vetoes", events=frozenset({EventName.ORDER_VETOED}))])
    assert names(router.take(trip(breaker="manual"), clock.now())) == ["usual", "vetoes"]
    halt = alert(EventName.MANUAL_HALT, operator="ann", reason="x", venue="kraken")
    assert names(router.take(halt, clock.now())) == ["usual", "vetoes"]


def test_100_vetoes_in_a_minute_are_10_messages_and_one_summary_that_counts(clock: ManualClock) -> None:
    router = Router([channel("usual")])
    sent: list[Alert] = []
    for _ in range(50):
        sent += [one for _, one in router.take(veto(2), clock.now())]
        sent += [one for _, one in router.due(clock.advance(1.2))]
    assert len(sent) == 10, "while it lasts, nothing more"

    sent += [one for _, one in router.take(trip(), clock.now())]
    assert sent.pop().event == EventName.CIRCUIT_BREAKER_TRIGGERED, "a trip is not held back"
    router.acknowledge(None, "ann")

    for _ in range(int(QUIET_S) + 1):
        sent += [one for _, one in router.due(clock.advance(1.0))]
    (summary,) = sent[10:]
    assert summary.details["count"] + sum(one.details["count"] for one in sent[:10]) == 100
    assert summary.alert_id not in {one.alert_id for one in sent[:10]}
    assert "80 more of order_vetoed" in summary.summary


def test_after_the_summary_of_a_burst_the_rest_waits_for_the_end_of_the_hour(clock: ManualClock) -> None:
    router = Router([channel("usual")], RoutingSettings(rate=1))
    told = []
    for _ in range(60):
        told += router.take(lost(), clock.now())
        told += router.due(clock.advance(59.0))
    assert len(told) == 2, "one, and the summary of the first burst"
    for _ in range(60):
        told += router.due(clock.advance(59.0))
    assert [one.details.get("count") for _, one in told[2:]] == [58]


def test_each_rule_venue_and_severity_has_a_rate_of_its_own(clock: ManualClock) -> None:
    router = Router([channel("usual")], RoutingSettings(rate=1))
    assert router.take(lost("a"), clock.now())
    assert not router.take(lost("a"), clock.now())
    assert router.take(lost("b"), clock.now())
    assert router.take(alert(EventName.WARNING_TRIGGERED, breaker="drawdown", warning_threshold=0.1), clock.now())
    assert router.take(alert(EventName.WOULD_HAVE_TRIGGERED, breaker="drawdown"), clock.now())


def test_the_rate_is_that_of_the_last_hour(clock: ManualClock) -> None:
    router = Router([channel("usual")], RoutingSettings(rate=2))
    assert router.take(lost(), clock.now())
    clock.advance(HOUR_S / 2)
    assert router.take(lost(), clock.now())
    clock.advance(HOUR_S / 2)
    assert router.take(lost(), clock.now())


def test_no_trip_is_held_back_however_many_there_are(clock: ManualClock) -> None:
    router = Router([channel("usual")], RoutingSettings(rate=1))
    assert [len(router.take(trip(f"trip-{number}"), clock.now())) for number in range(30)] == [1] * 30


def test_a_trip_is_repeated_until_somebody_acknowledges_it_and_goes_to_those_who_are_called_last(
    clock: ManualClock,
) -> None:
    boss = channel("boss", events=frozenset({EventName.OVERRIDE_REFUSED}), escalation=True)
    router = Router([channel("usual"), boss], RoutingSettings(escalate_after_s=150.0))
    assert names(router.take(trip(), clock.now())) == ["usual"]
    assert router.due(clock.advance(59.0)) == []
    told = [router.due(clock.advance(step)) for step in (1.0, 60.0, 60.0)]
    assert [names(sends) for sends in told] == [["usual"], ["usual"], ["usual", "boss"]]
    assert [sends[0][1].alert_id for sends in told] == ["trip-1.2", "trip-1.3", "trip-1.4"]
    assert {one.trip_id for sends in told for _, one in sends} == {"trip-1"}

    assert router.acknowledge("another", "ann") is None
    standing = router.acknowledge("trip-1", "ann")
    assert standing is not None
    assert standing.who == "ann"
    assert router.due(clock.advance(HOUR_S)) == []


def test_those_who_are_called_last_are_called_at_their_own_time(clock: ManualClock) -> None:
    channels = [channel("usual", escalation=True), channel("boss", events=frozenset({"x"}), escalation=True)]
    settings = RoutingSettings(escalate_after_s=90.0)
    before = Router(channels, settings)
    before.take(trip(), clock.now())
    assert names(before.due(clock.advance(60.0))) == ["usual"]
    called = before.due(clock.advance(30.0))
    assert [(name, one.alert_id) for name, one in called] == [("boss", "trip-1.3")], "the others hear at their own"
    router = Router(channels, settings)
    router.restore(json.loads(json.dumps(before.document(clock.now()))), clock.now())
    assert router.due(clock.advance(29.0)) == []
    assert names(router.due(clock.advance(1.0))) == ["usual", "boss"]


def test_who_is_called_last_is_called_before_the_first_repeat_too(clock: ManualClock) -> None:
    router = Router(
        [channel("usual"), channel("boss", events=frozenset({"x"}), escalation=True)],
        RoutingSettings(escalate_after_s=30.0),
    )
    router.take(trip(), clock.now())
    told = [names(router.due(clock.advance(10.0))) for _ in range(6)]
    assert told == [[], [], ["boss"], [], [], ["usual", "boss"]]


def test_after_an_hour_a_trip_is_repeated_more_rarely_but_for_ever(clock: ManualClock) -> None:
    router = Router([channel("usual")])
    router.take(trip(), clock.now())
    times = [second for second in range(0, 12 * 3600, 10) if router.due(clock.advance(10.0))]
    assert len([second for second in times if second <= HOUR_S]) == 60
    assert len([second for second in times if second > HOUR_S]) == 66


@pytest.mark.parametrize("end", [EventName.CIRCUIT_BREAKER_RESET, EventName.FREEZE_EXPIRED])
def test_a_trip_that_is_over_is_not_repeated(clock: ManualClock, end: EventName) -> None:
    router = Router([channel("usual")])
    router.take(trip(), clock.now())
    assert names(router.take(alert(end, trip_id="trip-1", operator="ann", reason="x"), clock.now())) == ["usual"]
    assert router.due(clock.advance(HOUR_S)) == []
    assert router.acknowledge(None, "ann") is None


def swept(*, proven: bool) -> Alert:
    return alert(EventName.SWEEP_FINISHED, trip_id="trip-1", proven=proven, cancelled=3)


def test_a_repeat_says_what_became_of_the_orders_since(clock: ManualClock) -> None:
    """That they are being cancelled is old news once they are gone."""
    router = Router([channel("usual")])
    router.take(trip(), clock.now())
    [(_, first)] = router.due(clock.advance(60.0))
    assert "Since then" not in first.summary
    router.take(alert(EventName.VENUE_UNPROVEN, trip_id="trip-1", venue="okx", reason="no answer"), clock.now())
    [(_, second)] = router.due(clock.advance(60.0))
    assert second.summary.endswith("Since then: okx is NOT PROVEN, orders may be open: no answer.")
    router.take(swept(proven=True), clock.now())
    router = restarted(router, clock)
    [(_, third)] = router.due(clock.advance(60.0))
    assert third.summary.endswith("Since then: Every order is proven gone, 3 were cancelled (trip trip-1).")
    router.take(alert(EventName.SWEEP_FINISHED, trip_id="another", proven=False), clock.now())
    [(_, fourth)] = router.due(clock.advance(60.0))
    assert "proven gone" in fourth.summary


def test_a_proof_after_one_that_was_lost_is_news(clock: ManualClock) -> None:
    router = Router([channel("usual")])
    router.take(trip(), clock.now())
    ids = []
    for proven in (True, True, False, True, True, False, True):
        one = router.named(swept(proven=proven))
        router.take(one, clock.now())
        router = restarted(router, clock)
        ids += [one.alert_id] if proven else []
    first, second, third = "trip-1.proven", "trip-1.proven.3", "trip-1.proven.5"
    assert ids == [first, first, second, first, third]


def restarted(router: Router, clock: ManualClock) -> Router:
    """Another process's, with what the first one kept."""
    again = Router([channel("usual")])
    again.restore(json.loads(json.dumps(router.document(clock.now()))), clock.now())
    return again


def test_a_trip_that_takes_the_place_of_a_freeze_is_unacknowledged_again(clock: ManualClock) -> None:
    router = Router([channel("usual")])
    router.take(trip("freeze-1"), clock.now())
    router.acknowledge(None, "ann")
    router.take(trip("trip-2"), clock.now())
    assert [one.alert_id for _, one in router.due(clock.advance(60.0))] == ["trip-2.2"]


def test_a_trip_that_stands_is_news_once(clock: ManualClock) -> None:
    router = Router([channel("usual")])
    router.take(trip(), clock.now())
    router.acknowledge(None, "ann")
    assert router.take(trip(), clock.now()) == []
    assert router.due(clock.advance(HOUR_S)) == [], "it stays acknowledged"


def test_heartbeats_go_to_those_who_count_them(clock: ManualClock) -> None:
    router = Router([channel("usual"), channel("snitch", heartbeat=True)], RoutingSettings(heartbeat_every_s=60.0))
    first, none, second = (router.due(clock.advance(step)) for step in (0.0, 59.0, 1.0))
    assert (names(first), names(none), names(second)) == (["snitch"], [], ["snitch"])
    assert first[0][1].event == HEARTBEAT
    assert first[0][1].alert_id != second[0][1].alert_id


def test_no_heartbeat_while_the_guard_is_not_alive_and_one_as_soon_as_it_is(clock: ManualClock) -> None:
    router = Router([channel("snitch", heartbeat=True)], RoutingSettings(heartbeat_every_s=60.0))
    assert router.due(clock.now(), is_alive=False) == []
    assert names(router.due(clock.advance(1.0))) == ["snitch"]
    assert router.due(clock.advance(600.0), is_alive=False) == []
    assert names(router.due(clock.advance(1.0))) == ["snitch"]


def test_that_a_channel_fails_or_alerts_are_lost_goes_to_all_but_who_counts_heartbeats(clock: ManualClock) -> None:
    snitch = channel("snitch", heartbeat=True, events=frozenset({HEARTBEAT}))
    router = Router([channel("phone", severity=Severity.CRITICAL, events=frozenset({"x"})), snitch])
    for event in (EventName.ALERT_FAILED, "alert_lost"):
        assert router.hearers(event, Severity.CRITICAL) == ("phone",)


def test_what_was_told_since_goes_before_what_is_read_late(clock: ManualClock) -> None:
    before = Router([channel("usual")])
    before.take(trip("trip-1"), clock.now())
    router = Router([channel("usual")])
    router.take(trip("trip-2"), clock.now())
    router.restore(before.document(clock.now()), clock.now())
    assert router.standing is not None
    assert router.standing.trip_id == "trip-2"


def test_no_heartbeat_unless_it_is_asked_for(clock: ManualClock) -> None:
    assert Router([channel("snitch", heartbeat=True)]).due(clock.now()) == []


def test_what_was_told_and_held_back_survives_a_restart_under_another_clock(clock: ManualClock) -> None:
    before = Router([channel("usual")], RoutingSettings(rate=1))
    before.take(trip(), clock.now())
    before.take(lost(), clock.now())
    clock.advance(1.0)
    before.take(lost(), clock.now())
    document = json.loads(json.dumps(before.document(clock.now())))

    later = ManualClock(mono=5.0, wall=clock.now().wall + 30.0)
    after = Router([channel("usual")], RoutingSettings(rate=1))
    after.restore(document, later.now())
    assert after.standing is not None
    assert after.standing.trip_id == "trip-1"
    assert not after.take(lost(), later.now()), "the hour goes on"
    assert [one.details.get("count") for _, one in after.due(later.advance(QUIET_S))] == [2]
    assert [one.alert_id for _, one in after.due(later.advance(14.0))] == ["trip-1.2"], "its minute went on meanwhile"


def test_a_clock_that_was_set_back_silences_nothing(clock: ManualClock) -> None:
    before = Router([channel("usual")])
    before.take(trip(), clock.now())
    document = before.document(clock.now())
    earlier = ManualClock(mono=5.0, wall=clock.now().wall - 10 * HOUR_S)
    after = Router([channel("usual")])
    after.restore(document, earlier.now())
    assert names(after.due(earlier.advance(60.0))) == ["usual"]


@pytest.mark.parametrize("spoilt", [{}, {"wall": 1, "standing": {}, "tallies": []}, {"wall": "x"}])
def test_a_spoilt_document_is_refused_whole(clock: ManualClock, spoilt: dict[str, Any]) -> None:
    router = Router([channel("usual")])
    router.take(trip(), clock.now())
    with pytest.raises((KeyError, TypeError, ValueError)):
        router.restore(spoilt, clock.now())
    assert router.standing is not None
