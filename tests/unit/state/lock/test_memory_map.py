"""The gate's page: never a mixed record, and nothing but a fresh, whole OPEN is open."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from risk_daemon.client import TradingGate
from risk_daemon.errors import RecordError
from risk_daemon.model.clock import Instant, ManualClock, SystemClock
from risk_daemon.state.lock import memory_map as shared
from risk_daemon.state.lock.base import UNREADABLE, LockRecord
from risk_daemon.state.lock.memory_map import SIZE, MemoryMap, read, shut
from tests.e2e.harness import wait_for

OPEN = LockRecord(locked=False)
LOCKED = LockRecord(True, "drawdown", "trip-1", 1_763_636_400.5, 1_763_640_000.25)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gate.bin"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def patched(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def test_a_new_gate_is_shut_and_starting(path: Path, clock: ManualClock) -> None:
    MemoryMap(path)
    assert path.stat().st_size == SIZE
    record = read(path, clock)
    assert (record.locked, record.cause) == (True, "starting")


def test_bots_of_other_users_may_read_it_whatever_the_umask(path: Path) -> None:
    before = os.umask(0o077)
    try:
        MemoryMap(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_record_comes_back(path: Path, clock: ManualClock) -> None:
    lock = MemoryMap(path)
    lock.write(LOCKED, clock.now())
    assert read(path, clock) == LOCKED
    lock.write(OPEN, clock.now())
    assert read(path, clock) == OPEN


def test_the_layout_is_the_documented_one(path: Path, clock: ManualClock) -> None:
    MemoryMap(path).write(LOCKED, clock.now())
    data = path.read_bytes()
    assert data[:16] == b"RDGATE\r\n" + struct.pack("<II", 1, 0)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    assert data[16:32].hex() == boot
    sequence, stamp, state, valid = struct.unpack_from("<QQ4sI", data, 32)
    assert (sequence % 2, stamp, state, valid) == (0, 1_000_000_000_000, b"SHUT", 1000)
    since, until, cause_bytes, trip_bytes = struct.unpack_from("<ddHH", data, 56)
    assert (since, until) == (LOCKED.since_wall, LOCKED.until_wall)
    assert (data[80 : 80 + cause_bytes], data[336 : 336 + trip_bytes]) == (b"drawdown", b"trip-1")


def test_an_open_runs_out_after_a_second(path: Path, clock: ManualClock) -> None:
    lock = MemoryMap(path)
    lock.write(OPEN, clock.now())
    clock.advance(1.0)
    assert read(path, clock) == OPEN
    clock.advance(0.001)
    assert read(path, clock) == UNREADABLE
    lock.stamp(clock.now())
    assert read(path, clock) == OPEN


def test_a_stamp_from_the_future_is_locked(path: Path, clock: ManualClock) -> None:
    lock = MemoryMap(path)
    lock.write(OPEN, Instant(clock.now().mono + 0.001, 0.0))
    assert read(path, clock) == UNREADABLE


def test_a_jump_of_the_wall_clock_does_not_matter(path: Path, clock: ManualClock) -> None:
    MemoryMap(path).write(OPEN, clock.now())
    clock.jump(-86_400)
    assert read(path, clock) == OPEN


def test_a_writer_can_not_ask_for_more_than_a_second(path: Path, clock: ManualClock) -> None:
    MemoryMap(path, valid_ms=60_000).write(OPEN, clock.now())
    assert struct.unpack_from("<I", path.read_bytes(), 52) == (1000,)
    lock = MemoryMap(path, valid_ms=100)
    lock.write(OPEN, clock.now())
    clock.advance(0.2)
    assert read(path, clock).locked


@pytest.mark.parametrize(
    ("offset", "data"),
    [
        (0, b"X"),
        (8, b"\x02"),
        (16, bytes(16)),
        (32, b"\x01"),
        (48, b"open"),
        (56, b"\xff"),
        (76, b"\xff\xff"),
        (80, b"\xff"),
        (400, b"\xff"),
    ],
)
def test_anything_odd_is_locked(path: Path, clock: ManualClock, offset: int, data: bytes) -> None:
    MemoryMap(path).write(OPEN, clock.now())
    patched(path, offset, data)
    assert read(path, clock) == UNREADABLE


@pytest.mark.parametrize("content", [b"", b"RDGATE", bytes(SIZE), bytes(2 * SIZE), b"\xff" * SIZE])
def test_garbage_is_locked_and_a_writer_mends_it(path: Path, clock: ManualClock, content: bytes) -> None:
    path.write_bytes(content)
    assert read(path, clock) == UNREADABLE
    MemoryMap(path).write(OPEN, clock.now())
    assert read(path, clock) == OPEN


def test_absent_is_locked(path: Path, clock: ManualClock) -> None:
    assert read(path, clock) == UNREADABLE
    assert read(path.parent, clock) == UNREADABLE


def test_another_boot_is_locked(path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "boot_id", lambda: bytes(16))
    MemoryMap(path).write(OPEN, clock.now())
    assert read(path, clock) == OPEN
    monkeypatch.undo()
    assert read(path, clock) == UNREADABLE


def test_a_restart_shuts_and_keeps_the_cause_of_a_lock(path: Path, clock: ManualClock) -> None:
    MemoryMap(path).write(OPEN, clock.now())
    MemoryMap(path).close()
    assert read(path, clock).cause == "starting"
    MemoryMap(path).write(LOCKED, clock.now())
    MemoryMap(path).close()
    assert read(path, clock) == LOCKED


def test_shutting_without_a_daemon(path: Path, clock: ManualClock) -> None:
    shut(path)
    assert read(path, clock).cause == "locked"
    MemoryMap(path).write(OPEN, clock.now())
    shut(path)
    assert read(path, clock).cause == "locked"
    shut(path, LOCKED)
    shut(path)
    assert read(path, clock) == LOCKED


def test_a_stamp_never_opens(path: Path, clock: ManualClock) -> None:
    lock = MemoryMap(path)
    lock.write(OPEN, clock.now())
    shut(path, LOCKED)
    lock.stamp(clock.now())
    assert read(path, clock) == LOCKED


def test_a_writer_that_died_while_writing_leaves_it_locked(path: Path, clock: ManualClock) -> None:
    lock = MemoryMap(path)
    lock.write(OPEN, clock.now())
    patched(path, 32, b"\x09")
    assert read(path, clock) == UNREADABLE
    MemoryMap(path).write(OPEN, clock.now())
    assert read(path, clock) == OPEN


def test_long_texts_are_cut_between_characters(path: Path, clock: ManualClock) -> None:
    record = LockRecord(True, "é" * 200, "t" * 300)
    MemoryMap(path).write(record, clock.now())
    assert read(path, clock) == LockRecord(True, "é" * 128, "t" * 128)


def test_a_lock_without_a_cause_has_one(path: Path, clock: ManualClock) -> None:
    MemoryMap(path).write(LockRecord(locked=True), clock.now())
    assert read(path, clock).cause == "locked"


def test_a_gate_that_can_not_be_made_is_reported(tmp_path: Path) -> None:
    for path in (tmp_path / "none" / "gate.bin", Path("/proc/gate.bin"), tmp_path):
        with pytest.raises(RecordError, match="the gate can't be made"):
            MemoryMap(path)
    with pytest.raises(RecordError):
        shut(tmp_path / "none" / "gate.bin")


def record_of(number: int) -> LockRecord:
    """A record whose every field says which one it is."""
    text = f"{number}:" + "x" * (number % 100)
    return LockRecord(True, text, text, float(number), float(number))


def assert_whole(record: LockRecord) -> None:
    assert record == UNREADABLE or record == record_of(int(record.since_wall))


def test_a_reader_under_a_hammering_thread_sees_whole_records(path: Path) -> None:
    lock, clock, stop = MemoryMap(path), SystemClock(), threading.Event()
    lock.write(record_of(0), clock.now())

    def hammer() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            lock.write(record_of(number), clock.now())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread = threading.Thread(target=hammer)
    thread.start()
    try:
        seen = [read(path, clock) for _ in range(3000)]
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    for record in seen:
        assert_whole(record)
    assert len({record.cause for record in seen}) > 2


HAMMER = """
import sys
from pathlib import Path
from risk_daemon.model.clock import SystemClock
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.memory_map import MemoryMap
lock, clock, number = MemoryMap(Path(sys.argv[1])), SystemClock(), 0
while True:
    number += 1
    text = f"{number}:" + "x" * (number % 100)
    lock.write(LockRecord(True, text, text, float(number), float(number)), clock.now())
    if number == 1:
        print("writing", flush=True)
