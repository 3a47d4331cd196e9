"""Every change of the tokens has one line in the event log, written by whoever owns the log: the guard, or a command.

Before lines are written, the store says from where on; after a kill the next one reads from there what stands in the
log already, so that nothing is told twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import structlog

from risk_daemon.app.composition import open_journal
from risk_daemon.auth.token_audit import Told, untold
from risk_daemon.auth.tokens import FILE_NAME, TokenStore
from risk_daemon.engine.decision import Decision
from risk_daemon.errors import RiskDaemonError
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.events import RiskEvent, Tick
from risk_daemon.runtime.ports import Journal
from risk_daemon.state.directory import Paths, StateDir
from risk_daemon.state.event_log import lines_since
from risk_daemon.state.log_anchor import ANCHOR
from risk_daemon.state.log_pieces import is_begun
from risk_daemon.state.store.base import Store
from risk_daemon.state.store.sqlite import SqliteStore

TOLD = "tokens_told"
_SINCE = "since"
_MOST_BYTES = 16 * 1024 * 1024
_AGAIN_AFTER_S = 10.0
_LOG = structlog.get_logger(__name__)
Write = Callable[[RiskEvent], Awaitable[None]]


class TokenTeller:
    """write: has one event on disk when it returns; raises RecordError."""

    def __init__(
        self, tokens: TokenStore, before: tuple[Told, bool], store: Store, journal: Journal, write: Write
    ) -> None:
        self._tokens = tokens
        self._told, self._is_noted = before
        self._store = store
        self._journal = journal
        self._write = write
        self._version = -1
        self._telling: asyncio.Task[None] | None = None
        self._not_before_mono = float("-inf")

    def heard(self, decision: Decision) -> None:
        """Looks at the tokens when time passes; must not block, nor raise."""
        is_busy = self._telling is not None and not self._telling.done()
        if not isinstance(decision.event, Tick) or is_busy or decision.now.mono < self._not_before_mono:
            return
        version = self._tokens.version()
        if version != self._version:
            self._not_before_mono = decision.now.mono + _AGAIN_AFTER_S
            self._telling = asyncio.get_running_loop().create_task(self._tell_until(version), name="tokens told")

    async def _tell_until(self, version: int) -> None:
        try:
            await self.tell()
        except RiskDaemonError as error:
            _LOG.error("tokens_not_told", error=str(error))
            return
        self._version, self._not_before_mono = version, float("-inf")

    async def tell(self) -> None:
        """Write what has no line yet. Raises StateError where the tokens can't be read, RecordError."""
        events, told = untold(self._told, await asyncio.to_thread(self._tokens.audit))
        if told == self._told and self._is_noted:
            return
        if events:
            self._is_noted = False
            await self._store.save({TOLD: {**self._told.document(), _SINCE: self._journal.anchor()["seq"]}})
        for event in events:
            await self._write(event)
            self._told = self._told.with_lines([(event.name, event.fields)])
        await self._store.save({TOLD: told.document()})
        self._told, self._is_noted = told, True


def told_before(events: Path, documents: Mapping[str, Any]) -> tuple[Told, bool]:
    """What is told already, and whether the store says all of it.

    A document that makes no sense is as good as none: told twice is better than never.
    """
    document = documents.get(TOLD)
    if document is None:
        return Told(), True
    try:
        told, since = Told.of(document), document.get(_SINCE)
        if since is None:
            return told, True
        lines = lines_since(events, int(since), _MOST_BYTES)
        return told.with_lines((line.event, line.fields) for line in lines), False
    except (KeyError, ValueError, TypeError, AttributeError, OSError, RiskDaemonError) as error:
        _LOG.error("tokens_told_unreadable", error=repr(error))
        return Told(), False


async def tell_stopped(state_dir: Path) -> None:
    """By a command, where no guard runs. Where no log was begun, the first start tells it.

    Raises StateOwned where a guard runs, which tells it; RiskDaemonError where it can't be written.
    """
    paths = Paths(state_dir)
    if not is_begun(paths.events) or not paths.database.exists():
        return
    async with AsyncExitStack() as stack:
        stack.enter_context(StateDir.take(state_dir))
        store = SqliteStore.open(paths.database)
        stack.push_async_callback(store.close)
        documents = dict(await store.load())
        journal = await open_journal(paths, store, documents)
        stack.push_async_callback(journal.close)

        async def write(event: RiskEvent) -> None:
            await journal.append([event], SystemClock().now().wall, durable=True)

        tokens, told = TokenStore.open(state_dir / FILE_NAME), told_before(paths.events, documents)
        await TokenTeller(tokens, told, store, journal, write).tell()
        await store.save({ANCHOR: journal.anchor()})
