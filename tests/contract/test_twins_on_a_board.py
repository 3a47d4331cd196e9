"""Two guards' words over a real board: whatever becomes of it, no two of them may open at one time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from risk_daemon.gate.restraints import Restraint
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.events import Input, LeaseSeen, TrippedElsewhere
from risk_daemon.runtime.twin import Twin, TwinSettings
from risk_daemon.state.board.base import Known
from tests.board_servers import Place, PostgresPlace, RedisPlace, until
from tests.postgres import Server
from tests.redis_server import VERSIONS, RedisServer

LEASE_S = 2.0
CLOCK = SystemClock()


@pytest.fixture(autouse=True)
def _short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("redis", "postgres"):
        monkeypatch.setattr(f"risk_daemon.state.board.{kind}.LEASE_S", LEASE_S)


@dataclass(eq=False)
class Guard:
    """One that nothing keeps shut but the others. leases: each from when it was heard of until it ends, in `mono`."""

    name: str
    place: Place
    leases: list[tuple[float, float]] = field(default_factory=list)
    restraints: list[Restraint] = field(default_factory=list)
    trips: list[TrippedElsewhere] = field(default_factory=list)
    guarded: tuple[str, ...] = ("kraken",)
    reason: str = ""

    def start(self) -> Twin:
        other = "b" if self.name == "a" else "a"
        self.twin = Twin(
            self.place.board(self.name, [other]),
            TwinSettings(name=self.name, guarded=self.guarded, every_s=0.2, lease_s=LEASE_S),
            CLOCK,
            restraints=lambda: self.restraints,
            emit=self.hears,
            known=Known(),
        )
        self.twin.start()
        return self.twin

    def hears(self, event: Input) -> None:
        if isinstance(event, TrippedElsewhere):
            self.trips.append(event)
        if isinstance(event, LeaseSeen):
            now_mono, self.reason = CLOCK.now().mono, event.reason
            if self.leases and self.leases[-1][1] > now_mono:  # a later answer takes the place of an earlier one
                self.leases[-1] = (self.leases[-1][0], now_mono)
            if event.until_mono is not None:
                self.leases.append((now_mono, event.until_mono))

    async def dies(self) -> None:
        """As by kill -9: it says nothing any more."""
        running = self.twin._running
        assert running is not None
        running.cancel()
        await asyncio.wait({running})

    async def opens(self) -> bool:
        return bool(self.leases) and self.leases[-1][1] > CLOCK.now().mono


def overlap_s(one: Guard, other: Guard) -> float:
    """For how long both could open."""
    return sum(max(0.0, min(a[1], b[1]) - max(a[0], b[0])) for a in one.leases for b in other.leases)


@pytest.fixture(params=VERSIONS)
def redis_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisPlace]:
    made = RedisPlace(RedisServer(tmp_path_factory.mktemp("redis"), request.param).start())
    yield made
    made.server.kill()


@pytest.fixture
def postgresql_place(postgres: Server) -> PostgresPlace:
    return PostgresPlace(postgres)


@pytest.mark.parametrize("seconds", [3_600.0, -3_600.0])
async def test_a_clock_that_is_moved_lets_no_second_guard_open(postgresql_place: PostgresPlace, seconds: float) -> None:
    holder, other = Guard("a", postgresql_place), Guard("b", postgresql_place)
    first = holder.start()
    second = other.start()
    await until(lambda: either(holder, other))
    postgresql_place.move_clock(seconds)
    moved_mono = CLOCK.now().mono
    await asyncio.sleep(LEASE_S)

    async def open_again() -> bool:
        return any(since > moved_mono + LEASE_S / 2 for guard in (holder, other) for since, _ in guard.leases)

    await until(open_again)
    await first.aclose()
    await second.aclose()
    assert overlap_s(holder, other) == 0.0
    gap = [since for guard in (holder, other) for since, _ in guard.leases if since > moved_mono + 0.7]
    assert min(gap) > moved_mono + LEASE_S, "it settled for a lease first"


async def test_a_lock_that_is_lost_with_a_restored_board_is_not_taken_for_leave(redis_place: RedisPlace) -> None:
    """Guard b tripped and is down; the board is brought back as it was before."""
    await lost_lock(redis_place)


async def test_nor_is_one_of_tables_restored_alone(postgresql_place: PostgresPlace) -> None:
    await lost_lock(postgresql_place)


async def lost_lock(place: Place) -> None:
    a, b = Guard("a", place), Guard("b", place)
    twin_a, twin_b = a.start(), b.start()
    await until(lambda: either(a, b))
    saved = place.saved()
    b.restraints.append(Restraint("manual_halt", "night", trip_id="trip-1"))
    await twin_b.aclose()
    heard_mono = CLOCK.now().mono

    async def has_heard() -> bool:
        return bool(a.trips)

    await until(has_heard)  # of a word that was lost before anybody heard it, nobody can know
    place.restore(saved)
    await asyncio.sleep(2 * LEASE_S)
    assert [since for since, _ in a.leases if since > heard_mono + 0.7] == []
    await twin_a.aclose()


async def test_who_guards_less_takes_nothing_over_before_the_other_says_that_it_guards_no_more(
    redis_place: RedisPlace,
) -> None:
    await less_after_more(redis_place)


async def test_nor_where_they_meet_in_postgresql(postgresql_place: PostgresPlace) -> None:
    await less_after_more(postgresql_place)


async def less_after_more(place: Place) -> None:
    """A venue came to guard a's file, and is taken out of it again; b goes by the old one all the while."""
    b, a = Guard("b", place), Guard("a", place, guarded=("bybit", "kraken"))
    twin_b = b.start()
    a.start()
    await until(a.opens)  # whoever held the epoch first
    await a.dies()
    await asyncio.sleep(3 * LEASE_S)
    assert b.leases == []
    assert "guard a guards other venues, which nobody would watch here: bybit." in b.reason
    again = Guard("a", place)
    twin_a = again.start()
    await until(lambda: either(again, b))
    await twin_a.aclose()
    await until(b.opens)
    await twin_b.aclose()


async def either(one: Guard, other: Guard) -> bool:
    return await one.opens() or await other.opens()
