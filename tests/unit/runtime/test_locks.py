"""The gate where others read it."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from risk_daemon.runtime.locks import Locks
from risk_daemon.runtime.tasks import Tasks
from risk_daemon.state.lock.base import LockRecord
from tests.unit.oms.fakes import LoopClock
from tests.unit.runtime.fakes import OPEN, SHUT, FakeGateMap, FakeLock

pytestmark = pytest.mark.looptime


class Gates:
    def __init__(self, *stores: FakeLock) -> None:
        self.map = FakeGateMap()
        self.locks = Locks(self.map, stores, Tasks(lambda: None), timeout_s=1.0)
        self.now = LoopClock().now()


async def test_the_memory_map_moves_at_once_and_the_others_beside() -> None:
    store = FakeLock()
    gates = Gates(store)
    gates.locks.put(SHUT, gates.now)
    record = LockRecord(True, "manual_halt", "t-1", 5.0)
    assert gates.map.records == [record]
    assert store.records == []
    await gates.locks.written()
    assert store.records == [record]


async def test_a_gate_without_a_moment_has_moved_now() -> None:
    gates = Gates()
    gates.locks.put(OPEN.__class__(locked=False), gates.now)
    assert gates.map.records == [LockRecord(False, "", None, gates.now.wall)]
    await gates.locks.written()


@pytest.mark.parametrize("how", ["breaks", "hangs"])
async def test_a_lock_that_can_t_be_written_is_shouted_and_holds_up_nobody(how: str) -> None:
    bad, good = FakeLock(), FakeLock()
    bad.hangs = how == "hangs"
    if how == "breaks":
        bad.breaks()
    gates = Gates(bad, good)
    began = asyncio.get_running_loop().time()
    with capture_logs() as logs:
        gates.locks.put(SHUT, gates.now)
        await gates.locks.written()
        await asyncio.sleep(0)
    assert asyncio.get_running_loop().time() - began <= 1.0
    assert len(good.records) == 1
    [line] = logs
    assert (line["event"], line["log_level"], line["lock"], line["locked"]) == (
        "lock_write_failed", "critical", "file", True,
    )  # fmt: skip


async def test_an_open_word_is_renewed_and_a_failure_told() -> None:
    good, bad = FakeLock(), FakeLock()
    bad.breaks()
    gates = Gates(good, bad)
    with capture_logs() as logs:
        gates.locks.refresh(gates.now)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert good.refreshed == [gates.now]
    assert [(line["event"], line["log_level"]) for line in logs] == [("lock_refresh_failed", "error")]


async def test_what_somebody_else_wrote_there_is_shouted() -> None:
    gates = Gates()
    gates.locks.stamp(gates.now)
    with capture_logs() as logs:
        gates.locks.inspect(gates.now)
        gates.map.found = "it said open"
        gates.locks.inspect(gates.now)
    assert gates.map.stamps == [gates.now]
    assert [(line["event"], line["found"]) for line in logs] == [("gate_changed", "it said open")]
