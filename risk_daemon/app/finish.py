"""A trip that is not proven is finished first, whatever refuses the start.

What stands in the way is told, and what is needed for the sweep is taken as it comes: the venues that can be
spoken to, the latch by any witness, a store beside the one that is spoilt. Nothing is guarded meanwhile: no
baselines, no rules, no API. Venues of the trip that can't be spoken to keep it unproven, by name.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import structlog

from adapters.base import Capabilities, Market, OrderScope
from risk_daemon.app.composition import Opened, Site, account, capital_text, engine_settings, open_log
from risk_daemon.broadcast.outbox import BROADCAST
from risk_daemon.config.settings import Settings
from risk_daemon.engine.engine import Engine
from risk_daemon.engine.outside import BOARD
from risk_daemon.errors import (
    ConfigError,
    ExitCode,
    RecordError,
    RiskDaemonError,
    StateError,
    StateOwned,
    VenueRejected,
)
from risk_daemon.fund.membership import FUND
from risk_daemon.model.clock import Instant, SystemClock
from risk_daemon.model.events import RiskEvent
from risk_daemon.runtime.ports import GateMap, Journal
from risk_daemon.state.directory import LOST, Paths, StateDir, identity, set_up
from risk_daemon.state.journals import LogJournal
from risk_daemon.state.latch import LATCH, latch_document, trip_left, unproven_latch
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.file import FileLock
from risk_daemon.state.lock.memory_map import MemoryMap, shut
from risk_daemon.state.log_anchor import Anchor
from risk_daemon.state.store.base import JsonObject
from risk_daemon.state.store.formats import IDENTITY
from risk_daemon.state.store.sqlite import SqliteStore, connect, read_documents, write_documents

_LOG = structlog.get_logger(__name__)
_PASSING = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM}
)
_BESIDE = ("-wal", "-shm", "")  # the database last: without its log it would look older than it is


class NothingCanBeReached(RiskDaemonError):
    """A trip is not proven, and no venue of it can be spoken to."""

    exit_code = ExitCode.REFUSED


async def take_up(
    settings: Settings, refusal: Exception, left_out: Mapping[str, str], stack: AsyncExitStack
) -> Opened | None:
    """Everything for finishing the trip that is not proven; None where there is none.

    refusal: why the start was refused. left_out: venues in the configuration that can't be used, and why.
    Raises StateOwned while another process has the directory, and NothingCanBeReached.
    """
    paths, site = Paths(settings.state.dir), Site(settings, takes_what_it_gets=True)
    now = site.clock.now()
    if unproven_latch(paths, now)[0] is None:
        return None
    _own(paths, stack)
    latch, documents = unproven_latch(paths, now)
    if latch is None:
        return None
    gate_map = await _shut(paths, latch, now, stack)
    await stack.enter_async_context(site)
    owed = venues_owed(paths, documents)
    absent = _absent(settings, site, owed, left_out)
    _tell(latch, refusal, site, absent)
    if not site.adapters:
        raise NothingCanBeReached(_sentence(refusal, latch, absent))
    store = _latch_store(settings, paths, latch_document(latch, now), owed)
    stack.push_async_callback(store.close)
    adapters = {**site.adapters, **{name: AbsentVenue(name, why) for name, why in absent.items()}}
    # A freeze ends here like a trip: this process stays only until everything is proven. It closes no position, and to
    # peers it stays a freeze, by `until_wall`: they are shut, and trip for nobody.
    told = engine_settings(settings, adapters)
    engine = Engine(replace(told, close_positions=told.close_positions and latch.get("is_freeze") is False))
    kept = {key: documents[key] for key in (BOARD, BROADCAST, FUND) if key in documents}
    engine.restore({**kept, "latch": {**latch, "is_freeze": False}}, now)
    return Opened(
        site=site,
        adapters=adapters,
        paths=paths,
        engine=engine,
        store=store,
        journal=_journal(paths, stack),
        gate_map=gate_map,
        documents=kept,
    )


def name_the_trip(root: Path, refusal: Exception) -> str | None:
    """`refusal` with the trip that is not proven, where nothing is known of the venues; None: there is none.

    The gate is shut as well as it can be. Never raises.
    """
    paths, now = Paths(root), SystemClock().now()
    latch, _ = unproven_latch(paths, now)
    if latch is None:
        return None
    try:
        with StateDir.take(root):
            shut(paths.gate, _record(latch))
    except (RecordError, StateError) as error:
        _LOG.critical("gate_not_shut", error=str(error))
    return _sentence(refusal, latch, {})


def _sentence(refusal: Exception, latch: Mapping[str, Any], absent: Mapping[str, str]) -> str:
    why = "".join(f"; {name}: {reason}" for name, reason in absent.items())
    return (
        f"{refusal} Trip {latch['trip_id']} is not proven and can't be finished like this: ORDERS MAY BE OPEN, cancel"
        f" them at the exchange, or mend this and start again{why}"
    )


def _tell(latch: Mapping[str, Any], refusal: Exception, site: Site, absent: Mapping[str, str]) -> None:
    _LOG.critical(
        "finishing_first",
        trip_id=latch["trip_id"],
        reason=latch["reason"],
        refused=str(refusal) or repr(refusal),
        venues=sorted(site.adapters),
        not_reachable=dict(absent),
        hint="the start is refused; the trip that is not proven is finished all the same, without guarding",
    )


def _own(paths: Paths, stack: AsyncExitStack) -> None:
    """Raises StateOwned. A directory that can't be locked must not keep us from cancelling."""
    try:
        stack.enter_context(StateDir.take(paths.root))
    except StateOwned:
        raise
    except StateError as error:
        _LOG.critical("state_not_taken", error=str(error))


