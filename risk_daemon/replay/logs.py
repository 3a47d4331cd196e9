"""An event log as a curve of equity: what the guard itself wrote down, second by second.

A log is silent while nothing changes, so a value holds until the next line that says something else. Not known is the
equity where the log says so (`trusted` is false), and from the end of one run to the first value of the next.
A deposit or withdrawal that the log names is taken out of the curve, as it moves what losses are measured from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from risk_daemon.errors import UsageError
from risk_daemon.model.event_names import EventName
from risk_daemon.model.units import EXACT, ONE, finite
from risk_daemon.replay.track import Gap, Logged
from risk_daemon.state.event_log import LogLine
from risk_daemon.state.log_pieces import closed_pieces
from risk_daemon.state.log_reader import read_piece

LIVE = "events.jsonl"
_MOMENT_S = 0.001
_KNOWN = frozenset(name.value for name in EventName)


@dataclass(slots=True)
class LogCurve:
    """rows: (Unix seconds, equity net of flows); None: not known from then on."""

    rows: list[tuple[float, Decimal | None]] = field(default_factory=list)
    logged: list[Logged] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    seen_wall: float = 0.0
    factor: Decimal = ONE
    last: Decimal | None = None


def pieces_of(path: Path) -> list[Path]:
    """The files of a log, in their order: those of a state directory, those before a live file, or the one file."""
    if not path.is_dir() and path.name != LIVE:
        return [path]
    live = path / LIVE if path.is_dir() else path
    return [*closed_pieces(live), *([live] if live.exists() else [])]


def read_curve(path: Path) -> LogCurve:
    """Raises UsageError or StateError, a sentence with file and line."""
    curve = LogCurve()
    for file, number, line in _lines(path):
        if line.event not in _KNOWN:
            raise UsageError(_other_version(file, number, f"the event {line.event[:40]!r} is not known"))
        try:
            _take(curve, line)
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise UsageError(_other_version(file, number, f"{line.event} can't be read ({error})")) from None
    if curve.last is None:
        raise UsageError(f"{path}: the log tells of no equity: there is no {EventName.PORTFOLIO_UPDATE} in it")
    return curve


def _other_version(file: Path, number: int, why: str) -> str:
    return f"{file}: line {number}: {why}: another version of risk-daemon wrote this log, replay it with that one"


def _lines(path: Path) -> Iterator[tuple[Path, int, LogLine]]:
    files = pieces_of(path)
    if not files:
        raise UsageError(f"{path}: there is no event log: no {LIVE}")
    for file in files:
        for number, line in enumerate(read_piece(file), start=1):
            yield file, number, line


def _take(curve: LogCurve, line: LogLine) -> None:
    """Raises KeyError, ValueError or TypeError for what this version would not have written."""
    wall = max(curve.seen_wall, _wall(line))
    match line.event:
        case EventName.PORTFOLIO_UPDATE:
            _take_update(curve, wall, line.fields)
        case EventName.FLOW_DETECTED:
            _take_flow(curve, finite(line.fields["value"]))
        case EventName.CIRCUIT_BREAKER_TRIGGERED:
            curve.logged.append(Logged(wall, str(line.fields["breaker"]), str(line.fields["action"])))
        case EventName.SYSTEM_SHUTDOWN:
            _unknown(curve, wall)
        case EventName.CONFIGURATION_LOADED:
            _unknown(curve, curve.seen_wall)  # of a run that ended without a word, as of any other
    curve.seen_wall = wall


def _wall(line: LogLine) -> float:
    moment = datetime.fromisoformat(line.time)
    if moment.tzinfo is None:
        raise ValueError("its time has no zone")
    return moment.timestamp()


def _take_update(curve: LogCurve, wall: float, fields: dict[str, Any]) -> None:
    if not isinstance(fields["trusted"], bool):
        raise TypeError("trusted is neither true nor false")
    if not fields["trusted"] or fields["equity"] is None:
        _unknown(curve, wall)
        return
    equity = EXACT.multiply(finite(fields["equity"]), curve.factor)
    if curve.rows and curve.rows[-1][1] is None:
        curve.gaps.append(Gap("equity", curve.rows[-1][0], wall))
    _append(curve, wall, equity)
    curve.last = equity


def _take_flow(curve: LogCurve, value: Decimal) -> None:
    """Losses are ratios, and a flow moves none: what comes after it counts as if it had not been."""
    if curve.last is None:
        return
    before = EXACT.divide(curve.last, curve.factor)
    if before > 0 and before + value > 0:
        curve.factor = EXACT.multiply(curve.factor, EXACT.divide(before, before + value))


def _unknown(curve: LogCurve, wall: float) -> None:
    if curve.rows and curve.rows[-1][1] is not None:
        _append(curve, wall, None)


def _append(curve: LogCurve, wall: float, equity: Decimal | None) -> None:
    """Times rise, whatever the clock of that day did: what was known was known for a moment."""
    after = curve.rows[-1][0] + _MOMENT_S if curve.rows else wall
    curve.rows.append((max(wall, after), equity))
