"""risk.json: whole, at most once a second, never NaN."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from risk_daemon.errors import InvariantError, RecordError
from risk_daemon.model.clock import ManualClock
from risk_daemon.state.risk_file import RiskFile


def test_it_is_written_at_most_once_a_second(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "risk.json"
    file = RiskFile(path)
    assert file.write({"n": 1}, clock.now())
    assert not file.write({"n": 2}, clock.advance(0.9))
    assert json.loads(path.read_text()) == {"n": 1}
    assert file.write({"n": 3}, clock.now(), force=True)
    assert not file.due(clock.advance(0.9))
    assert file.write({"n": 4}, clock.advance(0.2))
    assert json.loads(path.read_text()) == {"n": 4}
    assert [entry.name for entry in tmp_path.iterdir()] == ["risk.json"]


def test_everybody_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        RiskFile(tmp_path / "risk.json").write({"n": 1}, ManualClock().now())
    finally:
        os.umask(before)
    assert (tmp_path / "risk.json").stat().st_mode & 0o777 == 0o644


def test_amounts_are_strings_and_unknown_is_null(tmp_path: Path) -> None:
    path = tmp_path / "risk.json"
    RiskFile(path).write({"equity": Decimal("1E+4"), "ratio": 0.05, "dd": None}, ManualClock().now())
    assert json.loads(path.read_text()) == {"equity": "10000", "ratio": 0.05, "dd": None}


def test_nan_is_a_bug_and_keeps_the_old_file(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "risk.json"
    file = RiskFile(path)
    file.write({"n": 1}, clock.now())
    with pytest.raises(InvariantError):
        file.write({"n": float("nan")}, clock.advance(2))
    assert json.loads(path.read_text()) == {"n": 1}


def test_a_failure_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"risk\.json"):
        RiskFile(tmp_path / "none" / "risk.json").write({}, ManualClock().now())


def test_a_failed_replacement_leaves_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "risk.json"
    path.mkdir()
    with pytest.raises(RecordError):
        RiskFile(path).write({"n": 1}, ManualClock().now())
    assert [entry.name for entry in tmp_path.iterdir()] == ["risk.json"]
