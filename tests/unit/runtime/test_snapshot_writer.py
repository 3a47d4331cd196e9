"""When the day's snapshots are taken, and that nothing of it reaches the guard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest

from risk_daemon.engine.decision import Decision
from risk_daemon.errors import RecordError
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.model.events import HaltRequested, Input
from risk_daemon.runtime import snapshot_writer
from risk_daemon.runtime.snapshot_writer import SnapshotSettings, SnapshotWriter
from risk_daemon.state.store.snapshots import Account, Snapshot
from tests.core_world import World, engine_settings

NOON = 1_795_348_800.0  # 2026-11-22, 12:00 UTC
ACCOUNTS = [Account(venue=name, exchange=name, fingerprint="0" * 16) for name in ("perp", "spot")]
NAMES = {one.account_id: one.venue for one in ACCOUNTS}


class Told(World):
    """A world whose decisions are heard in their turn."""

    listener: Callable[[Decision], None] = staticmethod(lambda _: None)

    def send(self, event: Input) -> Decision:
        decision = super().send(event)
        self.listener(decision)
        return decision


class Shelf:
    """Keeps them, unless `trouble`; hangs while `hangs`."""

    def __init__(self) -> None:
        self.kept: list[Snapshot] = []
        self.forgotten: list[tuple[float, int]] = []
        self.forgets_all = True
        self.trouble: Exception | None = None
        self.hangs = False
        self.is_closed = False
        self.tries = 0
        self.asked = asyncio.Event()

    async def keep(self, snapshots: Sequence[Snapshot]) -> None:
        self.tries += 1
        self.asked.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.trouble is not None:
            raise self.trouble
        self.kept += snapshots

    async def forget(self, before_wall: float, keep_days: int) -> bool:
        self.forgotten.append((before_wall, keep_days))
        return not self.forgets_all

    async def close(self) -> None:
        self.is_closed = True

    def rows(self) -> list[tuple[str, float, Decimal]]:
        """Venue, seconds after noon, worth."""
        return [(NAMES[one.account_id], round(one.wall - NOON, 1), one.current_equity) for one in self.kept]


class Desk:
    """A writer beside a world in which everything is known and steady."""

    def __init__(self, **changes: Any) -> None:
        self.shelf = Shelf()
        self.events: list[RiskEvent] = []
        self.world = Told(engine_settings(), ManualClock(wall=NOON - 40))
        of: dict[str, Any] = {
            "guard": "main", "accounts": ACCOUNTS, "moves_by": Decimal(1), "keep_s": 86_400.0, "again_after_s": 0.0,
        }  # fmt: skip
        settings = SnapshotSettings(**(of | changes))
        self.writer = SnapshotWriter(self.world.engine, self.world.clock, self.shelf, settings, self.events.append)
        self.world.start().run(28.0)
        self.world.listener = self.writer.heard

    async def run(self, seconds: float) -> list[tuple[str, float, Decimal]]:
        """Let it pass, with every snapshot written before the next; returns the rows of this while."""
        first = len(self.shelf.kept)
        for _ in range(round(seconds * 5)):
            self.world.run(0.2)
            if self.writer._waiting:
                await self.writer._write()
        return self.shelf.rows()[first:]

    def names(self) -> list[str]:
        return [one.name.value for one in self.events]


async def test_each_account_once_a_minute_while_nothing_moves() -> None:
    desk = Desk()
    rows = await desk.run(150)
    assert [(venue, round(at)) for venue, at, _ in rows if at > 1] == [
        (venue, minute) for minute in (60, 120) for venue in ("perp", "spot")
    ]


async def test_what_moved_by_more_than_dust_every_ten_seconds() -> None:
    desk = Desk()
    await desk.run(5)
    desk.world.trade("spot", USDT="-0.9")
    assert await desk.run(20) == []
    desk.world.trade("spot", USDT=-1)
    [(venue, _, worth)] = await desk.run(10.2)
    assert (venue, worth) == ("spot", Decimal("4998.1"))
    for _ in range(50):
        desk.world.trade("spot", USDT=-2)
        rows = await desk.run(0.2)
    assert len(rows) <= 1


async def test_an_account_that_is_seen_again_is_written_at_once_and_no_other_more_often() -> None:
    desk = Desk()
    desk.world.dead.add("perp")
    await desk.run(130)
    assert {venue for venue, at, _ in desk.shelf.rows() if at > 100} == {"spot"}, "perp is not read any more"
    first = len(desk.shelf.kept)
    for _ in range(20):
        desk.world.trade("spot", USDT=-2)
        await desk.run(1)
    assert len(desk.shelf.kept) - first <= 3, "every ten seconds, though perp is looked for each second"
    desk.world.dead.clear()
    desk.world.read_all()
    rows = await desk.run(1.4)
    assert "perp" in [venue for venue, _, _ in rows]


async def test_all_at_once_on_a_trip() -> None:
    desk = Desk()
    await desk.run(2)
    desk.world.send(HaltRequested(operator="me", reason="a drill"))
    assert desk.world.engine.trip is not None
    rows = await desk.run(0.2)
    assert {venue for venue, _, _ in rows} == {"perp", "spot"}


async def test_all_at_once_when_a_day_begins() -> None:
    desk = Desk()
    desk.world.clock.jump(43_200 - 60.0)
    await desk.run(55)
    rows = [one for one in desk.shelf.kept if one.trading_day == "2026-11-23"]
    assert rows == []
    await desk.run(30)
    rows = [one for one in desk.shelf.kept if one.trading_day == "2026-11-23"]
    assert [NAMES[one.account_id] for one in rows][:2] == ["perp", "spot"]
    assert rows[0].wall - (NOON + 43_200) < 12


async def test_what_waits_is_the_newest_of_each_account_and_it_is_told_once() -> None:
    desk = Desk()
    desk.shelf.trouble = RecordError("the database does not answer")
    await desk.run(100)
    desk.world.trade("spot", USDT=-100)
    await desk.run(100)
    assert desk.shelf.kept == []
    assert desk.shelf.tries > 3
    assert desk.names() == [EventName.SNAPSHOTS_UNWRITABLE]
    assert desk.events[0].fields == {"error": "the database does not answer"}
    desk.shelf.trouble = None
    rows = await desk.run(0.2)
    assert [(venue, worth) for venue, _, worth in rows] == [("perp", 5_000), ("spot", 4_900)]
    assert desk.names() == [EventName.SNAPSHOTS_UNWRITABLE, EventName.SNAPSHOTS_WRITABLE]


async def test_its_task_tries_again_and_goes_on_after_that() -> None:
    desk = Desk()
    desk.shelf.trouble = ValueError("odd")
    desk.writer.start()
    desk.world.run(1)
    async with asyncio.timeout(5):
        while not desk.shelf.kept:
            desk.shelf.asked.clear()
            await desk.shelf.asked.wait()
            desk.shelf.trouble = desk.shelf.trouble if desk.shelf.tries < 3 else None
    assert {venue for venue, _, _ in desk.shelf.rows()} == {"perp", "spot"}
    await desk.writer.close()


async def test_a_bug_in_the_taking_ends_no_turn_of_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(snapshot_writer, "snapshots_of", broken)
    desk.world.run(30)
    assert desk.names() == [EventName.SNAPSHOTS_UNWRITABLE]


async def test_the_end_writes_the_last_of_them() -> None:
    desk = Desk()
    desk.writer.start()
    desk.world.run(1)
    desk.world.trade("spot", USDT=-3)
    desk.world.run(1)
    await desk.writer.close()
    assert ("spot", Decimal(4_997)) in [(venue, worth) for venue, _, worth in desk.shelf.rows()]
    assert desk.shelf.is_closed


async def test_the_end_waits_no_longer_than_it_may_for_one_that_hangs() -> None:
    desk = Desk(end_within_s=0.05)
    desk.shelf.hangs = True
    desk.writer.start()
    desk.world.run(1)
    async with asyncio.timeout(5):
        await desk.writer.close()
    assert desk.shelf.is_closed
    assert desk.shelf.kept == []
    assert len(desk.writer._waiting) == 2, "nothing was taken for written"


async def test_what_is_old_is_forgotten_once_an_hour_and_never_where_all_is_kept() -> None:
    desk, keeper = Desk(), Desk(keep_s=None)
    await desk.run(130)
    await keeper.run(130)
    assert [(round(at - NOON), days) for at, days in desk.shelf.forgotten] == [(-86_400, 1)]
    assert keeper.shelf.forgotten == []


async def test_where_more_is_old_than_can_be_forgotten_at_once_it_goes_on_with_each_write() -> None:
    desk = Desk()
    desk.shelf.forgets_all = False
    await desk.run(130)
    asked = len(desk.shelf.forgotten)
    assert asked > 1
    desk.shelf.forgets_all = True
    await desk.run(130)
    assert len(desk.shelf.forgotten) == asked + 1
