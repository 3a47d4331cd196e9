"""One contract over every lock that others read: the file, the memory map, Redis."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from risk_daemon.client import TradingGate
from risk_daemon.errors import RecordError
from risk_daemon.model.clock import Instant
from risk_daemon.state.lock import file as lock_file
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.file import FileLock
from risk_daemon.state.lock.memory_map import MemoryMap
from tests.locks_world import CLOCK, LEASE_MS, OPEN, TRIPPED, gate_of, lock_of, until
from tests.redis_server import NEEDED, VERSIONS, RedisServer, is_seven

KINDS = ["file", "memory map", *(f"redis {version}" for version in VERSIONS)]


@dataclass
class Case:
    """One lock: `write` puts a record in force that was decided at a moment, `again` says it again, and `reads` is
    what a reader makes of it: whether it is locked, and why.
    """

    write_as_of: Callable[[LockRecord, Instant], Awaitable[None]]
    again: Callable[[], Awaitable[object]]
    reads: Callable[[], tuple[bool, str]]

    async def write(self, record: LockRecord) -> None:
        await self.write_as_of(record, CLOCK.now())


def _of_gate(gate: TradingGate) -> Callable[[], tuple[bool, str]]:
    return lambda: (not gate.is_open(), gate.reason())


@pytest.fixture(params=KINDS)
async def case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Case]:
    kind = request.param
    if kind == "file":
        lock = FileLock(tmp_path / "lock.json", lease_s=LEASE_MS / 1000)

        def reads() -> tuple[bool, str]:
            record = lock_file.read(lock.path, CLOCK)
            return record.locked, record.cause

        yield Case(lock.write, lambda: lock.refresh(CLOCK.now()), reads)
    elif kind == "memory map":
        gate_map = MemoryMap(tmp_path / "gate.bin", valid_ms=LEASE_MS)

        async def write(record: LockRecord, now: Instant) -> None:
            gate_map.write(record, now)

        async def stamp() -> None:
            gate_map.stamp(CLOCK.now())

        yield Case(write, stamp, _of_gate(TradingGate(tmp_path)))
        gate_map.close()
    else:
        server = RedisServer(tmp_path / "redis", kind.removeprefix("redis ")).start()
        redis_lock = lock_of(server)
        yield Case(redis_lock.write, lambda: redis_lock.refresh(CLOCK.now()), _of_gate(gate_of(server)))
        await redis_lock.aclose()
        server.kill()


async def test_what_was_never_written_is_locked(case: Case) -> None:
    assert case.reads()[0]


async def test_it_follows_what_is_written(case: Case) -> None:
    for record, read in [(OPEN, (False, "")), (TRIPPED, (True, "capital_loss")), (OPEN, (False, ""))]:
        await case.write(record)
        assert case.reads() == read


async def test_an_open_runs_out_and_a_lock_does_not(case: Case) -> None:
    await case.write(OPEN)
    await until(lambda: case.reads()[0], "the end of the lease", within_s=3 * LEASE_MS / 1000)
    await case.write(TRIPPED)
    ends = CLOCK.now().mono + 2 * LEASE_MS / 1000
    await until(lambda: case.reads() == (True, "capital_loss") and CLOCK.now().mono > ends, "two leases")


async def test_an_open_that_is_said_again_holds(case: Case) -> None:
    await case.write(OPEN)
    ends, looks = CLOCK.now().mono + 3 * LEASE_MS / 1000, []
    while CLOCK.now().mono < ends:
        await case.again()
        looks.append(case.reads()[0])
    assert len(looks) > 10
    assert not all(looks)
    assert looks.count(True) <= len(looks) // 10, "a machine that is busy may be late now and then"


@pytest.mark.parametrize("ago_s", [30.0, -30.0])
async def test_an_open_of_another_moment_is_none(case: Case, ago_s: float) -> None:
    """Whoever was paused between the look and the writing: the lease began at the look."""
    await case.write(TRIPPED)
    now = CLOCK.now()
    with contextlib.suppress(RecordError):
        await case.write_as_of(OPEN, Instant(now.mono - ago_s, now.wall))
    assert case.reads()[0]


def test_a_redis_of_seven_or_later_is_tried_too(tmp_path: Path) -> None:
    later = [version for version in VERSIONS if is_seven(version)]
    if not later and os.environ.get(NEEDED) == "1":
        pytest.fail(f"{NEEDED}=1, and there is no Redis of 7 or later")
    if not later:
        pytest.skip(
            f"no Redis of 7 or later is found here, so {', '.join(VERSIONS)} is all that is tried; .ci/run has one"
        )
    server = RedisServer(tmp_path, later[-1]).start()
    try:
        with server.client() as client:
            told = client.info("server")
        assert told.get("valkey_version", told["redis_version"]) == later[-1]
    finally:
        server.kill()
