"""Alerts about alerts: what is missed is counted once, however often the count itself is missed."""

from __future__ import annotations

from risk_daemon.alerts.alert import Severity
from risk_daemon.alerts.own import missed_with, of_failure, of_loss, of_missed, of_test
from risk_daemon.alerts.routing import HEARTBEAT
from tests.unit.alerts.scripted import alert


def test_a_count_that_did_not_arrive_is_counted_on() -> None:
    assert missed_with(alert("1")) == 1
    assert missed_with(of_missed("a", 7, 1.0)) == 7
    assert (missed_with(of_test(1.0)), missed_with(alert("h", event=HEARTBEAT))) == (0, 0), "nothing was missed"


def test_what_is_wrong_with_alerts_is_critical_and_has_an_id_of_its_own() -> None:
    told = [of_failure("a", "x", {"status": "404"}, 1.0), of_loss("x", 1.0, 1), of_loss("x", 1.0, 2)]
    told += [of_missed("a", 7, 1.0)]
    assert {one.severity for one in told} == {Severity.CRITICAL}
    assert len({one.alert_id for one in told}) == 4
    assert told[0].details == {"channel": "a", "status": "404"}
