"""What is told, on the wire and on the disk."""

from __future__ import annotations

import json

import pytest

from risk_daemon.alerts.alert import Alert, Severity
from risk_daemon.model.event_names import EventName

TRIP = Alert(
    alert_id="trip-1",
    event=EventName.CIRCUIT_BREAKER_TRIGGERED,
    severity=Severity.CRITICAL,
    rule="drawdown",
    trip_id="trip-1",
    summary="Drawdown reached 10.2 % of 10 %: everything is cancelled.",
    details={"observed": "0.102"},
    wall=1_700_000_000.25,
)


def test_the_body_is_what_receivers_are_promised() -> None:
    assert json.loads(json.dumps(TRIP.payload("momentum"))) == {
        "event_type": "circuit_breaker_triggered",
        "strategy_name": "momentum",
        "circuit_breaker_type": "drawdown",
        "severity": "critical",
        "trip_id": "trip-1",
        "summary": "Drawdown reached 10.2 % of 10 %: everything is cancelled.",
        "details": {"observed": "0.102"},
        "timestamp": "2023-11-14T22:13:20.250Z",
    }


def test_what_is_kept_comes_back_the_same() -> None:
    assert Alert.restored(json.loads(json.dumps(TRIP.document()))) == TRIP


@pytest.mark.parametrize("severity", ["loud", None])
def test_what_never_was_an_alert_is_not_restored(severity: object) -> None:
    with pytest.raises(ValueError, match="Severity"):
        Alert.restored({**TRIP.document(), "severity": severity})


def test_a_channel_hears_its_severity_and_above() -> None:
    heard = [(said, asked) for said in Severity for asked in Severity if said.reaches(asked)]
    assert heard == [
        (Severity.INFO, Severity.INFO),
        (Severity.WARNING, Severity.INFO),
        (Severity.WARNING, Severity.WARNING),
        (Severity.CRITICAL, Severity.INFO),
        (Severity.CRITICAL, Severity.WARNING),
        (Severity.CRITICAL, Severity.CRITICAL),
    ]
