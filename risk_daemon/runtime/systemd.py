"""What the service manager is told: ready, alive and how it stands, about to stop. See sd_notify(3)."""

from __future__ import annotations

from collections.abc import Callable

from risk_daemon.model.clock import Instant

_NEVER = float("-inf")


class Systemd:
    """status_line: how things stand, in one line."""

    def __init__(
        self, notify: Callable[[str], None], status_line: Callable[[Instant], str], watchdog_every_s: float
    ) -> None:
        self._notify = notify
        self._status_line = status_line
        self._watchdog_every_s = watchdog_every_s
        self._fed_mono = _NEVER

    def ready(self) -> None:
        """The start is over, or a reload is."""
        self._notify("READY=1")

    def reloading(self, boot_usec: int) -> None:
        """The configuration is being read again; `ready` ends it. boot_usec: the moment, see model/clock.py."""
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={boot_usec}")

    def feed_watchdog(self, now: Instant) -> None:
        """Say that the loop turns, if that is due."""
        if now.mono - self._fed_mono >= self._watchdog_every_s:
            self._fed_mono = now.mono
            self._notify(f"WATCHDOG=1\nSTATUS={self._status_line(now)}")

    def stopping(self, reason: str) -> None:
        """The end has begun, and why."""
        self._notify(f"STOPPING=1\nSTATUS={reason}")