"""


def test_a_reader_under_a_hammering_process_sees_whole_records(path: Path) -> None:
    clock = SystemClock()
    with subprocess.Popen([sys.executable, "-c", HAMMER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "writing\n"
            seen = [read(path, clock) for _ in range(5000)]
        finally:
            process.kill()
    for record in seen:
        assert_whole(record)
    whole = [record for record in seen if record != UNREADABLE]
    assert len(whole) > len(seen) // 2
    assert len({record.cause for record in whole}) > 2


OPENER = """
import sys, time
from pathlib import Path
from risk_daemon.model.clock import SystemClock
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.memory_map import MemoryMap
lock, clock = MemoryMap(Path(sys.argv[1])), SystemClock()
lock.write(LockRecord(locked=False), clock.now())
print("open", flush=True)
while True:
    lock.stamp(clock.now())
"""


def test_a_dead_daemon_is_locked_within_a_second(path: Path) -> None:
    gate = TradingGate(path)
    with subprocess.Popen([sys.executable, "-c", OPENER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            wait_for(gate.is_open, "an open gate")
        finally:
            process.kill()
    died = SystemClock().now()
    assert read(path, ManualClock(died.mono + 1.001)) == UNREADABLE
    asked = died
    while asked.mono - died.mono <= 1.001:
        asked = SystemClock().now()
        answer = gate.is_open()
    assert not answer


# --- what somebody else does to the file -------------------------------------------------------------


def truncated(path: Path) -> None:
    os.truncate(path, 0)


def cut(path: Path) -> None:
    os.truncate(path, 100)


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"\0" * SIZE)
    os.replace(other, path)


def removed(path: Path) -> None:
    path.unlink()


def forged(path: Path) -> None:
    patched(path, 48, b"OPEN")


def grown(path: Path) -> None:
    os.truncate(path, 2 * SIZE)


HARMS = {
    truncated: "it had 0 bytes",
    cut: "it had 100 bytes",
    grown: f"it had {2 * SIZE} bytes",
    replaced: "another file stood in its place",
    removed: "it was gone",
    forged: "somebody had written into it",
}


@pytest.mark.parametrize(("harm", "told"), HARMS.items())
def test_what_others_do_to_it_is_told_once_and_mended(
    path: Path, clock: ManualClock, harm: Callable[[Path], None], told: str
) -> None:
    lock = MemoryMap(path)
    lock.write(LOCKED, clock.now())
    assert lock.look(clock.now()) is None
    for _ in range(2):
        harm(path)
        assert lock.look(clock.now()) == f"{path}: {told}: written anew"
        assert lock.look(clock.now()) is None
        assert read(path, clock) == LOCKED
        assert path.stat().st_size == SIZE
    lock.write(OPEN, clock.now())
    assert read(path, clock) == OPEN


@pytest.mark.parametrize("harm", HARMS)
def test_a_reader_outlives_it_and_hears_the_daemon_again(path: Path, harm: Callable[[Path], None]) -> None:
    lock, gate, clock = MemoryMap(path), TradingGate(path), SystemClock()
    lock.write(OPEN, clock.now())
    assert gate.is_open()
    harm(path)
    gate.is_open()
    gate.reason()
    gate.peek()
    lock.stamp(clock.now())
    lock.look(clock.now())
    lock.write(LOCKED, clock.now())
    assert (gate.is_open(), gate.reason()) == (False, "drawdown")
    lock.write(OPEN, clock.now())
    assert gate.is_open()


def test_what_can_not_be_written_is_not_stamped(
    path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open that should have been shut, on a disk that takes nothing: it runs out."""
    lock = MemoryMap(path)
    lock.write(OPEN, clock.now())
    pwrite = os.pwrite

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    lock.write(LOCKED, clock.now())
    told = lock.look(clock.now())
    assert told is not None
    assert "not mended: No space left on device" in told
    assert lock.look(clock.now()) is None, "told once"
    monkeypatch.setattr(os, "pwrite", pwrite)
    clock.advance(1.1)
    lock.stamp(clock.now())
    assert read(path, clock) == UNREADABLE, "it is not stamped before it is written"
    told = lock.look(clock.now())
    assert told is not None
    assert "written anew" in told
    assert read(path, clock) == LOCKED