# --- the gate and the log --------------------------------------------------------------------------


def _record(latch: Mapping[str, Any]) -> LockRecord:
    cause = str(latch.get("cause") or latch["breaker"])
    return LockRecord(True, cause, latch["trip_id"], latch["since_wall"], latch.get("until_wall"))


async def _shut(paths: Paths, latch: Mapping[str, Any], now: Instant, stack: AsyncExitStack) -> GateMap:
    """The trip is on both lock files before anything else is touched: whoever kills us now, they tell of it."""
    try:
        gate = MemoryMap(paths.gate)
        stack.callback(gate.close)
        gate.write(_record(latch), now)
    except RecordError as error:
        _LOG.critical("gate_not_shut", error=str(error))
        return NoGate()
    try:
        await FileLock(paths.lock).write(_record(latch), now)
    except RecordError as error:
        _LOG.critical("lock_write_failed", error=str(error))
    return gate


class NoGate:
    """Where there is no file to be written: whoever asks finds it stale, which is shut."""

    def write(self, record: LockRecord, now: Instant) -> None:
        return

    def stamp(self, now: Instant) -> None:
        return

    def look(self, now: Instant) -> str | None:
        return None


def _journal(paths: Paths, stack: AsyncExitStack) -> Journal:
    """The event log; one that is damaged is set aside, and where there can be none, its lines are logged."""
    try:
        journal = LogJournal(open_log(paths, must_open=True))
    except (StateError, OSError) as error:
        _LOG.critical("event_log_failed", error=str(error))
        return NoJournal()
    stack.push_async_callback(journal.close)
    return journal


class NoJournal:
    """Nothing can be written down: it is told all the same, by whoever is told of decisions."""

    def anchor(self) -> Mapping[str, Any]:
        return Anchor(0, "").document()

    async def append(self, events: Sequence[RiskEvent], wall: float, *, durable: bool) -> None:
        raise RecordError("there is no event log")


# --- venues ----------------------------------------------------------------------------------------


def venues_owed(paths: Paths, documents: Mapping[str, Any]) -> dict[str, str]:
    """The venues that the trip is about, each with the fingerprint of its account where that is known."""
    accounts, lost = documents.get(IDENTITY, {}).get("accounts"), documents.get(LOST, {}).get("venues")
    if isinstance(accounts, dict):
        return {**dict.fromkeys(lost if isinstance(lost, list) else (), ""), **accounts}
    left = trip_left(paths)
    return {} if left is None else dict.fromkeys(left.venues, "")


def _absent(settings: Settings, site: Site, owed: Mapping[str, str], left_out: Mapping[str, str]) -> dict[str, str]:
    """The venues of the trip that can't be spoken to, each with the reason.

    A venue that was renamed is known by its account. Where it isn't known which venues the trip was about,
    it was about every one in the configuration.
    """
    unusable = {**left_out, **site.unusable}
    if not owed:
        return unusable
    present = {account(settings, name) for name in site.adapters}
    return {
        name: unusable.get(name, "it is not in the configuration any more: put it back as it was")
        for name, fingerprint in owed.items()
        if name not in site.adapters and fingerprint not in present
    }


