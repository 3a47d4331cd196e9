"""Event logs as curves: what is known, what is not, and flows taken out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.errors import RiskDaemonError, UsageError
from risk_daemon.model.events import EventName, RiskEvent
from risk_daemon.replay.logs import pieces_of, read_curve
from risk_daemon.state.event_log import EventLog

START = 1_738_497_600.0


def update(equity: object, **changes: Any) -> tuple[EventName, dict[str, Any]]:
    return EventName.PORTFOLIO_UPDATE, {"equity": str(equity), "trusted": True, **changes}


def written(path: Path, *events: tuple[EventName, dict[str, Any]], start: float = START) -> Path:
    """A log with an event a minute."""
    log = EventLog.open(path)
    for number, (name, fields) in enumerate(events):
        log.append(RiskEvent(name, fields), start + 60 * number)
    log.close()
    return path


def told(rows: Iterable[tuple[float, Decimal | None]]) -> list[tuple[float, Decimal | None]]:
    return [(round(wall - START, 3), value) for wall, value in rows]


def test_what_the_log_says_holds_until_it_says_something_else(tmp_path: Path) -> None:
    log = written(tmp_path / "log.jsonl", update(10_000), (EventName.VENUE_CONNECTED, {"venue": "a"}), update(9_900))
    curve = read_curve(log)
    assert told(curve.rows) == [(0, 10_000), (120, 9_900)]
    assert curve.gaps == []


def test_what_is_not_trusted_is_not_known(tmp_path: Path) -> None:
    log = written(tmp_path / "log.jsonl", update(10_000), update(9_000, trusted=False), update(9_990))
    curve = read_curve(log)
    assert told(curve.rows) == [(0, 10_000), (60, None), (120, 9_990)]
    assert [(gap.since_wall - START, gap.until_wall - START) for gap in curve.gaps] == [(60, 120)]


@pytest.mark.parametrize("last", [EventName.SYSTEM_SHUTDOWN, EventName.CONFIGURATION_LOADED])
def test_between_two_runs_nothing_is_known(last: EventName, tmp_path: Path) -> None:
    log = written(tmp_path / "log.jsonl", update(10_000), update(9_995), (last, {}), update(9_990))
    rows = told(read_curve(log).rows)
    assert [value for _, value in rows] == [10_000, 9_995, None, 9_990]
    assert rows[2][0] == (120 if last is EventName.SYSTEM_SHUTDOWN else 60.001), "a run may end without a word"


def test_a_flow_is_taken_out(tmp_path: Path) -> None:
    flow = (EventName.FLOW_DETECTED, {"value": "10000"})
    log = written(tmp_path / "log.jsonl", update(10_000), flow, update(20_000), update(19_000))
    assert [value for _, value in read_curve(log).rows] == [10_000, 10_000, 9_500]


def test_trips_of_the_log_itself_are_noted(tmp_path: Path) -> None:
    trip = (EventName.CIRCUIT_BREAKER_TRIGGERED, {"breaker": "daily_loss", "action": "freeze"})
    (logged,) = read_curve(written(tmp_path / "log.jsonl", update(10_000), trip)).logged
    assert (logged.wall, logged.breaker, logged.action) == (START + 60, "daily_loss", "freeze")


def test_pieces_are_read_in_their_order_and_the_live_file_last(tmp_path: Path) -> None:
    written(tmp_path / "events.000010.jsonl", update(2), start=START + 60)
    written(tmp_path / "events.000009.jsonl", update(1))
    live = written(tmp_path / "events.jsonl", update(3), start=START + 120)
    for source in (tmp_path, live):
        assert [value for _, value in read_curve(source).rows] == [1, 2, 3]
    assert pieces_of(tmp_path / "events.000009.jsonl") == [tmp_path / "events.000009.jsonl"]


def refusal(path: Path) -> str:
    with pytest.raises(RiskDaemonError) as refused:
        read_curve(path)
    assert refused.value.exit_code == 78
    return str(refused.value)


def test_a_log_of_another_version_is_refused_with_its_line(tmp_path: Path) -> None:
    log = written(tmp_path / "log.jsonl", update(10_000), update(9_900))
    lines = log.read_text().splitlines()
    for change in (
        {"event": "portfolio_updated"},
        {"equity": 9_900, "trusted": "yes"},
        {"equity": "nine"},
        {"time": "2025-02-02T12:01:00"},
    ):
        log.write_text("\n".join([lines[0], json.dumps({**json.loads(lines[1]), **change})]) + "\n")
        assert refusal(log).startswith(f"{log}: line 2: ")
        assert "another version of risk-daemon wrote this log" in refusal(log)
    without = {key: value for key, value in json.loads(lines[1]).items() if key != "trusted"}
    log.write_text("\n".join([lines[0], json.dumps(without)]) + "\n")
    assert "line 2: portfolio_update can't be read ('trusted')" in refusal(log)


def test_what_is_no_log_is_refused_with_its_line(tmp_path: Path) -> None:
    log = written(tmp_path / "log.jsonl", update(10_000))
    with log.open("a") as file:
        file.write("{}\n")
    assert refusal(log) == f"{log}: line 2 is not an entry of an event log"
    assert "no events.jsonl" in refusal_of_nothing(tmp_path / "state")


def refusal_of_nothing(directory: Path) -> str:
    directory.mkdir()
    return refusal(directory)


def test_a_log_without_equity_is_refused(tmp_path: Path) -> None:
    log = written(tmp_path / "log.jsonl", (EventName.VENUE_CONNECTED, {"venue": "a"}))
    with pytest.raises(UsageError, match="tells of no equity"):
        read_curve(log)
