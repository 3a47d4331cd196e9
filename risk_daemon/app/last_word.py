"""A start that was refused says so in the event log, where whoever watches the guard from outside reads it."""

from __future__ import annotations

from pathlib import Path

import structlog

from risk_daemon.errors import ExitCode, RecordError, RiskDaemonError, StateError
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.state.directory import Paths, StateDir
from risk_daemon.state.event_log import EventLog, LogLine, lines_since
from risk_daemon.state.log_pieces import is_begun

_LOG = structlog.get_logger(__name__)
_END_BYTES = 64 * 1024


def note_refusal(root: Path, refusal: Exception) -> None:
    """The last word of a run that never began, once for as long as it is the same. Never raises.

    Only into a log that is there, and never into that of a guard that runs.
    """
    paths = Paths(root)
    try:
        if is_begun(paths.events):
            with StateDir.take(root):
                _append(paths.events, refusal)
    except (StateError, RecordError, OSError, ValueError) as error:
        _LOG.error("event_log_failed", error=str(error), events=[str(EventName.SYSTEM_SHUTDOWN)])


def _append(path: Path, refusal: Exception) -> None:
    """Raises StateError, RecordError, OSError."""
    code = refusal.exit_code if isinstance(refusal, RiskDaemonError) else ExitCode.BUG
    code = ExitCode.BUG if code == ExitCode.TRIGGERED_AND_PROVEN else code
    reason = str(refusal) or repr(refusal)
    log = EventLog.open(path)
    try:
        if _is_said(lines_since(path, log.seq - 1, _END_BYTES)[-1:], int(code), (reason, repr(refusal))):
            return
        facts = {"exit_code": int(code), "reason": reason, "trip_id": None}
        log.append(RiskEvent(EventName.SYSTEM_SHUTDOWN, facts), SystemClock().now().wall)
        log.fsync()
    finally:
        log.close()


def _is_said(last: list[LogLine], code: int, reasons: tuple[str, ...]) -> bool:
    """By a start that was refused before, or by the guard itself, whose error has come up to here."""
    return any(
        line.event == EventName.SYSTEM_SHUTDOWN
        and line.fields.get("exit_code") == code
        and line.fields.get("reason") in reasons
        for line in last
    )