class AbsentVenue:
    """A venue of the trip that nobody can speak to. It answers nothing, so nothing about it is ever proven."""

    capabilities = Capabilities(has_flows=False, has_positions=False)
    markets = frozenset(Market)

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self._why = why
        self.scopes = (OrderScope("all orders", self.markets),)

    def instrument(self, symbol: str) -> None:
        """Unknown."""

    def heartbeat_mono(self, kind: object) -> None:
        """None."""

    async def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise VenueRejected(f"{self.name} can't be spoken to: {self._why}")

    connect = cancel_only = read_balances = read_positions = read_prices = read_flows = _refuse
    list_orders = cancel_orders = next_frame = _refuse

    async def reset_streams(self) -> None:
        """There are none."""

    async def close(self) -> None:
        """There is nothing to close."""


# --- the latch -------------------------------------------------------------------------------------


class LatchStore:
    """Saves how far the proof has come, what is still to be broadcast and what the fund is told, and nothing else.

    What is remembered of the accounts stays as it is.
    """

    def __init__(self, store: SqliteStore, latch: Mapping[str, Any]) -> None:
        self._store = store
        self._latch = latch

    @property
    def trouble(self) -> str | None:
        """A trip that is finished waits for no server."""
        return None

    async def load(self) -> Mapping[str, JsonObject]:
        return {}

    async def save(self, documents: Mapping[str, JsonObject]) -> None:
        kept = {key: documents[key] for key in (BROADCAST, FUND) if key in documents}
        if LATCH in documents:
            kept[LATCH] = {**self._latch, "proven": documents[LATCH].get("proven") is True}
        if kept:
            await self._store.save(kept)

    async def append_sample(self, document: JsonObject) -> None:
        """No history is kept of a time without a guard."""

    async def load_samples(self) -> Sequence[JsonObject]:
        return ()

    async def close(self) -> None:
        await self._store.close()


class NoStore(LatchStore):
    """No latch can be written, so the trip never ends as proven."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def save(self, documents: Mapping[str, JsonObject]) -> None:
        raise RecordError(self._why)

    async def close(self) -> None:
        """There is nothing to close."""


def _latch_store(settings: Settings, paths: Paths, document: JsonObject, owed: Mapping[str, str]) -> LatchStore:
    """The state as it is if it can be written, else a fresh one in its place. The latch is in it."""
    try:
        try:
            _write_latch(paths, document)
        except StateError as error:
            if _may_pass(error):
                raise
            _set_aside(paths, str(error))
            _start_afresh(settings, paths, document, {"reason": _lost(document, error), "venues": sorted(owed)})
        return LatchStore(SqliteStore.open(paths.database), document)
    except (RiskDaemonError, OSError) as error:
        _LOG.critical("latch_save_failed", error=str(error))
        return NoStore(str(error))


def _may_pass(error: StateError) -> bool:
    """Whether the state is only out of reach now: somebody holds it, or the disk is full. Then it stays where it is."""
    code = getattr(error.__cause__, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in _PASSING


def _write_latch(paths: Paths, document: JsonObject) -> None:
    """Raises StateError for a state that can't be used, RecordError for one that can't be written."""
    with closing(connect(paths.database)) as connection:
        known = read_documents(paths.database, connection)
        if IDENTITY not in known:
            raise StateError(f"{paths.database}: the state does not say whose it is")
        if known.get(LATCH) != document:
            write_documents(paths.database, connection, {LATCH: document})


def _set_aside(paths: Paths, why: str) -> None:
    """Never deleted: somebody may want to look. Raises OSError."""
    number = 1
    while any(_aside(paths, number, suffix).exists() for suffix in _BESIDE):
        number += 1
    moved = []
    for suffix in _BESIDE:
        source = paths.database.with_name(paths.database.name + suffix)
        if source.exists():
            os.replace(source, _aside(paths, number, suffix))
            moved.append(source.name)
    _LOG.critical("state_set_aside", error=why, files=moved, kept_as=_aside(paths, number, "").name)


def _aside(paths: Paths, number: int, suffix: str) -> Path:
    return paths.database.with_name(f"{paths.database.name}.aside-{number}{suffix}")


def _lost(document: JsonObject, error: StateError) -> str:
    return f"the state was lost while trip {document['trip_id']} was not proven ({error})"


def _start_afresh(settings: Settings, paths: Paths, document: JsonObject, lost: JsonObject) -> None:
    """A state of these accounts that holds the latch, and says that all else was lost. Raises StateError."""
    accounts = {}
    for name in settings.venues:
        try:
            accounts[name] = account(settings, name)
        except ConfigError as error:
            _LOG.warning("account_not_known", venue=name, error=str(error))
    with closing(connect(paths.database, create=True)) as connection:
        set_up(paths, connection, identity(accounts, capital_text(settings)), {LATCH: document, LOST: lost})
