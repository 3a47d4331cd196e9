"""The veto log: one line a veto, whatever the disk does, and nothing of it ever reaches the loop."""

# ruff: noqa: ASYNC240 - a test may look at its files

from __future__ import annotations

import asyncio
import json
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from risk_daemon.gate.restraints import OrderRequest, Veto
from risk_daemon.state.veto_log import RECENT_MAX, RotatedFile, VetoLog, VetoRecord
from risk_daemon.state.worker import inline

WALL = 1_763_636_400.5
ORDER = OrderRequest("kraken", "BTC/USDT", "buy", Decimal("0.10"), price=Decimal("5E+4"), bot="alpha")


def record(number: int = 0, **veto: Any) -> VetoRecord:
    return VetoRecord(WALL + number, ORDER, Veto(**{"veto_reason": "blind", "reason": f"reason {number}", **veto}))


def records(*numbers: int) -> list[VetoRecord]:
    return [record(number) for number in numbers]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "risk_vetoes.jsonl"


def lines(path: Path) -> list[dict[str, Any]]:
    content = path.read_bytes()
    assert not content or content.endswith(b"\n")
    return [json.loads(line, parse_constant=pytest.fail) for line in content.splitlines()]


def reasons(path: Path) -> list[str]:
    return [line["reason"] for line in lines(path)]


