"""The loop whose time jumps."""

from __future__ import annotations

import asyncio

import pytest

from tests.simulated.virtual_time import Killed, NothingScheduled, Timeline, VirtualLoop, bury
from tests.virtual import pass_time


class Nowhere:
    """A world in which nothing happens."""

    def next_due_mono(self) -> float | None:
        return None

    def advance(self) -> None:
        raise AssertionError("nothing is due")


def test_a_day_passes_at_once() -> None:
    timeline = Timeline()
    loop = VirtualLoop(timeline, Nowhere())
    before = timeline.mono

    loop.run_until_complete(pass_time(86_400))

    assert timeline.mono - before == pytest.approx(86_400)
    loop.close()


def test_waiting_for_nothing_is_an_error() -> None:
    loop = VirtualLoop(Timeline(), Nowhere())

    with pytest.raises(NothingScheduled):
        loop.run_until_complete(asyncio.Event().wait())

    bury(loop)


def test_killed_means_that_nothing_runs_on() -> None:
    """The loop stops between two callbacks; the work is cut off where it stands."""
    loop = VirtualLoop(Timeline(), Nowhere())
    steps: list[int] = []

    async def work() -> None:
        for step in range(100):
            steps.append(step)
            await pass_time(1)

    loop.kill_after(10)
    with pytest.raises(Killed):
        loop.run_until_complete(work())
    done = len(steps)
    bury(loop)

    assert 0 < done < 100
    assert len(steps) == done


def test_wall_clock_jumps_and_reboots_leave_true_time_alone() -> None:
    timeline = Timeline()
    true = timeline.true

    timeline.jump(3_600)
    timeline.reboot()

    assert timeline.true == pytest.approx(true)
    assert timeline.now().wall == pytest.approx(true + 3_600)
    assert timeline.now().mono == 20.0
