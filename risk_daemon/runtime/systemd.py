"""What the service manager is told: ready, alive and how it stands, about to stop. See sd_notify(3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from sdnotify import SystemdNotifier

from risk_daemon.model.clock import Instant

_NEVER = float("-inf")
_ALIVE = "WATCHDOG=1"
_OWED_MAX = 10


class ServiceManager:
    """Its socket, where there is one. Never waited for: a manager that hangs would take the guard with it.

    What it does not take at once is told before the next word. A sign of life that is late is none, and is let go.
    """

    def __init__(self) -> None:
        self._notifier = SystemdNotifier()
        self._owed: deque[str] = deque(maxlen=_OWED_MAX)
        if self._notifier.socket is not None:
            self._notifier.socket.setblocking(False)
            self._notifier.debug = True  # else it says nothing of what it could not send

    def __call__(self, words: str) -> None:
        if self._notifier.socket is None:
            return
        self._owed.append(words)
        while self._owed and self._took(self._owed[0]):
            self._owed.popleft()
        self._owed = deque((one for one in self._owed if not one.startswith(_ALIVE)), _OWED_MAX)

    def _took(self, words: str) -> bool:
        try:
            # The library writes Latin-1, and the manager reads UTF-8.
            self._notifier.notify(words.encode("utf-8", "replace").decode("latin-1"))
        except BlockingIOError:
            return False
        except OSError:
            return True  # nobody is there to be told
        return True


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
            self._notify(f"{_ALIVE}\nSTATUS={self._status_line(now)}")

    def stopping(self, reason: str) -> None:
        """The end has begun, and why."""
        self._notify(f"STOPPING=1\nSTATUS={reason}")
