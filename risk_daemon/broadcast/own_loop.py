"""An event loop on a thread of its own: what runs there shares no turn, no pool and no exit with the guard."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import structlog

from risk_daemon.alerts.threads import Busy, Threads

T = TypeVar("T")

_LOG = structlog.get_logger(__name__)


class _Loop(asyncio.SelectorEventLoop):
    """Looks names up on threads that nobody waits for: the pool of a loop is waited for at the interpreter's end."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._names = Threads(f"{name} names")
        self.set_exception_handler(_note)

    async def getaddrinfo(self, host: Any, port: Any, **hints: int) -> Any:
        """Raises OSError."""
        try:
            return await self._names.run(partial(socket.getaddrinfo, host, port, **hints))
        except Busy as error:
            raise OSError(f"{host} can't be looked up: {error}") from None


def _note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What a library leaves behind is nobody's failure here: what is owed is tried again whatever it says."""
    _LOG.debug("broadcast_loop", message=str(context.get("message")), error=repr(context.get("exception")))


class OwnLoop:
    """Begins with the first job. The thread is a daemon: nothing that hangs there keeps the process."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: _Loop | None = None

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Have `work()` done there, and wait for it. A waiter that is cancelled cancels it."""
        if self._loop is None:
            self._loop = _Loop(self._name)
            threading.Thread(target=self._turn, args=(self._loop,), name=self._name, daemon=True).start()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), self._loop))

    def stop(self) -> None:
        """Do nothing more. What is under way there is left where it is."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._loop = None

    @staticmethod
    def _turn(loop: _Loop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
