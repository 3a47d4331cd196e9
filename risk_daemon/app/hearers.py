"""Whoever is told, by alerts and by the broadcast, from the first turn of the guard.

What comes before the alerts are open waits for them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Self

import structlog

from risk_daemon.alerts.alert import Alert
from risk_daemon.alerts.manager import AlertManager
from risk_daemon.app.broadcast import Broadcaster, Write
from risk_daemon.model.events import RiskEvent
from risk_daemon.state.store.base import JsonObject

_LOG = structlog.get_logger(__name__)
_WAITING_MAX = 10_000  # a trip whose line falls out is told all the same: it stands

# Opens the alerts of this run; what is to be closed with them goes onto the stack. None: nobody is told.
Open = Callable[[AsyncExitStack], Awaitable[AlertManager | None]]


class Hearers:
    """alerts None: nobody is told, or not yet. Neither `tell` nor `send` waits or raises."""

    def __init__(self, broadcaster: Broadcaster | None = None) -> None:
        self.alerts: AlertManager | None = None
        self._broadcaster = broadcaster
        self._stack = AsyncExitStack()
        self._waiting: deque[Callable[[AlertManager], None]] | None = deque(maxlen=_WAITING_MAX)
        self._later: Open | None = None
        self._opening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        await self._stack.aclose()
        if self._broadcaster is not None:
            await self._broadcaster.aclose()

    # --- what is broadcast ---------------------------------------------------------------------------

    @property
    def documents(self) -> Mapping[str, Callable[[], JsonObject]]:
        """What is to be saved with the latch, by key."""
        return {} if self._broadcaster is None else self._broadcaster.documents

    def broadcast(self, write: Write, *, takes_what_it_gets: bool) -> None:
        """See Broadcaster.prepare. Raises ConfigError."""
        if self._broadcaster is not None:
            self._broadcaster.prepare(write, takes_what_it_gets=takes_what_it_gets)

    # --- opening -------------------------------------------------------------------------------------

    async def open(self, how: Open) -> None:
        """Open them now. Raises ConfigError for a channel that can't be used."""
        self._hand_over(await how(self._stack))

    async def replace(self, how: Open) -> None:
        """Others from now on: what is told meanwhile waits for them, and what was owed is kept for them.

        Raises whatever opening them does; then nobody is told of anything, until they are opened.
        """
        if self._opening is not None:
            await asyncio.wait({self._opening})
        self.alerts, self._waiting = None, deque(maxlen=_WAITING_MAX)
        before, self._stack = self._stack, AsyncExitStack()
        await before.aclose()
        await self.open(how)

    def open_later(self, how: Open) -> None:
        """Open them by `begin`: nothing of it may hold up what the guard has to do before."""
        self._later = how

    def begin(self) -> None:
        """Open what was to be opened later, beside the guard, whose first turn comes first."""
        if self._broadcaster is not None:
            self._broadcaster.begin()
        if self._later is not None:
            self._opening = asyncio.get_running_loop().create_task(self._open_beside(self._later), name="alerts open")

    async def _open_beside(self, how: Open) -> None:
        try:
            await self.open(how)
        except Exception as error:  # whatever it is: it must not end the sweep that it stands beside
            _LOG.critical("alerts_not_opened", error=repr(error))
            self._waiting = None

    def _hand_over(self, alerts: AlertManager | None) -> None:
        self.alerts, waiting, self._waiting = alerts, self._waiting or (), None
        if alerts is not None:
            for what in waiting:
                what(alerts)

    # --- telling -------------------------------------------------------------------------------------

    def tell(self, records: Sequence[RiskEvent], wall: float) -> None:
        """Owe what is to be broadcast, and tell people: see AlertManager."""
        if self._broadcaster is not None:
            self._broadcaster.heard(records, wall)
        self._do(lambda alerts: alerts.tell(records, wall))

    def send(self, alert: Alert) -> None:
        """See AlertManager."""
        self._do(lambda alerts: alerts.send(alert))

    def _do(self, what: Callable[[AlertManager], None]) -> None:
        if self.alerts is not None:
            what(self.alerts)
        elif self._waiting is not None:
            self._waiting.append(what)

    async def flushed(self, within_s: float) -> None:
        """Wait until they are open and everything was tried once, but no longer."""
        broadcast = [] if self._broadcaster is None else [self._broadcaster.flushed(within_s)]
        await asyncio.gather(self._alerts_flushed(within_s), *broadcast)

    async def _alerts_flushed(self, within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                if self._opening is not None:
                    await asyncio.wait({self._opening})
                if self.alerts is not None:
                    await self.alerts.flushed(within_s)
        except TimeoutError:
            _LOG.error("alerts_not_flushed", within_s=within_s)
