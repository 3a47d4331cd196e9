"""How what is owed gets out: at once, again with growing pauses, for an hour or for ever. On virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from risk_daemon.broadcast.message import Message, Voice
from risk_daemon.broadcast.outbox import Outbox
from risk_daemon.broadcast.relay import LOOK_EVERY_S, Delivered, NotDelivered, Relay
from risk_daemon.model.event_names import EventName, RiskEvent
from tests.unit.oms.fakes import LoopClock
from tests.virtual import pass_time

pytestmark = pytest.mark.looptime

HOUR_S = 3_600.0


@dataclass
class Scripted:
    """is_there: whether it works. refused: keys that it never takes. hangs: calls do not end, for so long; hanging:
    those of these keys, for no_leader_s."""

    is_there: bool = True
    refused: tuple[str, ...] = ()
    hanging: tuple[str, ...] = ()
    no_leader_s: float = 10.0
    hangs_s: float = 0.0
    sent: list[str] = field(default_factory=list)
    tried: list[tuple[float, str]] = field(default_factory=list)
    looks: int = 0
    is_closed: bool = False

    async def look(self) -> None:
        self.looks += 1
        await self._answer("")

    async def send(self, key: str, body: bytes, content_type: str) -> Delivered:
        self.tried.append((asyncio.get_running_loop().time(), key))
        await self._answer(key)
        self.sent.append(key)
        return Delivered(topic="t", partition=0, offset=len(self.sent))

    async def _answer(self, key: str) -> None:
        if key in self.hanging:
            await asyncio.sleep(self.no_leader_s)
            raise NotDelivered("no answer within 10 s")
        if self.hangs_s:
            await asyncio.sleep(self.hangs_s)
            raise NotDelivered("no answer")
        if not self.is_there or key in self.refused:
            raise NotDelivered("connection refused")

    async def close(self) -> None:
        self.is_closed = True


@dataclass
class At:
    line: Scripted
    outbox: Outbox
    relay: Relay
    told: list[RiskEvent]
    kept: list[list[str]]

    def put(self, number: int) -> None:
        self.outbox.put(message(number))
        self.relay.nudge()

    @property
    def owed(self) -> list[str]:
        return [one.trip_id for one in self.outbox.owed()]

    def of(self, name: EventName) -> list[RiskEvent]:
        return [event for event in self.told if event.name is name]


def message(number: int) -> Message:
    return Message(trip_id=f"trip-{number}", wall=LoopClock().now().wall)


@asynccontextmanager
async def at_work(line: Scripted, *owed: int, look_every_s: float | None = LOOK_EVERY_S) -> AsyncIterator[At]:
    outbox, told, kept = Outbox(), list[RiskEvent](), list[list[str]]()
    for number in owed:
        outbox.put(message(number))

    async def keep() -> None:
        kept.append([one.trip_id for one in outbox.owed()])

    voice = Voice(event_type="e", currency="USDT", guard="g")
    relay = Relay(
        line, outbox, voice, LoopClock(), keep=keep, told=told.append, look_every_s=look_every_s, jitter=lambda: 1.0
    )
    relay.start()
    yield At(line, outbox, relay, told, kept)
    await relay.aclose()
    assert line.is_closed


async def test_what_is_owed_goes_out_at_once_and_is_told_and_kept() -> None:
    async with at_work(Scripted(), 1, 2) as at:
        await pass_time(0.01)
        assert (at.line.sent, at.owed, at.kept[-1]) == (["trip-1", "trip-2"], [], [])
        facts = [event.fields for event in at.of(EventName.BROADCAST_SENT)]
        assert [(fact["trip_id"], fact["offset"], fact["tries"]) for fact in facts] == [
            ("trip-1", 1, 1),
            ("trip-2", 2, 1),
        ]
        at.put(3)
        await pass_time(0.01)
        assert at.line.sent[-1] == "trip-3"
        assert await at.relay.flushed(0.0)


async def test_an_hour_without_a_broker_is_tried_again_and_again_and_told_seldom() -> None:
    async with at_work(Scripted(is_there=False), 1) as at:
        await pass_time(HOUR_S)
        tries = [when for when, _ in at.line.tried]
        pauses = [after - before for before, after in pairwise(tries)]
        assert pauses[:6] == pytest.approx([0.5, 1, 2, 4, 8, 10])
        assert max(pauses) == pytest.approx(10.0)
        assert at.owed == ["trip-1"]
        assert len(at.of(EventName.BROADCAST_FAILED)) == 1
        await pass_time(20.0)
        first, again = at.of(EventName.BROADCAST_FAILED)
        assert first.fields == again.fields == {
            "trip_id": "trip-1", "owed": ["trip-1"], "count": 1, "reason": "connection refused",
        }  # fmt: skip
        at.line.is_there = True
        await pass_time(10.0)
        assert (at.line.sent, at.owed) == (["trip-1"], [])
        (sent,) = at.of(EventName.BROADCAST_SENT)
        assert sent.fields["after_s"] > HOUR_S
        assert sent.fields["tries"] == len(at.line.tried)


async def test_a_new_trip_waits_for_no_pause_and_for_no_other_that_is_refused() -> None:
    async with at_work(Scripted(refused=("trip-1",)), 1) as at:
        await pass_time(300.0)
        at.put(2)
        await pass_time(0.01)
        assert at.line.sent == ["trip-2"]
        assert at.owed == ["trip-1"]
        at.line.refused = ()
        await pass_time(10.0)
        assert at.line.sent == ["trip-2", "trip-1"]


async def test_a_trip_does_not_wait_for_a_look_that_hangs() -> None:
    async with at_work(Scripted(hangs_s=HOUR_S)) as at:
        await pass_time(5.0)
        at.line.hangs_s = 0.0
        at.put(1)
        await pass_time(0.01)
        assert at.line.sent == ["trip-1"]


async def test_it_is_known_before_the_trip_that_nobody_would_hear_of_it() -> None:
    async with at_work(Scripted()) as at:
        await pass_time(LOOK_EVERY_S * 3.5)
        assert at.line.looks == 4
        at.line.is_there = False
        await pass_time(LOOK_EVERY_S)
        (failed,) = at.of(EventName.BROADCAST_FAILED)
        assert failed.fields == {"trip_id": None, "owed": [], "count": 0, "reason": "connection refused"}
        at.put(1)
        await pass_time(0.01)
        assert at.of(EventName.BROADCAST_FAILED)[1].fields["owed"] == ["trip-1"]
        assert at.relay.failures > 1
        at.line.is_there = True
        with capture_logs() as logs:
            await pass_time(LOOK_EVERY_S)
        assert at.line.sent == ["trip-1"]
        assert at.relay.failures == 0
        assert "broadcast_works_again" in [log["event"] for log in logs]
        at.line.is_there = False
        await pass_time(2 * LOOK_EVERY_S)
        assert len(at.of(EventName.BROADCAST_FAILED)) == 3


async def test_without_looks_the_line_opens_with_the_first_message() -> None:
    async with at_work(Scripted(), look_every_s=None) as at:
        await pass_time(HOUR_S)
        assert at.line.looks == 0
        at.put(1)
        await pass_time(0.01)
        assert at.line.sent == ["trip-1"]


async def test_the_end_waits_for_a_first_try_and_not_for_a_broker_that_is_known_to_be_away() -> None:
    async with at_work(Scripted(is_there=False), 1) as at:
        began = asyncio.get_running_loop().time()
        assert not await at.relay.flushed(5.0)
        assert asyncio.get_running_loop().time() - began < 0.1
    async with at_work(Scripted(hangs_s=HOUR_S), 1) as at:
        began = asyncio.get_running_loop().time()
        assert not await at.relay.flushed(2.0)
        assert asyncio.get_running_loop().time() - began == pytest.approx(2.0)


async def test_one_that_can_not_be_put_into_words_keeps_no_other() -> None:
    async with at_work(Scripted()) as at:
        at.outbox.put(Message(trip_id="odd", wall=1e300))
        with capture_logs() as logs:
            at.put(1)
            await pass_time(1.0)
        assert at.line.sent == ["trip-1"]
        assert at.owed == ["odd"]
        assert "broadcast_failed" in [log["event"] for log in logs]


async def test_a_line_of_the_log_stays_short_however_many_are_owed() -> None:
    async with at_work(Scripted(is_there=False), *range(100)) as at:
        await pass_time(0.01)
        (failed,) = at.of(EventName.BROADCAST_FAILED)
        assert (len(failed.fields["owed"]), failed.fields["count"], failed.fields["owed"][-1]) == (20, 100, "trip-99")


async def test_a_new_trip_goes_beside_one_whose_try_hangs() -> None:
    """Its partition has no leader, and the other's has."""
    async with at_work(Scripted(hanging=("trip-1",)), 1) as at:
        await pass_time(0.5)
        at.put(2)
        assert not await at.relay.flushed(2.0)
        assert (at.line.sent, at.owed) == (["trip-2"], ["trip-1"])
        await pass_time(25.0)
        at.put(3)
        await pass_time(0.01)
        assert (at.line.sent, at.owed) == (["trip-2", "trip-3"], ["trip-1"])
        at.line.hanging = ()
        await pass_time(20.0)
        assert (at.line.sent, at.owed) == (["trip-2", "trip-3", "trip-1"], [])
    assert sorted(sent.fields["trip_id"] for sent in at.of(EventName.BROADCAST_SENT)) == ["trip-1", "trip-2", "trip-3"]