def expected(*numbers: int) -> list[str]:
    return [f"reason {number}" for number in numbers]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for may happen on a thread
            await asyncio.sleep(0)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """A full disk, as the kernel gives it: partial writes up to `size`, then errors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)


class Disk:
    """Does what it is asked for when it is told to, and counts."""

    def __init__(self) -> None:
        self.writes = 0
        self.error: Exception | None = None
        self.is_free = asyncio.Event()
        self.is_free.set()

    async def __call__(self, job: Callable[..., Any], /, *args: Any) -> Any:
        self.writes += 1
        await self.is_free.wait()
        if self.error is not None:
            raise self.error
        return job(*args)


def log_on(path: Path, disk: Disk, **settings: Any) -> VetoLog:
    return VetoLog(RotatedFile(path), disk, **{"batch_every_s": 0.0, "retry_every_s": 0.0, **settings})


# --- a line --------------------------------------------------------------------------------------------


async def test_a_line_says_all_and_what_is_unknown_is_null(path: Path) -> None:
    log = VetoLog.open(path)
    veto = Veto("portfolio_dd_circuit", "12 % below", {"dd": 0.12}, {"max": 0.1}, "trip-1", WALL + 60)
    order = replace(ORDER, client_order_id="c1", reduce_only=True)
    bare = OrderRequest("kraken", "BTC/USDT", "sell", Decimal(1), "market")
    log.append([VetoRecord(WALL, order, veto), VetoRecord(WALL, bare, Veto("custom:mine", "so"))])
    assert await log.close() == 0
    full, empty = lines(path)
    assert full == {
        "time": "2025-11-20T11:00:00.500000Z",
        "unix": WALL,
        "venue": "kraken",
        "symbol": "BTC/USDT",
        "side": "buy",
        "type": "limit",
        "quantity": "0.1",
        "price": "50000",
        "reduce_only": True,
        "client_order_id": "c1",
        "bot": "alpha",
        "veto_reason": "portfolio_dd_circuit",
        "reason": "12 % below",
        "observed": {"dd": 0.12},
        "limits": {"max": 0.1},
        "trip_id": "trip-1",
        "locked_until": "2025-11-20T11:01:00.500000Z",
    }
    assert list(empty) == list(full)
    unknown = {name for name, value in empty.items() if value is None}
    assert unknown == {"price", "client_order_id", "bot", "trip_id", "locked_until"}
    assert path.stat().st_mode & 0o777 == 0o640, "for a dashboard in the directory's group"
    assert path.stat().st_gid == path.parent.stat().st_gid


async def test_whatever_a_rule_observes_is_strictly_json(path: Path) -> None:
    class Odd:
        def __str__(self) -> str:
            return "odd" * 1000

    endless: list[Any] = []
    endless.append(endless)
    observed = {
        "nan": float("nan"),
        "inf": [float("-inf"), Decimal("NaN")],
        "amount": Decimal("1E+3"),
        "odd": Odd(),
        "endless": endless,
        3: {"set": {1}, "true": True, "none": None, "text": "é\ud800"},
    }
    log = VetoLog.open(path)
    log.append([record(1, observed=observed, limits={"x": float("inf")}, locked_until_wall=float("inf"))])
    assert await log.close() == 0
    (line,) = lines(path)
    assert line["observed"]["nan"] is None
    assert line["observed"]["inf"] == [None, None]
    assert line["observed"]["amount"] == "1000"
    assert len(line["observed"]["odd"]) == 200
    assert line["observed"]["3"] == {"set": [1], "true": True, "none": None, "text": "é\ud800"}
    assert line["limits"] == {"x": None}
    assert line["locked_until"] is None
    assert json.dumps(log.recent()[0], allow_nan=False) == json.dumps(line)


# --- the way into the file -------------------------------------------------------------------------------


async def test_what_waits_goes_out_in_one_write(path: Path) -> None:
    disk = Disk()
    log = log_on(path, disk)
    disk.is_free.clear()
    for number in range(1000):
        log.append([record(number)])
    assert disk.writes == 0
    await until(lambda: disk.writes == 1)
    log.append(records(*range(1000, 3000)))
    assert not path.exists()
    disk.is_free.set()
    await until(lambda: log.written == 3000)
    assert disk.writes == 2
    assert reasons(path) == expected(*range(3000))
    assert await log.close() == 0
    assert disk.writes == 2


async def test_it_is_written_on_a_thread_of_its_own(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set[str]()
    append = RotatedFile.append

    def watched(self: RotatedFile, data: bytes) -> None:
        threads.add(threading.current_thread().name)
        append(self, data)

    log = VetoLog.open(path)
    monkeypatch.setattr(RotatedFile, "append", watched)
    log.append(records(1))
    assert await log.close() == 0
    assert threads == {"veto-log"}


async def test_nothing_vetoed_writes_nothing(path: Path) -> None:
    log = VetoLog.open(path)
    log.append([])
    assert await log.close() == 0
    assert path.read_bytes() == b""


async def test_closing_waits_for_no_pause(path: Path) -> None:
    log = VetoLog(RotatedFile(path), Disk(), batch_every_s=3600.0)
    log.append(records(1))
    await until(lambda: log.written == 1)
    log.append(records(2))
    assert await log.close(within_s=20) == 0
    assert reasons(path) == expected(1, 2)


async def test_closing_gives_up_on_a_disk_that_hangs(path: Path) -> None:
    disk = Disk()
    log = log_on(path, disk)
    disk.is_free.clear()
    log.append(records(1, 2))
    with capture_logs() as logs:
        assert await log.close(within_s=0.01) == 2
    assert [(entry["event"], entry["count"]) for entry in logs] == [("vetoes_not_written", 2)]


async def test_closing_tries_once_more_and_gives_up_on_a_full_disk(path: Path) -> None:
    disk = Disk()
    log = log_on(path, disk, retry_every_s=3600.0)
    disk.error = OSError("no space left on device")
    log.append(records(1, 2))
    await until(lambda: log.is_failing)
    assert await log.close(within_s=20) == 2
    assert disk.writes == 2


async def test_what_comes_after_the_end_is_counted_and_raises_nothing(path: Path) -> None:
    log = VetoLog.open(path)
    log.append(records(1))
    assert await log.close() == 0
    log.append(records(2))
    assert log.dropped == 1
    assert reasons(path) == expected(1)


async def test_recent_are_the_last_ones_written_or_not(path: Path) -> None:
    disk = Disk()
    disk.error = OSError("no space left on device")
    log = log_on(path, disk, queue_max=10)
    log.append(records(*range(RECENT_MAX + 50)))
    assert [line["reason"] for line in log.recent()] == expected(*range(50, RECENT_MAX + 50))
    assert await log.close() == RECENT_MAX + 50


# --- across starts -----------------------------------------------------------------------------------------


async def test_recent_goes_on_over_a_restart_and_leaves_out_what_can_not_be_read(path: Path) -> None:
    before = VetoLog.open(path)
    before.append(records(*range(RECENT_MAX + 20)))
    await before.close()
    with path.open("ab") as file:
        file.write(b'{"half a li\n[1]\n\xff\n')
    log = VetoLog.open(path)
    log.append(records(900))
    assert [line["reason"] for line in log.recent()] == expected(*range(21, RECENT_MAX + 20), 900)
    await log.close()


async def test_a_new_start_goes_on_with_the_file(path: Path) -> None:
    for number in (1, 2):
        log = VetoLog.open(path)
        log.append(records(number))
        assert await log.close() == 0
    assert reasons(path) == expected(1, 2)


async def test_a_half_written_line_spoils_no_other(path: Path) -> None:
    path.write_bytes(b'{"reason":"whole"}\n{"reason":"ha')
    log = VetoLog.open(path)
    assert path.read_bytes().endswith(b'"ha\n')
    log.append(records(1))
    assert await log.close() == 0
    whole, half, rest = path.read_bytes().splitlines()
    assert (whole, half) == (b'{"reason":"whole"}', b'{"reason":"ha')
    assert json.loads(rest)["reason"] == "reason 1"


WRITER = """
import asyncio, sys
from decimal import Decimal
from pathlib import Path
from risk_daemon.gate.restraints import OrderRequest, Veto
from risk_daemon.state.veto_log import VetoLog, VetoRecord
async def main():
    log = VetoLog.open(Path(sys.argv[1]))
    order = OrderRequest("k", "s", "buy", Decimal(1))
    number = told = 0
    while True:
        for _ in range(20):
            log.append([VetoRecord(1.7e9, order, Veto("blind", f"reason {number}"))])
            number += 1
        await asyncio.sleep(0.001)
        if log.written > told:
            told = log.written
            print(told, flush=True)
