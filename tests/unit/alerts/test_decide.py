"""Which events people are told, how loud, and that ids are the same when a log is read again."""

from __future__ import annotations

from decimal import Decimal

import pytest

from risk_daemon.alerts.alert import Alert, Severity
from risk_daemon.alerts.decide import decide
from risk_daemon.model.event_names import EventName, RiskEvent

WALL = 1_700_000_000.25
TRIP = RiskEvent(
    EventName.CIRCUIT_BREAKER_TRIGGERED,
    {"trip_id": "trip-1", "breaker": "drawdown", "reason": "10.2 % of 10 %", "action": "trip", "observed": {}},
)

# Everything the issue asks for, with the fields that its sentence is made of, and how loud it is.
TOLD = [
    (TRIP.name, TRIP.fields, Severity.CRITICAL, "drawdown: 10.2 % of 10 %"),
    (EventName.BREAKER_TRIPPED, {"breaker": "order_rate", "reason": "101 of 100"}, Severity.WARNING, "101 of 100"),
    (EventName.ORDER_VETOED, {"count": 7, "last_reason": "the gate is shut"}, Severity.WARNING, "7 orders were vetoed"),
    (EventName.MANUAL_HALT, {"operator": "ann", "reason": "x", "venue": "kraken"}, Severity.CRITICAL, "venue kraken"),
    (EventName.WARNING_TRIGGERED, {"breaker": "drawdown", "warning_threshold": 0.03}, Severity.WARNING, "3.00 %"),
    (EventName.BLIND_STARTED, {}, Severity.WARNING, "blind"),
    (EventName.VENUE_UNPROVEN, {"venue": "okx", "reason": "no answer"}, Severity.CRITICAL, "okx is NOT PROVEN"),
    (EventName.VENUE_LOST, {"venue": "okx", "reason": "no answer"}, Severity.WARNING, "okx is lost"),
    (EventName.ORDER_REPLACED, {"venue": "okx", "order_id": "7"}, Severity.CRITICAL, "(7)"),
    (EventName.STORE_BEHIND, {"message": "it has save 3"}, Severity.CRITICAL, "it has save 3"),
    (EventName.STORE_TAKEN_OVER, {"message": "it has save 9"}, Severity.CRITICAL, "it has save 9"),
    (EventName.STORE_UNWRITABLE, {"error": "disk full"}, Severity.CRITICAL, "disk full"),
    (EventName.LOCK_UNWRITABLE, {"lock": "redis://h:6379/0", "error": "late"}, Severity.WARNING, "are refused: late"),
    (EventName.LOCK_WRITABLE, {"lock": "redis://h:6379/0"}, Severity.INFO, "redis://h:6379/0 can be written again"),
    (EventName.STREAM_CONTRADICTED, {"venue": "okx", "kind": "balances"}, Severity.WARNING, "balances"),
    (EventName.KEY_MAY_WITHDRAW, {"venue": "okx"}, Severity.WARNING, "WITHDRAW"),
    (EventName.CONFIGURATION_LOADED, {"file": "c", "changed": ["gate.x"]}, Severity.WARNING, "changed: gate.x"),
    (EventName.CONFIGURATION_LOADED, {"file": "c", "looser": ["drawdown 10 % -> 20 %"]}, Severity.WARNING, "-> 20 %"),
    (EventName.CONFIGURATION_LOADED, {"file": "c"}, Severity.INFO, "the guard was started"),
    (
        EventName.CONFIGURATION_RELOADED,
        {
            "file": "c",
            "by": "anna",
            "changes": [{"key": "gate.x", "old": "1", "new": "2"}],
            "looser": ["gate.x 1 -> 2"],
        },
        Severity.WARNING,
        "LIMITS ARE LOOSER NOW: gate.x 1 -> 2; changed while the guard runs, by anna: gate.x 1 -> 2",
    ),
    (
        EventName.CONFIGURATION_RELOADED,
        {"file": "c", "by": "SIGHUP", "changes": [], "acts_at_once": [{"breaker": "drawdown"}]},
        Severity.WARNING,
        "PASSED ALREADY: drawdown",
    ),
    (
        EventName.RELOAD_REFUSED,
        {"by": "anna", "reason": "c: no."},
        Severity.WARNING,
        "NOT taken (asked by anna): c: no.",
    ),
    (EventName.OVERRIDE_GRANTED, {"who": "ann", "why": "both keys"}, Severity.WARNING, "ann: both keys"),
    (EventName.OVERRIDE_REFUSED, {"who": "eve", "why": "wrong code"}, Severity.WARNING, "eve: wrong code"),
    (EventName.OVERRIDE_REFUSED, {"who": "eve", "why": "x", "locked_until": "noon"}, Severity.CRITICAL, "until noon"),
    (EventName.OVERRIDE_ASKED, {"purpose": "reset", "who": "ann", "why": "calm"}, Severity.WARNING, "reset by ann"),
    (EventName.BREAK_GLASS_BEGUN, {"who": "root", "due": "noon"}, Severity.CRITICAL, "from noon on"),
    (EventName.BREAK_GLASS_ENDED, {"who": "root", "outcome": "stopped"}, Severity.CRITICAL, "root: stopped"),
    (EventName.SWEEP_FINISHED, {"trip_id": "t", "proven": False}, Severity.CRITICAL, "NOT PROVEN"),
    (EventName.SWEEP_FINISHED, {"trip_id": "t", "proven": True}, Severity.CRITICAL, "proven gone"),
    (EventName.ALERT_ACKNOWLEDGED, {"trip_id": "t", "operator": "ann"}, Severity.CRITICAL, "acknowledged by ann"),
    (
        EventName.CIRCUIT_BREAKER_RESET,
        {"trip_id": "t", "operator": "ann", "reason": "calm"},
        Severity.CRITICAL,
        "reset by ann: calm",
    ),
    (EventName.FREEZE_EXPIRED, {"trip_id": "t", "breaker": "daily_loss"}, Severity.CRITICAL, "allows new orders again"),
    (EventName.SYSTEM_SHUTDOWN, {"exit_code": 4, "reason": "late"}, Severity.CRITICAL, "exit code 4"),
    (EventName.SWEEP_STARTED, {"trip_id": "t", "resumed": True}, Severity.CRITICAL, "restarted in the middle"),
]


