"""Small logs in several pieces, for tests."""

from __future__ import annotations

from pathlib import Path

from risk_daemon.model.events import EventName, RiskEvent
from risk_daemon.state.event_log import EventLog, read_log

WALL = 1_763_636_400.0
SMALL = 1_000  # bytes of a piece: about four lines


def event(**fields: object) -> RiskEvent:
    return RiskEvent(EventName.PORTFOLIO_UPDATE, fields)


def write(path: Path, count: int, wall: float = WALL, max_bytes: int = SMALL) -> None:
    """`count` more lines, one a second."""
    log = EventLog.open(path, max_bytes)
    for number in range(count):
        log.append(event(number=number), wall + number)
    log.close()


def seqs(path: Path) -> list[int]:
    return [line.seq for line in read_log(path)]


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def piece(path: Path, number: int) -> Path:
    return path.with_name(f"events.{number:06d}.jsonl")