asyncio.run(main())
"""


async def test_kill_9_loses_nothing_that_was_written(path: Path) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, str(path), stdout=subprocess.PIPE)
    assert process.stdout is not None
    told = [int(await process.stdout.readline()) for _ in range(5)]
    process.kill()
    told += [int(line) for line in (await process.stdout.read()).splitlines()]
    await process.wait()
    found = reasons(path)
    assert len(found) >= told[-1]
    assert found == expected(*range(len(found)))


# --- what goes wrong ----------------------------------------------------------------------------------------


async def test_a_full_disk_is_said_once_and_nothing_is_lost(path: Path) -> None:
    log = VetoLog(RotatedFile(path), inline, batch_every_s=0.0, retry_every_s=0.0)
    log.append(records(1))
    await until(lambda: log.written == 1)
    size = path.stat().st_size
    with capture_logs() as logs:
        with file_size_limit(size + 100):
            log.append(records(2))
            await until(lambda: log.is_failing)
            log.append(records(3))
            for _ in range(20):
                await asyncio.sleep(0)
            assert path.stat().st_size == size
        await until(lambda: log.written == 3)
    assert not log.is_failing
    assert [entry["event"] for entry in logs] == ["veto_log_failed", "veto_log_works_again"]
    assert await log.close() == 0
    assert reasons(path) == expected(1, 2, 3)


async def test_a_full_queue_is_counted_and_the_counts_add_up(path: Path) -> None:
    disk = Disk()
    log = log_on(path, disk, queue_max=10)
    disk.is_free.clear()
    with capture_logs() as logs:
        log.append(records(*range(4)))
        await until(lambda: disk.writes == 1)
        log.append(records(*range(4, 25)))
    assert [entry["event"] for entry in logs] == ["vetoes_dropped"]
    assert log.dropped == 15
    disk.is_free.set()
    await until(lambda: log.written == 10)
    log.append(records(25))
    assert await log.close() == 0
    found = lines(path)
    assert [line["reason"] for line in found if "dropped" not in line] == expected(*range(10), 25)
    (gap,) = (line for line in found if "dropped" in line)
    assert found.index(gap) == 10
    assert gap["dropped"] == 15
    assert set(found[0]) | {"dropped"} == set(gap)
    assert gap["veto_reason"] is None
    assert gap["time"] == found[0]["time"].replace("00.5", "24.5")


async def test_a_gap_that_could_not_be_told_is_told_later(path: Path) -> None:
    disk = Disk()
    log = log_on(path, disk, queue_max=2)
    disk.error = OSError("no space left on device")
    log.append(records(*range(5)))
    await until(lambda: disk.writes > 3)
    log.append(records(5, 6))
    disk.error = None
    assert await log.close() == 0
    found = lines(path)
    assert [line.get("dropped") for line in found] == [None, None, 5]
    assert (log.written, log.dropped) == (2, 5)


async def test_a_bug_in_one_batch_does_not_stop_the_next(path: Path) -> None:
    log = VetoLog(RotatedFile(path), inline, batch_every_s=0.0)
    broken = VetoRecord(WALL, replace(ORDER, quantity=None), Veto("blind", "why"))  # type: ignore[arg-type]
    with capture_logs() as logs:
        log.append([record(1), broken])
        await until(lambda: log.dropped == 2)
        log.append(records(2))
        assert await log.close() == 0
    assert logs[0]["event"] == "vetoes_dropped"
    assert [(line["reason"], line.get("dropped")) for line in lines(path) if line["veto_reason"]] == [
        ("reason 2", None)
    ]
    assert [line["dropped"] for line in lines(path) if not line["veto_reason"]] == [2]


async def test_a_file_that_cannot_be_opened_is_said_and_may_be_mended(path: Path) -> None:
    path.mkdir()
    with capture_logs() as logs:
        log = VetoLog.open(path)
    assert [entry["event"] for entry in logs] == ["veto_log_failed"]
    log.append(records(1))
    path.rmdir()
    assert await log.close(within_s=20) == 0
    assert reasons(path) == expected(1)


async def test_a_file_that_was_deleted_is_begun_anew(path: Path) -> None:
    log = VetoLog(RotatedFile(path), inline, batch_every_s=0.0)
    log.append(records(1))
    await until(lambda: log.written == 1)
    path.unlink()
    log.append(records(2))
    assert await log.close() == 0
    assert reasons(path) == expected(2)


# --- rotation -----------------------------------------------------------------------------------------------


def test_a_large_file_makes_room(path: Path) -> None:
    file = RotatedFile(path, max_bytes=10, keep=2)
    for number in range(5):
        file.append(b"%d........\n" % number)
        file.append(b"%d\n" % number)
    found = {entry.name: entry.read_bytes() for entry in path.parent.iterdir()}
    assert found == {
        "risk_vetoes.jsonl": b"4\n",
        "risk_vetoes.jsonl.1": b"3\n4........\n",
        "risk_vetoes.jsonl.2": b"2\n3........\n",
    }


def test_a_file_that_cannot_be_moved_is_written_on(path: Path) -> None:
    file = RotatedFile(path, max_bytes=10, keep=1)
    path.with_name("risk_vetoes.jsonl.1").mkdir()
    with capture_logs() as logs:
        for number in range(4):
            file.append(b"%d........\n" % number)
    assert path.read_bytes().count(b"\n") == 4
    assert [entry["event"] for entry in logs] == ["veto_log_not_rotated"]