def one(*records: RiskEvent) -> Alert:
    found = decide(records, WALL)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(("name", "fields", "severity", "words"), TOLD)
def test_what_people_are_told(name: EventName, fields: dict[str, object], severity: Severity, words: str) -> None:
    alert = one(RiskEvent(name, fields))
    assert (alert.event, alert.severity, alert.wall) == (name, severity, WALL)
    assert words in alert.summary


@pytest.mark.parametrize("name", list(EventName))
def test_every_event_with_nothing_in_it_is_told_or_left_out_and_breaks_nothing(name: EventName) -> None:
    for alert in decide([RiskEvent(name)], WALL):
        assert alert.summary
        assert alert.summary != "?"


def test_of_alerts_nobody_is_alerted() -> None:
    assert decide([RiskEvent(EventName.ALERT_FAILED), RiskEvent(EventName.ALERT_SENT)], WALL) == []
    assert decide([RiskEvent(EventName.SWEEP_STARTED, {"resumed": False})], WALL) == []


def test_a_trip_is_one_alert_under_its_own_id() -> None:
    rule = RiskEvent(EventName.BREAKER_TRIPPED, {"breaker": "drawdown", "reason": "10.2 %"})
    halt = RiskEvent(EventName.MANUAL_HALT, {"operator": "ann", "reason": "x"})
    alert = one(halt, rule, TRIP)
    assert (alert.alert_id, alert.trip_id, alert.rule) == ("trip-1", "trip-1", "drawdown")


def test_a_halt_of_one_venue_and_another_rule_are_told_beside_a_trip() -> None:
    halt = RiskEvent(EventName.MANUAL_HALT, {"operator": "ann", "reason": "x", "bot": "b"})
    rule = RiskEvent(EventName.BREAKER_TRIPPED, {"breaker": "order_rate", "reason": "101"})
    assert [alert.event for alert in decide([halt, rule, TRIP], WALL)] == [halt.name, rule.name, TRIP.name]