def test_a_reader_whose_descriptor_was_closed_opens_it_again(path: Path) -> None:
    """As programs do that become daemons: they close every descriptor, and the numbers go to other files."""
    lock, gate, clock = MemoryMap(path), TradingGate(path), SystemClock()
    lock.write(OPEN, clock.now())
    assert gate.is_open()
    assert gate._opened is not None
    number = gate._opened.descriptor
    os.close(number)
    other = os.open("/dev/null", os.O_RDONLY)
    assert other == number
    lock.write(OPEN, clock.now())
    assert gate.is_open()
    os.close(other)  # it is still the other's: nobody closed it for him
    assert gate.is_open()


TRUNCATOR = """
import os, sys
while True:
    os.truncate(sys.argv[1], 0)
    os.truncate(sys.argv[1], 4096)
"""


def test_truncating_all_the_time_kills_nobody(path: Path) -> None:
    lock, gate, clock = MemoryMap(path), TradingGate(path), SystemClock()
    with subprocess.Popen([sys.executable, "-c", TRUNCATOR, str(path)]) as process:
        try:
            for _ in range(3000):
                lock.write(OPEN, clock.now())
                gate.is_open()
                lock.stamp(clock.now())
                lock.look(clock.now())
        finally:
            process.kill()
    lock.look(clock.now())
    lock.write(OPEN, clock.now())
    assert gate.is_open()
