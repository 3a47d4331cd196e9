"""lock.json: an `open` that expires, writes that land in their order."""

# ruff: noqa: ASYNC240 - a test may look at its files

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.errors import RecordError
from risk_daemon.model.clock import ManualClock
from risk_daemon.state.files import replace_file
from risk_daemon.state.lock import file as lock_file
from risk_daemon.state.lock.base import UNREADABLE, LockRecord, LockStore, boot_id
from risk_daemon.state.lock.file import FileLock, read
from risk_daemon.state.worker import inline

OPEN = LockRecord(locked=False)
LOCKED = LockRecord(True, "capital_loss", "trip-1", 1_763_636_400.5, None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock.json"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_it_is_a_lock_store(path: Path, clock: ManualClock) -> None:
    store: LockStore = FileLock(path)
    await store.write(LOCKED, clock.now())
    assert read(path, clock) == LOCKED
    await store.write(OPEN, clock.now())
    assert read(path, clock) == OPEN
    assert store.name == "file"


async def test_an_open_expires_unless_it_is_renewed(path: Path, clock: ManualClock) -> None:
    store = FileLock(path, lease_s=3.0, run=inline)
    await store.write(OPEN, clock.now())
    clock.advance(3.001)
    assert read(path, clock) == UNREADABLE
    await store.refresh(clock.now())
    assert read(path, clock) == OPEN


async def test_renewing_writes_at_a_third_of_the_lease(path: Path, clock: ManualClock) -> None:
    store = FileLock(path, lease_s=3.0, run=inline)
    await store.write(OPEN, clock.now())
    before = path.stat().st_ino
    await store.refresh(clock.advance(0.9))
    assert path.stat().st_ino == before
    stamp = clock.advance(0.2)
    await store.refresh(stamp)
    assert json.loads(path.read_text())["stamp_mono"] == stamp.mono


async def test_renewing_does_nothing_to_a_lock(path: Path, clock: ManualClock) -> None:
    store = FileLock(path, run=inline)
    await store.refresh(clock.now())
    assert not path.exists()
    await store.write(LOCKED, clock.now())
    content = path.read_bytes()
    await store.refresh(clock.advance(100))
    assert path.read_bytes() == content
    assert read(path, clock) == LOCKED


async def test_an_open_from_the_future_or_another_boot_is_locked(path: Path, clock: ManualClock) -> None:
    await FileLock(path, run=inline).write(OPEN, clock.now())
    document = json.loads(path.read_text())
    assert read(path, ManualClock(mono=clock.now().mono - 0.001)) == UNREADABLE
    path.write_text(json.dumps(document | {"boot_id": "00" * 16}))
    assert read(path, clock) == UNREADABLE


async def test_setting_the_wall_clock_back_keeps_nothing_open(path: Path, clock: ManualClock) -> None:
    await FileLock(path, run=inline).write(OPEN, clock.now())
    clock.advance(11)
    clock.jump(-3600)
    assert read(path, clock) == UNREADABLE


def good(clock: ManualClock) -> dict[str, Any]:
    lease = {"boot_id": boot_id().hex(), "stamp_mono": clock.now().mono, "lease_s": 5.0}
    return {"format": 1, **OPEN.document(), **lease}


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"locked": None},
        {"locked": 0},
        {"locked": "false"},
        {"stamp_mono": "later"},
        {"stamp_mono": float("nan")},
        {"lease_s": None},
        {"lease_s": float("nan")},
        {"cause": None},
        {"trip_id": 1},
        {"since_wall": None},
        {"since_wall": True},
        {"until_wall": float("inf")},
        {"boot_id": None},
    ],
)
def test_an_odd_field_is_locked(path: Path, clock: ManualClock, change: dict[str, Any]) -> None:
    path.write_text(json.dumps(good(clock)))
    assert read(path, clock) == OPEN
    path.write_text(json.dumps(good(clock) | change))
    assert read(path, clock) == UNREADABLE


@pytest.mark.parametrize("name", sorted(good(ManualClock()).keys() - {"trip_id", "until_wall"}))
def test_a_missing_field_is_locked(path: Path, clock: ManualClock, name: str) -> None:
    document = good(clock)
    del document[name]
    path.write_text(json.dumps(document))
    assert read(path, clock) == UNREADABLE


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"<html>", b"\xff\xfe", b"[" * 100_000])
def test_garbage_is_locked(path: Path, clock: ManualClock, content: bytes) -> None:
    path.write_bytes(content)
    assert read(path, clock) == UNREADABLE


def test_a_huge_lease_is_capped(path: Path, clock: ManualClock) -> None:
    path.write_text(json.dumps(good(clock) | {"lease_s": 1e9}))
    clock.advance(10.001)
    assert read(path, clock) == UNREADABLE


def test_absent_is_locked(path: Path, clock: ManualClock) -> None:
    assert read(path, clock) == UNREADABLE


async def test_a_failure_is_reported(path: Path, clock: ManualClock) -> None:
    with pytest.raises(RecordError, match=r"lock\.json"):
        await FileLock(path.parent / "none" / "lock.json").write(LOCKED, clock.now())


async def test_a_failed_renewal_is_tried_again(path: Path, clock: ManualClock) -> None:
    store = FileLock(path, run=inline)
    await store.write(OPEN, clock.now())
    path.unlink()
    path.mkdir()
    with pytest.raises(RecordError):
        await store.refresh(clock.advance(2))
    path.rmdir()
    await store.refresh(clock.advance(0.1))
    assert read(path, clock) == OPEN


async def test_a_hung_open_does_not_land_on_a_later_lock(
    path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, overtaken, landed = threading.Event(), threading.Event(), threading.Event()

    def hung(target: Path, data: bytes) -> None:
        if started.is_set():
            replace_file(target, data)
            overtaken.set()
            return
        started.set()
        overtaken.wait(0.2)  # long enough for another thread to overtake, if there were one
        replace_file(target, data)
        landed.set()

    store = FileLock(path)
    monkeypatch.setattr(lock_file, "replace_file", hung)
    opening = asyncio.create_task(store.write(OPEN, clock.now()))
    await asyncio.to_thread(started.wait, 10)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await store.write(LOCKED, clock.now())
    await asyncio.to_thread(landed.wait, 10)
    assert read(path, clock) == LOCKED
