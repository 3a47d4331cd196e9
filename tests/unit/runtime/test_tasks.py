"""Tasks that can't die unseen."""

from __future__ import annotations

import asyncio

import pytest

from risk_daemon.runtime.tasks import Tasks

pytestmark = pytest.mark.looptime


async def fail(error: Exception) -> None:
    raise error


async def test_the_first_failure_is_kept_and_told() -> None:
    told: list[str] = []
    tasks = Tasks(lambda: told.append("failed"))
    first = ZeroDivisionError("planted")
    tasks.spawn(fail(first), "first")
    tasks.spawn(fail(ValueError("later")), "second")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert tasks.failure is first
    assert told == ["failed"]


async def test_what_still_runs_is_cancelled_and_that_is_no_failure() -> None:
    tasks = Tasks(lambda: None)
    task = tasks.spawn(asyncio.Event().wait(), "for ever")
    await asyncio.sleep(0)
    await tasks.stop(1.0)
    assert task.cancelled()
    assert tasks.failure is None
    await tasks.stop(1.0)


async def test_a_task_that_will_not_end_is_left_behind() -> None:
    tasks, release = Tasks(lambda: None), asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    task = tasks.spawn(stubborn(), "stubborn")
    await asyncio.sleep(0)
    began = asyncio.get_running_loop().time()
    await tasks.stop(2.0)
    assert asyncio.get_running_loop().time() - began == pytest.approx(2.0)
    assert not task.done()
    release.set()
    await task
