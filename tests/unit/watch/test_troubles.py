"""What is told of a guard that is dead, hung, ended, started again and again, or on a full disk. Time is a number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from risk_daemon.alerts.alert import Alert, Severity
from risk_daemon.alerts.channels.base import AppriseSettings
from risk_daemon.alerts.routing import Router
from risk_daemon.config.alerts import OWN_EVENTS
from risk_daemon.model.clock import Instant
from risk_daemon.watch.troubles import (
    INTENDED_S,
    LITTLE_BYTES,
    REMIND_EVERY_S,
    STARTING_S,
    STEADY_S,
    Line,
    Seen,
    Trouble,
    Watcher,
)

WALL = 1_790_000_000.0
EVERY_S = 0.5
PLENTY = 10 * LITTLE_BYTES


class Guard:
    """A guard as it is seen, and a watcher that looks at it twice a second."""

    def __init__(self) -> None:
        self.now = Instant(1_000.0, WALL)
        self.watcher = Watcher(self.now)
        self.stamped_mono: float | None = self.now.mono
        self.risk_mono: float | None = self.now.mono
        self.runs = True
        self.writes = True
        self.blank = False
        self.legible = True
        self.visible = True
        self.cause = "capital_loss"
        self.trip_id: str | None = None
        self.free = PLENTY
        self.lines: list[Line] | None = []

    def logs(self, event: str, **fields: Any) -> None:
        assert self.lines is not None
        self.lines.append(Line(event=event, wall=self.now.wall, fields=fields))

    def starts(self) -> None:
        self.runs = True
        self.logs("configuration_loaded")

    def ends(self, code: int | None, **fields: Any) -> None:
        """code None: without a word."""
        self.runs = False
        if code is not None:
            self.logs("system_shutdown", exit_code=code, reason="", **fields)

    def stamp(self) -> None:
        """Once, as a command does, or a start that comes to nothing."""
        self.stamped_mono = self.now.mono

    def look(self) -> list[Alert]:
        mono = self.now.mono
        self.stamped_mono = mono if self.runs else self.stamped_mono
        self.risk_mono = mono if self.runs and self.writes else self.risk_mono
        lines = None if self.lines is None else tuple(self.lines)
        self.lines = None if self.lines is None else []
        return self.watcher.look(
            Seen(
                stamp_age_s=None if self.stamped_mono is None else mono - self.stamped_mono,
                is_visible=self.visible,
                is_blank=self.blank,
                is_legible=self.legible,
                trip_id=self.trip_id if self.legible else None,
                trip_cause=self.cause,
                risk_age_s=None if self.risk_mono is None else mono - self.risk_mono,
                lines=lines,
                free_bytes=self.free,
            ),
            self.now,
        )

    def wait(self, seconds: float) -> list[Alert]:
        """What is told meanwhile."""
        told = []
        for _ in range(round(seconds / EVERY_S)):
            self.now = Instant(self.now.mono + EVERY_S, self.now.wall + EVERY_S)
            told += self.look()
        return told


@pytest.fixture
def guard() -> Guard:
    """One that runs, and was looked at for a while without a word."""
    found = Guard()
    found.starts()
    assert found.look() == []
    assert found.wait(60) == []
    return found


def events(told: Iterable[Alert]) -> list[str]:
    return [alert.event for alert in told]


# --- dead, hung, back --------------------------------------------------------------------------------


def test_a_guard_that_runs_is_nothing_to_speak_of(guard: Guard) -> None:
    assert guard.wait(600) == []


def test_silence_is_told_within_seconds_once_and_its_end_too(guard: Guard) -> None:
    guard.ends(None)
    (told,) = guard.wait(5.5)
    assert (told.event, told.severity) == (Trouble.SILENT, Severity.CRITICAL)
    assert "it was killed, or it hangs" in told.summary
    assert guard.wait(300) == []
    guard.starts()
    (over,) = guard.wait(30)
    assert (over.event, over.severity, over.summary) == (Trouble.SILENT, Severity.WARNING, "The guard is back.")
    assert over.details["over"] is True
    assert over.alert_id != told.alert_id


def test_while_it_is_silent_that_is_told_again_and_again(guard: Guard) -> None:
    guard.ends(None)
    told = guard.wait(3 * REMIND_EVERY_S + 10)
    assert events(told) == [Trouble.SILENT] * 4
    assert len({alert.alert_id for alert in told}) == 4


def test_the_silence_in_the_sentence_is_the_one_that_was_judged(guard: Guard) -> None:
    """Not the half second between the look that found it and the one that told it."""
    stamped_mono = guard.now.mono
    guard.ends(None)
    told = []
    while not told:
        told = guard.wait(EVERY_S)
    silent_s = guard.now.mono - stamped_mono
    assert silent_s == 5.0
    assert told[0].details["for_s"] == silent_s
    assert f"silent for {silent_s:.1f} s" in told[0].summary
    (again,) = guard.wait(REMIND_EVERY_S)
    assert f"silent for {again.details['for_s']:.1f} s" in again.summary
    assert again.details["for_s"] == silent_s + REMIND_EVERY_S
    guard.starts()
    (over,) = guard.wait(30)
    assert over.details["after_s"] == again.details["for_s"] + EVERY_S + STEADY_S


def test_one_odd_look_is_no_silence(guard: Guard) -> None:
    """After a suspend the stamp is old until the guard has had its turn."""
    guard.stamped_mono, guard.runs = guard.now.mono - 3_600, False
    assert guard.look() == []
    guard.runs = True
    assert guard.wait(60) == []


def test_a_guard_that_is_gone_before_the_first_look_is_told_of_after_a_while() -> None:
    guard = Guard()
    guard.runs, guard.stamped_mono, guard.risk_mono = False, None, None
    assert guard.wait(STARTING_S - 1) == []
    (told,) = guard.wait(5)
    assert "it was not started since this machine was" in told.summary


def test_a_gate_that_says_nothing_is_one_that_a_bug_has_shut(guard: Guard) -> None:
    guard.ends(None)
    guard.blank, guard.stamped_mono = True, None
    (told,) = guard.wait(2)
    assert "exit code 70" in told.summary


def test_a_channel_may_name_each_trouble() -> None:
    assert {str(trouble) for trouble in Trouble} <= set(OWN_EVENTS)


# --- how it ends -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (1, "every cancel is proven"),
        (4, "ORDERS MAY BE OPEN"),
        (70, "by a bug"),
        (75, "could not reach a venue"),
        (78, "REFUSED A START"),
        (99, "exit code 99"),
    ],
)
def test_how_it_ended_is_told_at_once_and_not_again_as_silence(guard: Guard, code: int, said: str) -> None:
    guard.ends(code, trip_id="t-1")
    (told,) = guard.wait(60)
    assert (told.event, told.severity, told.trip_id) == (Trouble.ENDED, Severity.CRITICAL, "t-1")
    assert said in told.summary
    assert told.details["exit_code"] == code
    (again,) = guard.wait(REMIND_EVERY_S)
    assert again.event == Trouble.SILENT
    assert said in again.summary


def test_an_end_is_told_although_it_is_started_again_at_once(guard: Guard) -> None:
    guard.ends(4)
    guard.now = Instant(guard.now.mono + 0.1, guard.now.wall + 0.1)
    guard.starts()
    assert events(guard.wait(30)) == [Trouble.ENDED, Trouble.SILENT]


def test_a_clean_stop_is_a_warning_and_a_quick_restart_is_nothing(guard: Guard) -> None:
    guard.ends(0)
    guard.wait(2)
    guard.starts()
    assert guard.wait(60) == []
    guard.ends(0)
    (told,) = guard.wait(INTENDED_S - 10)
    assert (told.event, told.severity) == (Trouble.SILENT, Severity.WARNING)
    assert "was stopped (exit code 0)" in told.summary
    guard.starts()
    (over,) = guard.wait(60)
    assert over.summary == "The guard is back."


def test_a_guard_that_does_not_come_up_again_after_a_clean_stop_is_critical_and_told_again(guard: Guard) -> None:
    """Nobody looks at a unit that was restarted with a bad configuration; a telephone hears critical alone."""
    guard.ends(0)
    assert [alert.severity for alert in guard.wait(INTENDED_S - 10)] == [Severity.WARNING]
    told = guard.wait(3 * REMIND_EVERY_S)
    assert [alert.severity for alert in told] == [Severity.CRITICAL] * 3
    assert told[0].summary == (
        "The guard was stopped (exit code 0). The gate is shut and NOTHING IS GUARDED. For 10 min by now."
    )


def test_after_a_boot_a_clean_stop_is_no_reason_to_be_quiet() -> None:
    guard = Guard()
    guard.starts()
    guard.ends(0)
    guard.stamped_mono = None
    told = guard.wait(STARTING_S + REMIND_EVERY_S + 5)
    assert [(alert.event, alert.severity) for alert in told] == [(Trouble.SILENT, Severity.CRITICAL)] * 2
    assert "was not started since this machine was" in told[0].summary


def test_a_start_that_was_refused_is_told_at_once_with_its_reason_and_never_as_back(guard: Guard) -> None:
    guard.ends(0)
    assert [alert.severity for alert in guard.wait(60)] == [Severity.WARNING]
    guard.stamp()
    guard.logs("system_shutdown", exit_code=78, reason="config.toml: it is looser", trip_id=None)
    (told,) = guard.wait(300)
    assert (told.event, told.severity, told.details["exit_code"]) == (Trouble.ENDED, Severity.CRITICAL, 78)
    assert "REFUSED A START" in told.summary
    assert told.summary.endswith("config.toml: it is looser.")
    (again,) = guard.wait(REMIND_EVERY_S)
    assert (again.event, again.severity) == (Trouble.SILENT, Severity.CRITICAL)
    assert "REFUSED A START" in again.summary


def test_one_stamp_is_no_guard_that_is_back(guard: Guard) -> None:
    """`reset` stamps the gate, and so does a start that is refused before it says so."""
    guard.ends(None)
    assert events(guard.wait(10)) == [Trouble.SILENT]
    guard.stamp()
    assert guard.wait(30) == []
    assert guard.watcher.is_down
    assert not guard.watcher.is_running


def test_starts_that_get_nowhere_are_told_as_what_they_are(guard: Guard) -> None:
    """Killed before they say that they have begun, every few seconds: each stamps the gate."""
    guard.ends(None)
    told: list[Alert] = []
    for _ in range(20):
        guard.stamp()
        told += guard.wait(3)
    (only,) = told
    assert (only.event, only.severity) == (Trouble.SILENT, Severity.CRITICAL)
    assert "started again and again, and does not get as far as guarding" in only.summary


def test_starts_that_are_refused_again_and_again_are_counted(guard: Guard) -> None:
    told: list[Alert] = []
    guard.wait(600)
    for _ in range(3):
        guard.ends(70)
        told += guard.wait(4)
    assert events(told).count(Trouble.ENDED) == 3
    assert Trouble.RESTARTING not in events(told), "the first end was of a guard that ran"
    guard.ends(70)
    assert Trouble.RESTARTING in events(guard.wait(4))


def test_what_can_not_be_seen_is_not_called_gone(guard: Guard) -> None:
    guard.visible, guard.runs, guard.stamped_mono = False, False, None
    (told,) = guard.wait(60)
    assert (told.event, told.severity) == (Trouble.SILENT, Severity.CRITICAL)
    assert "can't be seen from here" in told.summary
    guard.visible = guard.runs = True
    assert [alert.summary for alert in guard.wait(10)] == ["The guard is back."]


def test_killed_and_started_again_before_anybody_noticed(guard: Guard) -> None:
    guard.ends(None)
    guard.wait(2)
    guard.starts()
    (told,) = guard.wait(60)
    assert told.event == Trouble.ENDED
    assert "was killed" in told.summary


def test_what_was_before_the_first_look_is_no_news() -> None:
    guard = Guard()
    guard.starts()
    guard.ends(4)
    guard.starts()
    guard.logs("alert_failed", channel="oncall")
    assert guard.look() == []
    assert guard.wait(60) == []


def test_an_end_before_the_first_look_is_told_if_it_still_stands() -> None:
    guard = Guard()
    guard.starts()
    guard.ends(4)
    (told,) = guard.wait(STARTING_S + 5)
    assert "ORDERS MAY BE OPEN" in told.summary


def test_a_loop_of_restarts_is_told(guard: Guard) -> None:
    told = []
    guard.wait(600)
    for _ in range(3):
        guard.ends(0)
        told += guard.wait(1)
        guard.starts()
        told += guard.wait(20)
    assert events(told) == [Trouble.RESTARTING]
    assert events(guard.wait(300)) == [Trouble.RESTARTING], "over"


# --- files and alerts --------------------------------------------------------------------------------


def test_a_full_disk_is_told_and_its_end_only_with_room_to_spare(guard: Guard) -> None:
    guard.free = LITTLE_BYTES - 1
    (told,) = guard.wait(2)
    assert (told.event, told.severity) == (Trouble.DISK_FULL, Severity.CRITICAL)
    assert "64 MiB are left" in told.summary
    guard.free = LITTLE_BYTES + 1
    assert guard.wait(60) == []
    guard.free = PLENTY
    assert events(guard.wait(2)) == [Trouble.DISK_FULL]


def test_files_that_are_not_written_any_more(guard: Guard) -> None:
    guard.writes = False
    (told,) = guard.wait(8)
    assert told.event == Trouble.NOT_WRITING
    guard.writes = True
    assert events(guard.wait(2)) == [Trouble.NOT_WRITING]


def test_at_a_start_the_files_may_be_old_for_a_moment(guard: Guard) -> None:
    guard.ends(0)
    guard.wait(60)
    guard.starts()
    guard.writes = False
    guard.wait(4)
    guard.writes = True
    assert guard.wait(60) == []


def test_a_log_that_can_not_be_read_is_said_once(guard: Guard) -> None:
    guard.lines = None
    (told,) = guard.wait(3_600)
    assert (told.event, told.severity) == (Trouble.LOG_UNREADABLE, Severity.WARNING)


def test_alerts_of_the_guard_that_fail_are_told_together(guard: Guard) -> None:
    for channel in ("oncall", "mail", "oncall"):
        guard.logs("alert_failed", channel=channel, status="timeout", alert_id="x")
    (told,) = guard.wait(9)
    assert (told.event, told.severity) == (Trouble.ALERTS_FAILING, Severity.CRITICAL)
    assert "(mail, oncall)" in told.summary
    guard.logs("alert_sent", channel="mail", alert_id="x")
    assert guard.wait(60) == []
    guard.logs("alert_sent", channel="oncall", alert_id="x")
    assert [alert.details.get("over") for alert in guard.wait(2)] == [True]


def test_an_alert_that_goes_out_at_the_second_try_is_nothing(guard: Guard) -> None:
    guard.logs("alert_failed", channel="oncall", status="503", alert_id="x")
    guard.wait(3)
    guard.logs("alert_sent", channel="oncall", alert_id="x")
    assert guard.wait(60) == []


# --- trips -------------------------------------------------------------------------------------------


def test_a_trip_of_which_no_alert_was_delivered_is_told_from_here(guard: Guard) -> None:
    guard.trip_id = "t-1"
    assert guard.wait(7) == []
    (told,) = guard.wait(3)
    assert (told.event, told.severity, told.trip_id) == ("circuit_breaker_triggered", Severity.CRITICAL, "t-1")
    assert guard.wait(60) == []
    guard.trip_id = None
    assert events(guard.wait(2)) == ["circuit_breaker_reset"]


@pytest.mark.parametrize("sent", ["trip-20261122T090018.207Z-56", "trip-20261122T090018.207Z-56.2"])
def test_a_trip_that_was_told_is_not_told_from_here(guard: Guard, sent: str) -> None:
    guard.trip_id = "trip-20261122T090018.207Z-56"
    guard.logs("alert_sent", channel="oncall", alert_id=sent)
    assert guard.wait(60) == []
    guard.trip_id = "trip-20261122T090018.207Z-5"
    assert events(guard.wait(60)) == ["circuit_breaker_triggered"]


def test_a_trip_whose_guard_has_ended_is_gone_on_with_from_here(guard: Guard) -> None:
    guard.trip_id = "t-1"
    guard.logs("alert_sent", channel="oncall", alert_id="t-1")
    guard.ends(1, trip_id="t-1")
    assert events(guard.wait(50)) == [Trouble.ENDED]
    (told,) = guard.wait(20)
    assert (told.event, told.trip_id) == ("circuit_breaker_triggered", "t-1")
    assert "has ended since" in told.summary
    guard.trip_id = None
    assert events(guard.wait(2)) == ["circuit_breaker_reset"]


@pytest.mark.parametrize(
    ("cause", "rule"), [("manual_halt", "manual"), ("portfolio_dd_circuit", "drawdown"), ("custom:mine", "custom:mine")]
)
def test_a_trip_that_is_told_from_here_has_its_rule(guard: Guard, cause: str, rule: str) -> None:
    guard.trip_id, guard.cause = "t-1", cause
    (told,) = guard.wait(10)
    assert told.rule == rule


def test_a_halt_goes_to_everybody_from_here_too(guard: Guard) -> None:
    guard.trip_id, guard.cause = "t-1", "manual_halt"
    (told,) = guard.wait(10)
    choosy = AppriseSettings(name="choosy", url="json://x", severity=Severity.CRITICAL, events=frozenset({"heartbeat"}))
    assert [name for name, _ in Router([choosy]).take(told, guard.now)] == ["choosy"]


def test_a_gate_that_can_not_be_read_ends_no_trip(guard: Guard) -> None:
    guard.trip_id = "t-1"
    assert events(guard.wait(20)) == ["circuit_breaker_triggered"]
    guard.legible = False
    assert guard.wait(60) == []
    guard.legible = True
    assert guard.wait(60) == []


def test_a_trip_that_somebody_acknowledged_is_not_told_again(guard: Guard) -> None:
    guard.trip_id = "t-1"
    guard.logs("alert_acknowledged", trip_id="t-1", operator="alice")
    guard.ends(1, trip_id="t-1")
    assert events(guard.wait(300)) == [Trouble.ENDED]
    guard.trip_id = None
    assert guard.wait(60) == []


def test_a_trip_whose_guard_goes_on_is_left_to_it(guard: Guard) -> None:
    guard.trip_id = "t-1"
    guard.logs("alert_sent", channel="oncall", alert_id="t-1")
    for _ in range(2):
        guard.ends(4, trip_id="t-1")
        guard.wait(6)
        guard.runs = True
        told = events(guard.wait(50))
    assert "circuit_breaker_triggered" not in told
