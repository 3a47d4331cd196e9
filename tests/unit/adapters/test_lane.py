"""As many signed calls at a time as the lane is wide; the urgent one first, whatever hangs."""

import asyncio

import pytest

from adapters.lane import Pacer, PushedAside, SignedLane, Urgency, current_urgency, travelling
from risk_daemon.errors import VenueUnavailable
from risk_daemon.model.clock import Instant

ORDINARY, URGENT, SWEEP = Urgency.ORDINARY.rank, Urgency.URGENT.rank, Urgency.SWEEP.rank


class LoopClock:
    """The loop's time, which moves by itself in these tests."""

    def now(self) -> Instant:
        mono = asyncio.get_running_loop().time()
        return Instant(mono, mono)


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Calls:
    """Calls that wait until they are released, and the order in which they began."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.running = 0
        self.most_at_once = 0
        self.release = asyncio.Event()

    async def call(self, name: str) -> str:
        self.begun.append(name)
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            await self.release.wait()
        finally:
            self.running -= 1
        return name


async def test_calls_run_one_after_another_in_order() -> None:
    lane, calls = SignedLane(), Calls()
    calls.release.set()
    names = [str(number) for number in range(20)]
    assert await asyncio.gather(*(lane.run(lambda n=n: calls.call(n), rank=ORDINARY) for n in names)) == names
    assert calls.begun == names
    assert calls.most_at_once == 1


async def test_an_urgent_call_pushes_aside_one_that_hangs() -> None:
    lane, calls = SignedLane(), Calls()
    hanging = asyncio.ensure_future(lane.run(lambda: calls.call("hanging"), rank=ORDINARY))
    await _settle()

    async def quick() -> str:
        return "quick"

    assert await lane.run(quick, rank=URGENT) == "quick"
    with pytest.raises(PushedAside):
        await hanging
    assert calls.running == 0


async def test_pushed_aside_is_no_answer_of_the_venue() -> None:
    assert issubclass(PushedAside, VenueUnavailable)


async def test_urgent_calls_overtake_waiting_ordinary_ones_but_not_each_other() -> None:
    lane, calls = SignedLane(), Calls()
    tasks = [asyncio.ensure_future(lane.run(lambda: calls.call("urgent 1"), rank=URGENT))]
    await _settle()
    for name in ("ordinary 1", "ordinary 2"):
        tasks.append(asyncio.ensure_future(lane.run(lambda name=name: calls.call(name), rank=ORDINARY)))
    tasks.append(asyncio.ensure_future(lane.run(lambda: calls.call("urgent 2"), rank=URGENT)))
    await _settle()
    assert calls.begun == ["urgent 1"]
    calls.release.set()
    await asyncio.gather(*tasks)
    assert calls.begun == ["urgent 1", "urgent 2", "ordinary 1", "ordinary 2"]
    assert calls.most_at_once == 1


async def test_a_refresh_goes_before_ordinary_calls_and_lets_the_one_under_way_end() -> None:
    lane, calls = SignedLane(), Calls()
    under_way = asyncio.ensure_future(lane.run(lambda: calls.call("under way"), rank=ORDINARY))
    await _settle()
    kinds = (("ordinary", Urgency.ORDINARY), ("refresh 1", Urgency.REFRESH), ("refresh 2", Urgency.REFRESH))
    tasks = [
        asyncio.ensure_future(lane.run(lambda name=name: calls.call(name), rank=kind.rank, pushes=kind.goes_first))
        for name, kind in kinds
    ]
    await _settle()
    assert calls.begun == ["under way"]
    calls.release.set()
    await asyncio.gather(under_way, *tasks)
    assert calls.begun == ["under way", "refresh 1", "refresh 2", "ordinary"]


async def test_an_overdue_refresh_waits_for_no_ordinary_call_and_a_sweep_not_for_it() -> None:
    lane, calls = SignedLane(), Calls()
    begun = {}
    for name, kind in (("ordinary", Urgency.ORDINARY), ("overdue", Urgency.OVERDUE), ("sweep", Urgency.SWEEP)):
        call = lane.run(lambda name=name: calls.call(name), rank=kind.rank, pushes=kind.goes_first)  # type: ignore[misc]
        begun[name] = asyncio.ensure_future(call)
        await _settle()
    assert calls.begun == ["ordinary", "overdue", "sweep"]
    for name in ("ordinary", "overdue"):
        with pytest.raises(PushedAside):
            await begun[name]
    calls.release.set()
    assert await begun["sweep"] == "sweep"


async def test_a_caller_that_gives_up_leaves_the_lane_free() -> None:
    lane, calls = SignedLane(), Calls()
    first = asyncio.ensure_future(lane.run(lambda: calls.call("first"), rank=ORDINARY))
    waiting = asyncio.ensure_future(lane.run(lambda: calls.call("waiting"), rank=ORDINARY))
    await _settle()
    waiting.cancel()
    first.cancel()
    await asyncio.wait({first, waiting})
    calls.release.set()
    assert await lane.run(lambda: calls.call("next"), rank=ORDINARY) == "next"
    assert calls.begun == ["first", "next"]


async def test_many_that_give_up_in_one_moment_break_nothing() -> None:
    lane, calls = SignedLane(), Calls()
    tasks = [asyncio.ensure_future(lane.run(lambda: calls.call("x"), rank=ORDINARY)) for _ in range(5)]
    await _settle()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)
    calls.release.set()
    assert await lane.run(lambda: calls.call("next"), rank=ORDINARY) == "next"


async def test_a_failure_is_the_callers_and_frees_the_lane() -> None:
    lane = SignedLane()

    async def fail() -> None:
        raise VenueUnavailable("no")

    async def succeed() -> int:
        return 1

    with pytest.raises(VenueUnavailable, match="no"):
        await lane.run(fail, rank=ORDINARY)
    assert await lane.run(succeed, rank=URGENT) == 1


async def test_a_call_cancelled_from_inside_is_unavailable_not_a_cancellation() -> None:
    lane = SignedLane()

    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(VenueUnavailable):
        await lane.run(cancelled, rank=ORDINARY)


async def test_a_wide_lane_runs_as_many_as_it_is_wide_and_no_more() -> None:
    lane, calls = SignedLane(3), Calls()
    names = [str(number) for number in range(10)]
    tasks = [asyncio.ensure_future(lane.run(lambda n=n: calls.call(n), rank=ORDINARY)) for n in names]
    await _settle()
    assert calls.begun == names[:3]
    calls.release.set()
    assert await asyncio.gather(*tasks) == names
    assert calls.begun == names
    assert calls.most_at_once == 3


async def test_where_the_lane_has_room_an_urgent_call_pushes_nobody_aside() -> None:
    lane, calls = SignedLane(2), Calls()
    ordinary = asyncio.ensure_future(lane.run(lambda: calls.call("ordinary"), rank=ORDINARY))
    await _settle()
    urgent = asyncio.ensure_future(lane.run(lambda: calls.call("urgent"), rank=URGENT))
    await _settle()
    assert calls.running == 2
    calls.release.set()
    assert await asyncio.gather(ordinary, urgent) == ["ordinary", "urgent"]


async def test_where_the_lane_is_full_the_least_urgent_that_began_last_makes_room() -> None:
    lane, calls = SignedLane(3), Calls()
    names = (("urgent", URGENT), ("first", ORDINARY), ("second", ORDINARY))
    tasks = {
        name: asyncio.ensure_future(lane.run(lambda name=name: calls.call(name), rank=rank)) for name, rank in names
    }
    await _settle()
    sweep = asyncio.ensure_future(lane.run(lambda: calls.call("sweep"), rank=SWEEP))
    with pytest.raises(PushedAside):
        await tasks.pop("second")
    await _settle()
    assert calls.running == 3
    calls.release.set()
    assert await asyncio.gather(*tasks.values(), sweep) == ["urgent", "first", "sweep"]
    assert calls.most_at_once == 3


async def test_a_lane_full_of_equals_is_waited_for() -> None:
    lane, calls = SignedLane(2), Calls()
    tasks = [asyncio.ensure_future(lane.run(lambda n=n: calls.call(n), rank=SWEEP)) for n in ("1", "2", "3")]
    await _settle()
    assert calls.begun == ["1", "2"]
    calls.release.set()
    assert await asyncio.gather(*tasks) == ["1", "2", "3"]


async def test_urgency_travels_into_the_tasks_that_a_call_makes() -> None:
    async def read() -> Urgency:
        return current_urgency()

    with travelling(Urgency.URGENT):
        seen = await SignedLane().run(read, rank=URGENT)
    assert seen is Urgency.URGENT
    assert current_urgency() is Urgency.ORDINARY


@pytest.mark.looptime
async def test_the_pacer_lets_a_burst_through_and_then_keeps_the_pace() -> None:
    pacer, clock = Pacer(LoopClock(), 3.0), LoopClock()
    began = clock.now().mono
    left = []
    for _ in range(6):
        await pacer.wait(1)
        left.append(round(clock.now().mono - began, 3))
    assert left == [0, 0, 0, 0, 1, 2]


@pytest.mark.looptime
async def test_who_gives_up_waiting_costs_nothing() -> None:
    pacer, clock = Pacer(LoopClock(), 0.0), LoopClock()
    await pacer.wait(5)
    began = clock.now().mono
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await pacer.wait(100)
    await pacer.wait(1)
    assert clock.now().mono - began == pytest.approx(5, abs=0.01)


async def test_the_sweep_pushes_aside_what_is_read_to_confirm() -> None:
    lane, calls = SignedLane(), []

    async def hang() -> None:
        await asyncio.Event().wait()

    async def cancel() -> str:
        calls.append("cancel")
        return "sent"

    reading = asyncio.ensure_future(lane.run(hang, rank=URGENT))
    await asyncio.sleep(0)
    assert await lane.run(cancel, rank=SWEEP) == "sent"
    with pytest.raises(PushedAside):
        await reading
    assert calls == ["cancel"]


async def test_what_is_asked_at_leisure_gives_its_place_to_any_call() -> None:
    lane, calls = SignedLane(), Calls()
    hanging = asyncio.ensure_future(lane.run(lambda: calls.call("hanging"), rank=Urgency.LEISURE.rank, pushes=False))
    await _settle()
    ordinary = asyncio.ensure_future(lane.run(lambda: calls.call("ordinary"), rank=ORDINARY, pushes=False))
    with pytest.raises(PushedAside):
        await hanging
    calls.release.set()
    assert await ordinary == "ordinary"


async def test_what_is_asked_at_leisure_pushes_nobody_and_goes_last() -> None:
    lane, calls = SignedLane(), Calls()
    first = asyncio.ensure_future(lane.run(lambda: calls.call("first"), rank=ORDINARY, pushes=False))
    await _settle()
    ranks = {"leisure": Urgency.LEISURE.rank, "second": ORDINARY}
    later = [
        asyncio.ensure_future(lane.run(lambda n=name: calls.call(n), rank=rank, pushes=False))
        for name, rank in ranks.items()
    ]
    await _settle()
    calls.release.set()
    assert [await first, *[await each for each in later]] == ["first", *ranks]
    assert calls.begun == ["first", "second", "leisure"]
