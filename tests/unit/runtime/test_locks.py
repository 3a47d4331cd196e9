"""The gate where others read it."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from risk_daemon.model.clock import Instant
from risk_daemon.model.events import EventName, Noted
from risk_daemon.runtime.locks import TELL_AFTER_S, Locks
from risk_daemon.runtime.tasks import Tasks
from risk_daemon.state.lock.base import LockRecord
from tests.unit.oms.fakes import LoopClock
from tests.unit.runtime.fakes import OPEN, SHUT, FakeGateMap, FakeLock

pytestmark = pytest.mark.looptime


class Gates:
    def __init__(self, *stores: FakeLock) -> None:
        self.map = FakeGateMap()
        self.told: list[Noted] = []
        self.locks = Locks(self.map, stores, Tasks(lambda: None), timeout_s=1.0, tell=self.told.append)
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


@pytest.mark.parametrize("error", [RuntimeError("odd"), OSError(), KeyError("x")])
async def test_whatever_a_store_raises_is_a_write_that_failed(error: Exception) -> None:
    bad, tasks = FakeLock(), Tasks(lambda: None)
    bad.error = error
    locks = Locks(FakeGateMap(), [bad], tasks, timeout_s=1.0)
    now = LoopClock().now()
    locks.put(SHUT, now)
    await locks.written()
    locks.refresh(now)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert tasks.failure is None
    [status] = locks.status(now.mono)
    assert status.reason == (str(error) or type(error).__name__)


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


TICK_S = 0.2


async def turns(gates: Gates, seconds: float) -> None:
    """As the evaluation loop takes them."""
    ends = LoopClock().now().mono + seconds
    while (now := LoopClock().now()).mono < ends:
        gates.locks.refresh(now)
        await asyncio.sleep(TICK_S)


@pytest.mark.parametrize("how", ["breaks", "hangs"])
async def test_one_that_can_t_be_written_is_told_once_and_so_is_its_end(how: str) -> None:
    bad, good = FakeLock(), FakeLock()
    bad.name, good.name = "redis://h:6379/0", "file"
    gates = Gates(bad, good)
    with capture_logs() as logs:
        await turns(gates, 2.0)
        bad.hangs = how == "hangs"
        if how == "breaks":
            bad.breaks()
        await turns(gates, TELL_AFTER_S - 1.0)
        assert gates.told == [], "a server that restarts is no news"
        await turns(gates, 10.0)
        [told] = gates.told
        error = "no space left on device" if how == "breaks" else "it did not answer in time"
        assert (told.event.name, told.event.fields) == (EventName.LOCK_UNWRITABLE, {"lock": bad.name, "error": error})
        bad.hangs, bad.error = False, None
        await turns(gates, 2.0)
        bad.breaks()
        await turns(gates, 1.0)
        bad.error = None
        await turns(gates, 2.0)
    assert [(one.event.name, one.event.fields["lock"]) for one in gates.told[1:]] == [
        (EventName.LOCK_WRITABLE, bad.name)
    ]
    failures = [line for line in logs if line["event"] == "lock_refresh_failed"]
    assert len(failures) == 2, "one line each time that it begins"


async def test_the_status_says_how_long_each_fails_and_why() -> None:
    bad, good = FakeLock(), FakeLock()
    bad.name, good.name = "redis://h:6379/0", "file"
    bad.breaks()
    gates = Gates(good, bad)
    begun = LoopClock().now().mono
    assert [one.written_s for one in gates.locks.status(begun)] == [None, None]
    with capture_logs():
        gates.locks.put(SHUT, LoopClock().now())
        await turns(gates, 3.0)
    now_mono = LoopClock().now().mono
    kept, failing = gates.locks.status(now_mono)
    assert (kept.name, kept.failing_s, kept.reason) == ("file", None, None)
    assert kept.written_s is not None
    assert kept.written_s < 0.5
    assert (failing.name, failing.written_s, failing.reason) == (bad.name, None, "no space left on device")
    assert failing.failing_s == pytest.approx(now_mono - begun, abs=0.01)


async def test_a_turn_that_had_nothing_to_say_is_no_success() -> None:
    class Quiet(FakeLock):
        async def refresh(self, now: Instant) -> bool:
            return False

    store = Quiet()
    store.breaks()
    gates = Gates(store)
    with capture_logs():
        gates.locks.put(SHUT, LoopClock().now())
        await turns(gates, TELL_AFTER_S + 1.0)
    assert [one.event.name for one in gates.told] == [EventName.LOCK_UNWRITABLE]


async def test_what_somebody_else_wrote_there_is_shouted() -> None:
    gates = Gates()
    gates.locks.stamp(gates.now)
    with capture_logs() as logs:
        gates.locks.inspect(gates.now)
        gates.map.found = "it said open"
        gates.locks.inspect(gates.now)
    assert gates.map.stamps == [gates.now]
    assert [(line["event"], line["found"]) for line in logs] == [("gate_changed", "it said open")]
