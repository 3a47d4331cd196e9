"""What the service manager is told."""

from __future__ import annotations

from risk_daemon.model.clock import Instant
from risk_daemon.runtime.systemd import Systemd


def test_the_watchdog_is_fed_when_it_is_due_and_told_how_things_stand() -> None:
    told: list[str] = []
    systemd = Systemd(told.append, lambda now: f"at {now.mono:g}", watchdog_every_s=1.0)
    for mono in (0.0, 0.4, 0.9, 1.0, 1.9, 2.5):
        systemd.feed_watchdog(Instant(mono, 0.0))
    assert told == ["WATCHDOG=1\nSTATUS=at 0", "WATCHDOG=1\nSTATUS=at 1", "WATCHDOG=1\nSTATUS=at 2.5"]


def test_ready_and_the_end_are_told_as_they_are() -> None:
    told: list[str] = []
    systemd = Systemd(told.append, lambda _now: "", watchdog_every_s=1.0)
    systemd.ready()
    systemd.stopping("told to stop")
    assert told == ["READY=1", "STOPPING=1\nSTATUS=told to stop"]


def test_a_reload_begins_at_its_moment_and_ends_with_ready() -> None:
    told: list[str] = []
    systemd = Systemd(told.append, lambda _now: "", watchdog_every_s=1.0)
    systemd.reloading(1_234_567)
    systemd.ready()
    assert told == ["RELOADING=1\nMONOTONIC_USEC=1234567", "READY=1"]
