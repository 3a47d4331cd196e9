"""A gate in Redis as a daemon and a bot elsewhere have it: a writer that refreshes, a bot that asks, time that is real.

The lease is short, so that nobody has to wait long for what a lease ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from risk_daemon.client import TradingGate
from risk_daemon.errors import RecordError
from risk_daemon.model.clock import SystemClock
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.redis import RedisLock
from risk_daemon.state.lock.redis_address import RedisAddress
from tests.redis_server import RedisServer

OPEN = LockRecord(locked=False)
TRIPPED = LockRecord(True, "capital_loss", "trip-1", 1_763_636_400.5, 1_763_640_000.0)
LEASE_MS = 400
WAIT_S = 20.0
KEY = "risk-daemon:main:gate:main"
CLOCK = SystemClock()


def lock_of(server: RedisServer, *, port: int | None = None, **more: Any) -> RedisLock:
    url = f"redis://127.0.0.1:{port or server.port}/0"
    return RedisLock(RedisAddress.of(url), **{"lease_ms": LEASE_MS, **more})


def gate_of(server: RedisServer, *, port: int | None = None, **more: Any) -> TradingGate:
    """A bot's; patient, as the machines that tests run on are busy."""
    return TradingGate(**{"redis": f"redis://127.0.0.1:{port or server.port}/0", "redis_timeout_s": 1.0, **more})


async def until(condition: Callable[[], Any], what: str, within_s: float = WAIT_S) -> Any:
    """Ask again and again, beside whatever else runs."""
    deadline = time.monotonic() + within_s
    while not (found := await asyncio.to_thread(condition)):
        assert time.monotonic() < deadline, f"waited {within_s} s in vain for {what}"
        await asyncio.sleep(0.005)
    return found


class Guard:
    """Says what it is told to, again and again, as the evaluation loop does. errors: of its tries, newest last."""

    def __init__(self, lock: RedisLock) -> None:
        self.lock = lock
        self.errors: list[str] = []

    async def say(self, record: LockRecord) -> None:
        with self._noted():
            await self.lock.write(record, CLOCK.now())

    async def turn(self) -> None:
        with self._noted():
            await self.lock.refresh(CLOCK.now())

    @contextlib.contextmanager
    def _noted(self) -> Any:
        try:
            yield
        except RecordError as error:
            self.errors.append(str(error))

    @asynccontextmanager
    async def guarding(self) -> AsyncIterator[Guard]:
        """It takes its turns while this lasts."""

        async def turns() -> None:
            while True:
                await self.turn()
                await asyncio.sleep(0.02)

        task = asyncio.create_task(turns())
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self.lock.aclose()


class Watcher:
    """A bot that asks all the time, in a thread. opens: when it was told yes; asked: how often it asked."""

    def __init__(self, gate: TradingGate) -> None:
        self.gate = gate
        self.opens: list[float] = []
        self.asked = 0
        self._is_over = False

    async def __aenter__(self) -> Watcher:
        self._task = asyncio.create_task(asyncio.to_thread(self._ask))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_over = True
        await self._task

    def _ask(self) -> None:
        while not self._is_over:
            began = time.monotonic()
            if self.gate.is_open():
                self.opens.append(began)
            self.asked += 1
            time.sleep(0.002)

    def opened_after(self, moment: float) -> bool:
        """Whether a look that began after `moment` (monotonic) was told yes."""
        return any(at > moment for at in self.opens)
