"""Threads that may hang, and whom that holds up."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from risk_daemon.alerts.threads import Busy, Threads


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


async def test_a_result_and_an_error_come_back() -> None:
    threads = Threads("test")
    assert await threads.run(lambda a, b: a + b, 1, 2) == 3
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 / 0)


async def test_what_hangs_takes_its_own_place_only(gate: threading.Event) -> None:
    threads = Threads("test", at_most=2)
    hung = asyncio.create_task(threads.run(gate.wait))
    await asyncio.sleep(0)
    assert await threads.run(lambda: "past it") == "past it"
    assert not hung.done()
    gate.set()
    assert await hung is True


async def test_when_all_hang_that_is_said_at_once_and_a_place_comes_back(gate: threading.Event) -> None:
    threads = Threads("test", at_most=1)
    hung = asyncio.create_task(threads.run(gate.wait))
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await threads.run(lambda: "never")
    gate.set()
    await hung
    assert await threads.run(lambda: "again") == "again"


async def test_a_waiter_that_gives_up_frees_no_place(gate: threading.Event) -> None:
    threads = Threads("test", at_most=1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(threads.run(gate.wait), 0.01)
    with pytest.raises(Busy):
        await threads.run(lambda: "never")


def test_what_hangs_keeps_no_process_from_ending() -> None:
    program = (
        "import asyncio, threading\n"
        "from risk_daemon.alerts.threads import Threads\n"
        "async def main():\n"
        "    try:\n"
        "        await asyncio.wait_for(Threads('test').run(threading.Event().wait), 0.01)\n"
        "    except TimeoutError:\n"
        "        print('gave up')\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "gave up\n", "")
