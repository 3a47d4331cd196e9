"""TradingGate: anything but a fresh yes is a no, whatever becomes of the file."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from risk_daemon.client import TradingGate
from risk_daemon.model.clock import Instant, SystemClock
from risk_daemon.state.lock import base
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.memory_map import SIZE, MemoryMap

OPEN = LockRecord(locked=False)
LOCKED = LockRecord(True, "daily_loss", "trip-1")


def now(offset_s: float = 0.0) -> Instant:
    instant = SystemClock().now()
    return Instant(instant.mono + offset_s, instant.wall)


def test_it_follows_the_lock(tmp_path: Path) -> None:
    lock, gate = MemoryMap(tmp_path / "gate.bin"), TradingGate(tmp_path)
    assert (gate.is_open(), gate.reason()) == (False, "starting")
    lock.write(OPEN, now())
    assert (gate.is_open(), gate.reason()) == (True, "")
    lock.write(LOCKED, now())
    assert (gate.is_open(), gate.reason()) == (False, "daily_loss")


def test_it_takes_the_file_or_text(tmp_path: Path) -> None:
    MemoryMap(tmp_path / "gate.bin").write(OPEN, now())
    assert TradingGate(tmp_path / "gate.bin").is_open()
    assert TradingGate(str(tmp_path)).is_open()


def test_without_a_file_it_is_shut(tmp_path: Path) -> None:
    gate = TradingGate(tmp_path / "none")
    assert (gate.is_open(), gate.reason()) == (False, "locked")


@pytest.mark.parametrize("content", [b"", b"\0" * SIZE, b"\xff" * SIZE, b"OPEN" * (SIZE // 4)])
def test_garbage_is_shut(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "gate.bin").write_bytes(content)
    gate = TradingGate(tmp_path)
    assert (gate.is_open(), gate.reason()) == (False, "locked")


@pytest.mark.parametrize("offset_s", [-1.01, -60.0, 5.0])
def test_an_old_or_future_stamp_is_shut(tmp_path: Path, offset_s: float) -> None:
    lock, gate = MemoryMap(tmp_path / "gate.bin"), TradingGate(tmp_path)
    lock.write(OPEN, now())
    assert gate.is_open()
    lock.stamp(now(offset_s))
    assert (gate.is_open(), gate.reason()) == (False, "locked")
    lock.stamp(now())
    assert gate.is_open()


@pytest.mark.parametrize(("offset", "data"), [(0, b"X"), (8, b"\x02"), (16, bytes(16)), (32, b"\x01"), (48, b"open")])
def test_an_odd_byte_is_shut(tmp_path: Path, offset: int, data: bytes) -> None:
    path = tmp_path / "gate.bin"
    MemoryMap(path).write(OPEN, now())
    gate = TradingGate(tmp_path)
    assert gate.is_open()
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
    assert not gate.is_open()


def test_a_file_that_appears_later_is_found(tmp_path: Path) -> None:
    gate = TradingGate(tmp_path / "state")
    assert not gate.is_open()
    (tmp_path / "state").mkdir()
    assert not gate.is_open()
    MemoryMap(tmp_path / "state" / "gate.bin").write(OPEN, now())
    assert gate.is_open()


def test_a_replaced_file_is_found(tmp_path: Path) -> None:
    path, gate = tmp_path / "gate.bin", TradingGate(tmp_path)
    old = MemoryMap(path)
    old.write(OPEN, now())
    assert gate.is_open()
    path.unlink()
    old.write(LOCKED, now())
    assert (gate.is_open(), gate.reason()) == (False, "locked")
    MemoryMap(path).write(OPEN, now())
    assert gate.is_open()


def test_a_restarted_daemon_keeps_the_map(tmp_path: Path) -> None:
    gate = TradingGate(tmp_path)
    MemoryMap(tmp_path / "gate.bin").write(OPEN, now())
    assert gate.is_open()
    again = MemoryMap(tmp_path / "gate.bin")
    assert (gate.is_open(), gate.reason()) == (False, "starting")
    again.write(OPEN, now())
    assert gate.is_open()


def test_without_a_boot_id_it_is_shut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MemoryMap(tmp_path / "gate.bin").write(OPEN, now())
    for content in (None, "nonsense", "00"):
        source = tmp_path / "boot_id"
        if content is not None:
            source.write_text(content)
        monkeypatch.setattr(base, "_BOOT_ID", source)
        base.boot_id.cache_clear()
        gate = TradingGate(tmp_path)
        assert (gate.is_open(), gate.reason()) == (False, "locked")


def test_no_open_is_seen_after_a_lock(tmp_path: Path) -> None:
    """Many threads ask while the lock goes back and forth: none says open once `locked` is out."""
    lock, gate = MemoryMap(tmp_path / "gate.bin"), TradingGate(tmp_path)
    locked_at = threading.Event()
    wrong: list[bool] = []
    answers: list[bool] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            locked = locked_at.is_set()
            answer = gate.is_open()
            if locked and answer and locked_at.is_set():
                wrong.append(answer)
            answers.append(answer)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    lock.write(OPEN, now())
    while True not in answers:
        lock.stamp(now())
    lock.write(LOCKED, now())
    locked_at.set()
    count = len(answers)
    while len(answers) < count + 300:
        lock.stamp(now())
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong


def test_it_needs_nothing_but_the_standard_library() -> None:
    program = (
        "import sys; before = set(sys.modules); import risk_daemon.client;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before}"
        " - set(sys.stdlib_module_names) - {'risk_daemon'})"
    )
    environment = dict(os.environ)
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert output.stdout.strip() == ""


def test_it_loads_neither_asyncio_nor_the_daemon() -> None:
    program = (
        "import sys, risk_daemon.client; print('asyncio' in sys.modules, 'risk_daemon.model.events' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert output.stdout.split() == ["False", "False"]
