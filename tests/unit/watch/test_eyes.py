"""What a look at a state directory finds, and what it makes of files that are gone, torn or foreign."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from risk_daemon.model.clock import Instant, SystemClock
from risk_daemon.model.events import EventName, RiskEvent
from risk_daemon.state.event_log import EventLog
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.memory_map import SIZE, MemoryMap
from risk_daemon.state.risk_file import RiskFile
from risk_daemon.watch import eyes
from risk_daemon.watch.eyes import Eyes, Tail

OPEN = LockRecord(locked=False, since_wall=1.0)
TRIPPED = LockRecord(locked=True, cause="capital_loss", trip_id="t-1", since_wall=1.0)


def later(seconds: float) -> Instant:
    now = SystemClock().now()
    return Instant(now.mono + seconds, now.wall + seconds)


def test_an_empty_directory(tmp_path: Path) -> None:
    seen = Eyes(tmp_path).look(later(0))
    assert (seen.stamp_age_s, seen.is_blank, seen.trip_id, seen.risk_age_s, seen.lines) == (None, False, None, None, ())
    assert seen.free_bytes is not None
    assert seen.free_bytes > 0


def test_no_directory(tmp_path: Path) -> None:
    seen = Eyes(tmp_path / "nowhere").look(later(0))
    assert (seen.stamp_age_s, seen.free_bytes) == (None, None)


def test_a_gate_that_may_not_be_looked_at_is_not_one_that_is_gone(tmp_path: Path) -> None:
    assert Eyes(tmp_path).look(later(0)).is_visible
    assert Eyes(tmp_path / "nowhere").look(later(0)).is_visible
    (tmp_path / "gate.bin").symlink_to("gate.bin")  # a loop: it can't be opened, whoever asks
    seen = Eyes(tmp_path).look(later(0))
    assert (seen.is_visible, seen.stamp_age_s) == (False, None)


def test_how_old_the_stamp_and_the_risk_file_are(tmp_path: Path) -> None:
    gate = MemoryMap(tmp_path / "gate.bin")
    gate.write(OPEN, SystemClock().now())
    (tmp_path / "risk.json").write_text("{}")
    seen = Eyes(tmp_path).look(later(7))
    assert seen.stamp_age_s == pytest.approx(7, abs=1)
    assert seen.risk_age_s == pytest.approx(7, abs=1)
    assert seen.trip_id is None
    gate.write(TRIPPED, SystemClock().now())
    gate.close()
    seen = Eyes(tmp_path).look(later(0))
    assert (seen.trip_id, seen.trip_cause) == ("t-1", "capital_loss")


@pytest.mark.parametrize(
    ("content", "is_blank"), [(bytes(SIZE), True), (b"", False), (b"?" * SIZE, False), (b"RDGATE", False)]
)
def test_a_gate_that_is_none(tmp_path: Path, content: bytes, is_blank: bool) -> None:
    (tmp_path / "gate.bin").write_bytes(content)
    seen = Eyes(tmp_path).look(later(0))
    assert (seen.stamp_age_s, seen.is_blank, seen.is_legible, seen.trip_id) == (None, is_blank, False, None)


def test_a_stamp_of_the_future_or_of_another_boot_is_none(tmp_path: Path) -> None:
    gate = MemoryMap(tmp_path / "gate.bin")
    gate.write(OPEN, later(3_600))
    assert Eyes(tmp_path).look(later(0)).stamp_age_s is None
    gate.write(OPEN, later(0))
    with (tmp_path / "gate.bin").open("r+b") as file:
        file.seek(16)
        file.write(bytes(16))
    assert Eyes(tmp_path).look(later(0)).stamp_age_s is None
    gate.close()


# --- the log -----------------------------------------------------------------------------------------


def write(path: Path, *codes: int) -> None:
    log = EventLog.open(path)
    for code in codes:
        log.append(RiskEvent(EventName.SYSTEM_SHUTDOWN, {"exit_code": code}), 1_790_000_000.5)
    log.close()


def codes(tail: Tail) -> list[int]:
    return [line.fields["exit_code"] for line in tail.news() or ()]


def test_each_line_is_news_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    tail = Tail(path)
    assert tail.news() == ()
    write(path, 1, 2)
    (first, _) = tail.news() or ()
    assert (first.event, first.wall) == ("system_shutdown", 1_790_000_000.5)
    write(path, 3)
    assert codes(tail) == [3]
    assert codes(tail) == []


def test_half_a_line_comes_when_it_is_whole_and_no_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    write(path, 1, 2)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    tail = Tail(path)
    assert codes(tail) == [1]
    path.write_bytes(whole + b"garbage\n{}\n[]\n" + b'{"time": 5, "event": "x"}\n' + b"[" * 100_000 + b"\n")
    assert codes(tail) == [2]
    assert codes(tail) == []


def test_a_line_without_an_end_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eyes, "_MOST_BYTES", 1_000)
    path = tmp_path / "events.jsonl"
    write(path, 1)
    tail = Tail(path)
    assert codes(tail) == [1]
    with path.open("ab") as file:
        file.write(b"x" * 2_500 + b"\n")
    whole = path.read_bytes()
    found = [codes(tail) for _ in range(4)]
    assert found == [[], [], [], []]
    (tmp_path / "other.jsonl").write_bytes(b"")
    write(tmp_path / "other.jsonl", 2)
    path.write_bytes(whole + (tmp_path / "other.jsonl").read_bytes())
    assert codes(tail) == [2]


# --- as another user ---------------------------------------------------------------------------------


@pytest.mark.parametrize("is_in_group", [True, False])
def test_a_user_of_its_own_sees_the_gate_and_with_the_group_the_log(is_in_group: bool) -> None:
    """As under systemd: the directory is open for passing through, the log is its group's."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    root = Path(tempfile.mkdtemp())
    try:
        root.chmod(0o711)
        os.chown(root, 0, 4242)
        write(root / "events.jsonl", 4)
        gate = MemoryMap(root / "gate.bin")
        gate.write(OPEN, SystemClock().now())
        gate.close()
        RiskFile(root / "risk.json").write({}, SystemClock().now(), force=True)
        groups = os.getgroups()
        os.setgroups([4242] if is_in_group else [])
        os.seteuid(65534)
        try:
            seen = Eyes(root).look(later(0))
        finally:
            os.seteuid(0)
            os.setgroups(groups)
    finally:
        shutil.rmtree(root)
    assert seen.stamp_age_s is not None
    assert seen.risk_age_s is not None
    assert (seen.lines is not None) is is_in_group


def test_of_a_long_log_the_end_is_read_at_first(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    write(path, *range(3_000))
    assert path.stat().st_size > 300_000
    found = codes(Tail(path))
    assert found[-1] == 2_999
    assert 500 < len(found) < 2_900


def test_a_log_that_was_moved_away_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    write(path, 1, 2, 3)
    tail = Tail(path)
    assert codes(tail) == [1, 2, 3]
    path.rename(tmp_path / "old.jsonl")
    write(path, 4)
    assert codes(tail) == [4]
    os.truncate(path, 0)
    assert codes(tail) == []
    write(path, 5)
    assert codes(tail) == [5]


def test_a_log_that_can_not_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").mkdir()
    assert Tail(tmp_path / "events.jsonl").news() is None