def test_ids_tell_two_of_a_turn_apart_and_are_the_same_when_it_is_read_again() -> None:
    lost = [RiskEvent(EventName.VENUE_LOST, {"venue": venue, "reason": "x"}) for venue in ("a", "b")]
    ids = [alert.alert_id for alert in decide(lost, WALL)]
    assert len(set(ids)) == 2
    assert ids == [alert.alert_id for alert in decide(lost, WALL)]
    assert not set(ids) & {alert.alert_id for alert in decide(lost, WALL + 0.000_01)}


def test_amounts_and_whatever_else_a_rule_observed_become_json() -> None:
    fields = {"breaker": "mine", "reason": "x", "observed": {"loss": Decimal("1E+2"), "odd": object()}}
    alert = one(RiskEvent(EventName.BREAKER_TRIPPED, fields))
    assert alert.details["breaker"] == "mine"
    exact = one(RiskEvent(EventName.BREAKER_TRIPPED, {"breaker": "mine", "observed": {"loss": Decimal("1E+2")}}))
    assert exact.details["observed"] == {"loss": "100"}


def test_the_settings_stay_at_home() -> None:
    alert = one(RiskEvent(EventName.CONFIGURATION_LOADED, {"file": "c", "settings": {"state": {"dir": "/x"}}}))
    assert alert.details == {"file": "c"}


def test_the_proof_of_a_trip_is_told_once_however_often_a_freeze_proves_it() -> None:
    proven = [RiskEvent(EventName.SWEEP_FINISHED, {"trip_id": "t", "proven": True}) for _ in range(2)]
    failed = RiskEvent(EventName.SWEEP_FINISHED, {"trip_id": "t", "proven": False})
    assert [one.alert_id for one in decide(proven, WALL)] == ["t.proven", "t.proven"]
    assert one(failed).alert_id != "t.proven"


def test_an_acknowledgement_has_one_id_whoever_tells_of_it() -> None:
    """The guard, the command that wrote it, the watch, and the next start."""
    heard = RiskEvent(EventName.ALERT_ACKNOWLEDGED, {"trip_id": "t", "operator": "ann"})
    assert {decide([heard], WALL + late)[0].alert_id for late in (0.0, 0.3, 900.0)} == {"t.acknowledged"}


class Bad:
    """What a rule of a user's own may observe."""

    def __str__(self) -> str:
        raise RuntimeError("a bug")

    __repr__ = __str__


def test_a_record_without_words_takes_no_other_with_it_and_a_trip_is_told_by_its_plain_fields() -> None:
    observed = {"observed": {"x": Bad()}, "price": float("nan"), "size": Bad()}
    rule = RiskEvent(EventName.BREAKER_TRIPPED, {"breaker": "mine", "reason": "x", **observed})
    bad = RiskEvent(EventName.WARNING_TRIGGERED, {"breaker": Bad(), "warning_threshold": 0.03})
    last = RiskEvent(EventName.BLIND_STARTED)
    trip = RiskEvent(TRIP.name, {**TRIP.fields, **observed})
    told = decide([rule, bad, trip, last], WALL)
    assert [one.event for one in told] == [rule.name, bad.name, trip.name, last.name]
    assert (told[2].alert_id, told[2].trip_id, told[2].rule, told[2].severity) == (
        "trip-1",
        "trip-1",
        "drawdown",
        Severity.CRITICAL,
    )
    assert told[2].summary == one(TRIP).summary
    assert set(told[2].details) == {"trip_id", "breaker", "reason", "action"}


def test_a_breaker_that_is_no_name_at_all_breaks_nothing() -> None:
    odd = RiskEvent(TRIP.name, {**TRIP.fields, "breaker": ["a", "list"]})
    told = decide([odd, RiskEvent(EventName.BLIND_STARTED)], WALL)
    assert [alert.event for alert in told] == [TRIP.name, EventName.BLIND_STARTED]
    assert told[0].alert_id == "trip-1"
