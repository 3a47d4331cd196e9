"""`alerts.jsonl`: one line an attempt, written by a thread of its own. A full disk keeps nobody from sending."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from risk_daemon.alerts.alert import Alert
from risk_daemon.alerts.channels.base import Attempted
from risk_daemon.state.files import json_text, utc_text
from risk_daemon.state.veto_log import RotatedFile
from risk_daemon.state.worker import Run

_LOG = structlog.get_logger(__name__)

FILE_NAME = "alerts.jsonl"
RECENT_MAX = 200
_MAX_BYTES = 16 * 1024 * 1024
_WAITING_MAX = 1_000
_TAIL_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of one channel. is_last: it was delivered, or is given up. wall: when it ended."""

    channel: str
    alert: Alert
    number: int
    outcome: Attempted
    seconds: float
    wall: float
    is_last: bool

    def line(self) -> dict[str, Any]:
        outcome = self.outcome
        return {
            "time": utc_text(self.wall),
            "channel": self.channel,
            "event": str(self.alert.event),
            "id": self.alert.alert_id,
            "attempt": self.number,
            "delivered": outcome.delivered,
            "given_up": self.is_last and not outcome.delivered,
            "status": outcome.status,
            "answer": outcome.answer,
            "seconds": round(self.seconds, 4),
        }


class AttemptLog:
    """Lines go out in their order. path None: they are only remembered. recent: the last of them.

    sent, failed: how many there were since the start, by channel.
    """

    def __init__(self, path: Path | None, run: Run) -> None:
        self.recent: deque[dict[str, Any]] = deque(maxlen=RECENT_MAX)
        self.sent: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.untold = 0
        self._file = None if path is None else RotatedFile(path, max_bytes=_MAX_BYTES)
        self._run = run
        self._waiting: deque[str] = deque()
        self._is_failing = False

    def note(self, attempt: Attempt) -> None:
        """Remember it, to be written by `write`."""
        (self.sent if attempt.outcome.delivered else self.failed)[attempt.channel] += 1
        line = attempt.line()
        self.recent.append(line)
        if self._file is None:
            return
        if len(self._waiting) >= _WAITING_MAX:
            self.untold += 1
            return
        self._waiting.append(json_text(line))

    async def write(self) -> None:
        """Write what waits. What can't be written waits on; that is told once, and again when it is over."""
        if self._file is None or not self._waiting:
            return
        count = len(self._waiting)
        text = "".join(f"{line}\n" for line in self._waiting)
        try:
            await self._run(self._file.append, text.encode("ascii"))
        except OSError as error:
            if not self._is_failing:
                _LOG.critical("alert_attempts_not_written", path=str(self._file.path), error=str(error))
            self._is_failing = True
            return
        for _ in range(count):
            self._waiting.popleft()
        if self._is_failing:
            _LOG.warning("alert_attempts_written_again", path=str(self._file.path), without_line=self.untold)
        self._is_failing = False


def read_attempts(path: Path, count: int = RECENT_MAX) -> list[Mapping[str, Any]]:
    """The last attempts, oldest first; none where there is no file. What is no line is left out. Raises OSError."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return []
    found = [line for line in map(_line, lines if size <= _TAIL_BYTES else lines[1:]) if line is not None]
    return found[-count:]


def _line(text: bytes) -> Mapping[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None
