"""A loop beside the guard's: what hangs there holds up nobody here."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from risk_daemon.broadcast import own_loop
from risk_daemon.broadcast.own_loop import OwnLoop


async def test_work_is_done_on_a_thread_of_its_own_and_its_errors_come_back() -> None:
    own = OwnLoop("beside")

    async def where() -> str:
        return threading.current_thread().name

    async def fails() -> None:
        raise OSError("gone")

    assert await own.run(where) == "beside"
    with pytest.raises(OSError, match="gone"):
        await own.run(fails)
    own.stop()


async def test_what_blocks_there_blocks_nothing_here_and_its_waiter_may_go() -> None:
    own, until, is_there = OwnLoop("beside"), threading.Event(), threading.Event()

    async def blocks() -> None:
        is_there.set()
        until.wait(30)

    waiting = asyncio.ensure_future(own.run(blocks))
    await asyncio.to_thread(is_there.wait, 30)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await waiting
    assert time.monotonic() - began < 5.0
    until.set()
    own.stop()


async def test_names_are_looked_up_on_threads_that_nobody_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[bool] = []

    def slow(*_: object, **__: object) -> list[object]:
        looked_up.append(threading.current_thread().daemon)
        raise socket.gaierror("no such name")

    monkeypatch.setattr(own_loop.socket, "getaddrinfo", slow)
    own = OwnLoop("beside")

    async def connects() -> None:
        await asyncio.open_connection("nowhere.invalid", 9092)

    with pytest.raises(OSError, match="no such name"):
        await own.run(connects)
    assert looked_up == [True]
    own.stop()


async def test_it_ends_with_what_is_under_way_and_begins_anew() -> None:
    own, threads = OwnLoop("ending"), lambda: [one for one in threading.enumerate() if one.name == "ending"]

    async def ever() -> None:
        await asyncio.Event().wait()

    async def once() -> int:
        return 7

    waiting = asyncio.ensure_future(own.run(ever))
    assert await own.run(once) == 7
    (thread,) = threads()
    own.stop()
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()
    await asyncio.wait({waiting}, timeout=10)
    assert waiting.cancelled()
    assert await own.run(once) == 7
    own.stop()