async def test_at_the_start_a_trip_waits_for_no_older_one_that_hangs() -> None:
    async with at_work(Scripted(hanging=("trip-1",)), 1, 2) as at:
        await pass_time(0.01)
        assert at.owed == ["trip-1"]


async def test_each_is_tried_by_one_at_a_time() -> None:
    """Nudged again and again, and what failed beside is tried again in turn, with pauses."""
    async with at_work(Scripted(hanging=("trip-1", "trip-2")), 1) as at:
        at.put(2)
        for _ in range(100):
            at.relay.nudge()
            await pass_time(0.05)
        assert sorted(key for _, key in at.line.tried) == ["trip-1", "trip-2"]
        await pass_time(35.0)
        assert len(at.line.tried) < 8
        at.line.hanging = ()
        await pass_time(30.0)
        assert (sorted(at.line.sent), at.owed) == (["trip-1", "trip-2"], [])


async def test_very_many_are_not_all_tried_at_once() -> None:
    async with at_work(Scripted(hangs_s=10.0), *range(200)) as at:
        await pass_time(1.0)
        assert len(at.line.tried) == 33
        at.line.hangs_s = 0.0
        await pass_time(60.0)
        assert (at.owed, len(at.line.sent)) == ([], 200)


async def test_a_disk_that_stalls_keeps_no_message() -> None:
    async def stalled() -> None:
        await asyncio.Event().wait()

    outbox, line = Outbox(), Scripted()
    outbox.put(message(1))
    relay = Relay(
        line, outbox, Voice(event_type="e", currency="USDT", guard="g"), LoopClock(),
        keep=stalled, told=lambda _: None,
    )  # fmt: skip
    relay.start()
    await pass_time(0.2)
    outbox.put(message(2))
    relay.nudge()
    await pass_time(0.01)
    assert line.sent == ["trip-1", "trip-2"]
    began = asyncio.get_running_loop().time()
    assert await relay.flushed(2.0)
    assert asyncio.get_running_loop().time() - began == pytest.approx(2.0), "it waits for the disk, but not for ever"
    await relay.aclose()


async def test_what_came_while_it_was_kept_is_kept_too() -> None:
    outbox, kept = Outbox(), list[list[str]]()

    async def keep() -> None:
        owed = [one.trip_id for one in outbox.owed()]
        await pass_time(1.0)
        kept.append(owed)

    for number in (1, 2):
        outbox.put(message(number))
    voice = Voice(event_type="e", currency="USDT", guard="g")
    relay = Relay(Scripted(refused=("trip-2",)), outbox, voice, LoopClock(), keep=keep, told=lambda _: None)
    relay.start()
    await pass_time(0.1)
    outbox.put(message(3))
    relay.nudge()
    assert not await relay.flushed(10.0)
    assert kept == [["trip-2"], ["trip-2"]]
    await relay.aclose()
