"""What the service manager is told."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from risk_daemon.model.clock import Instant
from risk_daemon.runtime.systemd import ServiceManager, Systemd


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket of one, that nobody reads unless the test does."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield listening


def heard(manager: socket.socket) -> list[str]:
    found = []
    with suppress(BlockingIOError):
        while True:
            found.append(manager.recv(4096).decode())
    return found


def test_a_manager_that_does_not_read_holds_nobody_up_and_hears_all_but_old_signs_of_life(
    manager: socket.socket,
) -> None:
    tell = ServiceManager()
    for number in range(1_000):  # far more than its socket holds
        tell(f"WATCHDOG=1\nSTATUS={number}")
    tell("READY=1")
    early = heard(manager)
    assert early[0] == "WATCHDOG=1\nSTATUS=0"
    assert "READY=1" not in early
    tell("WATCHDOG=1\nSTATUS=now")
    assert heard(manager) == ["READY=1", "WATCHDOG=1\nSTATUS=now"]


def test_words_of_any_tongue_are_a_sign_of_life(manager: socket.socket) -> None:
    ServiceManager()("WATCHDOG=1\nSTATUS=halted by 王: \N{EURO SIGN}")
    assert heard(manager) == ["WATCHDOG=1\nSTATUS=halted by 王: \N{EURO SIGN}"]


def test_without_a_manager_or_with_one_that_is_gone_nobody_is_told(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = ServiceManager()
    manager.close()
    tell("READY=1")
    monkeypatch.delenv("NOTIFY_SOCKET")
    ServiceManager()("READY=1")


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
