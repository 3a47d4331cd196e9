"""Asking wardens while no daemon runs: the command that wants something serves their page itself, and waits."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Protocol

import structlog

from risk_daemon.api.override_page import OverridePage
from risk_daemon.api.page_server import PageServer
from risk_daemon.api.tls import server_context
from risk_daemon.app.alerting_stopped import telling
from risk_daemon.app.composition import open_journal
from risk_daemon.app.overrides import WardenAffairs, rules_of
from risk_daemon.auth.desk import Desk, Opened, Tell
from risk_daemon.auth.override import OverrideRefused
from risk_daemon.auth.wardens import WardenStore
from risk_daemon.config.load import Settings
from risk_daemon.errors import StateError
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.event_names import RiskEvent
from risk_daemon.runtime.ports import Journal
from risk_daemon.state.directory import Paths, StateDir
from risk_daemon.state.latch import refuse_unproven
from risk_daemon.state.log_anchor import ANCHOR
from risk_daemon.state.store.sqlite import SqliteStore

_LOG = structlog.get_logger(__name__)
_LOOK_EVERY_S = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Told(Protocol):
    """Whoever tells people at the terminal."""

    def opened(self, asked: Mapping[str, Any]) -> None: ...

    def moved(self, view: Mapping[str, Any]) -> None: ...


def are_wardens_enrolled(settings: Settings) -> bool:
    """Whether wardens must be asked. Raises StateError where that can't be known."""
    return WardenStore.beside(settings.state.dir).read().is_guarded


def writes_to(journal: Journal) -> Tell:
    """Tells what happens to the event log, and what can't be written was not told."""

    async def tell(event: RiskEvent) -> None:
        await journal.append([event], SystemClock().now().wall, durable=True)

    return tell


@asynccontextmanager
async def page_of(settings: Settings, tell: Tell) -> AsyncIterator[Desk]:
    """A desk with its page, as long as this lasts. Raises StateError, ConfigError."""
    clock = SystemClock()
    desk = Desk(WardenStore.beside(settings.state.dir), rules_of(settings), clock, tell)
    page = OverridePage(desk, settings.warden.host, clock)
    server = PageServer(page, settings.api.listen, server_context(settings))
    await server.start()
    try:
        yield desk
    finally:
        await desk.close()
        await server.stop()


async def followed(desk: Desk, opened: Opened, told: Told) -> Mapping[str, Any]:
    """How the attempt stands when it has ended. Ctrl-C withdraws it; what is being done already is done to its end."""
    told.opened(opened.document())
    with _interrupted() as is_interrupted:
        while True:
            view = await desk.progress()
            if view is not None:
                told.moved(view)
                if view["stage"] == "ended":
                    return view
            await desk.changed(_LOOK_EVERY_S)
            if is_interrupted.is_set():
                await _withdraw(desk, opened)


@contextmanager
def _interrupted() -> Iterator[asyncio.Event]:
    """Set by SIGINT and SIGTERM, which do nothing else while this lasts."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    for number in _SIGNALS:
        loop.add_signal_handler(number, event.set)
    try:
        yield event
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def _withdraw(desk: Desk, opened: Opened) -> None:
    try:
        await desk.withdraw(opened.attempt, "whoever began it")
    except OverrideRefused as error:
        _LOG.info("not_withdrawn", reason=str(error))  # it has ended meanwhile


@asynccontextmanager
async def affairs_stopped(settings: Settings, *, waits: bool) -> AsyncIterator[tuple[WardenAffairs, Desk]]:
    """What can be done about wardens themselves. Whose accounts the state is of does not matter. Raises StateError.

    waits: for people, and the guard can't start meanwhile; so not while a trip is to be finished.
    """
    paths = Paths(settings.state.dir)
    if not paths.database.exists():
        raise StateError(f"{paths.root}: there is no state here yet, so there is no log either: run `risk-daemon init`")
    async with AsyncExitStack() as stack:
        stack.enter_context(StateDir.take(paths.root))
        store = SqliteStore.open(paths.database)
        stack.push_async_callback(store.close)
        documents = dict(await store.load())
        if waits:
            refuse_unproven(paths, documents, SystemClock().now())
        journal = await open_journal(paths, store, documents)
        stack.push_async_callback(journal.close)
        told = await stack.enter_async_context(telling(settings, journal))
        desk = await stack.enter_async_context(page_of(settings, writes_to(told)))
        try:
            yield WardenAffairs(desk, SystemClock()), desk
        finally:
            await desk.close()
            await store.save({ANCHOR: journal.anchor()})


async def asked_stopped(
    settings: Settings, ask: Callable[[WardenAffairs], Awaitable[Opened]], told: Told
) -> Mapping[str, Any]:
    """Ask by `ask`, and wait for how it ends. Raises RiskDaemonError."""
    async with affairs_stopped(settings, waits=True) as (affairs, desk):
        return await followed(desk, await ask(affairs), told)


async def glass_stopped(settings: Settings, asked_by: str, sentence: str | None, *, is_root: bool) -> Mapping[str, Any]:
    """See `WardenAffairs.break_glass`. sentence None: leave it whole."""
    async with affairs_stopped(settings, waits=False) as (affairs, _):
        if sentence is None:
            return await affairs.stop_break_glass(asked_by)
        return await affairs.break_glass(asked_by, sentence, is_root=is_root)
