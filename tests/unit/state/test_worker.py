"""The worker: in order, all of it, and a hung job keeps nobody from exiting."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from risk_daemon.state.worker import Worker, inline


async def test_results_and_errors_come_back() -> None:
    worker = Worker("test")
    assert await worker.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await worker.run(divmod, 1, 0)
    assert await worker.run(threading.current_thread) is not threading.current_thread()
    assert await inline(divmod, 7, 2) == (3, 1)
    worker.stop()


async def test_jobs_are_done_in_order_even_when_nobody_waits() -> None:
    worker, done, started, go = Worker("test"), list[int](), threading.Event(), threading.Event()

    def first() -> None:
        started.set()
        assert go.wait(10)
        done.append(0)

    tasks = [asyncio.create_task(worker.run(first))]
    tasks += [asyncio.create_task(worker.run(done.append, number)) for number in range(1, 20)]
    await asyncio.to_thread(started.wait, 10)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert all(task.cancelled() for task in tasks)
    go.set()
    await worker.run(done.append, 20)
    assert done == list(range(21))
    worker.stop()


def test_a_hung_job_does_not_keep_the_process() -> None:
    program = """
import asyncio, threading
from risk_daemon.state.worker import Worker
async def main():
    try:
        await asyncio.wait_for(Worker("hung").run(threading.Event().wait), 0.01)
    except TimeoutError:
        print("gave up")
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "gave up\n", "")
