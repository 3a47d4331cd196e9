"""What an operator does at the venues while no daemon runs: a line in the event log before it, and one after.

Nothing waits for the first, and nobody for long for the last. A log that can't be written is shouted: it keeps no
order from being cancelled and no position from being closed.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import structlog

from oms import CloseResult
from risk_daemon.app.composition import open_journal
from risk_daemon.app.noting import Noter
from risk_daemon.errors import InvariantError, RecordError
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.model.units import plain
from risk_daemon.state.directory import Paths, StateDir
from risk_daemon.state.files import json_text, replace_file
from risk_daemon.state.log_anchor import ANCHOR
from risk_daemon.state.store.sqlite import SqliteStore
from risk_daemon.state.worker import Worker

WAIT_S = 5.0
_LOG = structlog.get_logger(__name__)
_UNENDED: Mapping[str, Any] = {"reason": "the command was ended before it could tell"}

Fields = Mapping[str, Any]


class Deed:
    """One of them. `ended` is told how it ended, and what, if anything, is done once that is written down."""

    def __init__(self) -> None:
        self.outcome: Fields = _UNENDED
        self.then: Callable[[Paths], None] | None = None

    def ended(self, outcome: Fields, then: Callable[[Paths], None] | None = None) -> None:
        self.outcome, self.then = outcome, then


@asynccontextmanager
async def on_record(
    state: StateDir | None, asked: EventName, finished: EventName, facts: Fields
) -> AsyncIterator[Deed]:
    """Lines named `asked` and `finished` with these facts, however it ends. Never raises by itself.

    state: None where it could not be taken, or is not there: then it is only said on stderr.
    """
    deed, worker = Deed(), Worker("deeds")
    noter = Noter(partial(_have_written, worker, state))
    noter.note(RiskEvent(asked, facts))
    try:
        yield deed
    except BaseException as error:
        deed.ended({"reason": str(error) or type(error).__name__})
        raise
    finally:
        noter.note(RiskEvent(finished, {**facts, **deed.outcome}))
        await _waited_for(noter, worker, state, deed)
        worker.stop()


async def _waited_for(noter: Noter, worker: Worker, state: StateDir | None, deed: Deed) -> None:
    try:
        async with asyncio.timeout(WAIT_S):
            await noter.written()
            if state is not None and deed.then is not None:
                await worker.run(deed.then, state.paths)
    except TimeoutError:
        _LOG.critical("event_log_failed", error=f"the disk does not answer: not written down within {WAIT_S:g} s")


async def _have_written(worker: Worker, state: StateDir | None, event: RiskEvent) -> None:
    """Raises RecordError."""
    if state is None:
        raise RecordError("there is no state directory that could be taken: this is not written down")
    # A loop of its own on a thread that ends with the process: opening a log on a disk that hangs blocks, too.
    await worker.run(_write, state.paths, event, SystemClock().now().wall)


def _write(paths: Paths, event: RiskEvent, wall: float) -> None:
    try:
        asyncio.run(_written(paths, event, wall))
    except Exception as error:  # whatever it is: the deed is done, or must be
        raise RecordError(f"{event.name} is not written down: {error!r}") from error


async def _written(paths: Paths, event: RiskEvent, wall: float) -> None:
    store = SqliteStore.open(paths.database)
    try:
        journal = await open_journal(paths, store, await store.load())
        try:
            await journal.append([event], wall, durable=True)
            await store.save({ANCHOR: journal.anchor()})
        finally:
            await journal.close()
    finally:
        await store.close()


def forget_closed(result: CloseResult, paths: Paths) -> None:
    """Take what was closed out of what is known last; all else stays, and as old as it is."""
    try:
        seen = paths.risk.stat()
        document = json.loads(paths.risk.read_bytes())
        known = [row for row in document["positions"] if not _is_flat(result, row["venue"])]
        document["positions"] = [*known, *_left(result, document["positions"])]
        replace_file(paths.risk, json_text(document).encode("ascii") + b"\n")
        os.utime(paths.risk, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    except (OSError, ValueError, TypeError, KeyError, InvariantError) as error:
        _LOG.warning("last_known_not_renewed", error=repr(error), effect="`status` shows positions that are closed")


def _is_flat(result: CloseResult, venue: str) -> bool:
    return venue in result.venues and result.venues[venue].flat is True


def _left(result: CloseResult, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was too small to be ordered, of what was known: its worth is not known any more."""
    unpriced = {"value": None, "unrealized": None}
    left = {
        (closed.venue, leg.position.symbol): plain(leg.residual.copy_sign(leg.position.quantity))
        for closed in result.venues.values()
        if closed.flat is True
        for leg in closed.legs
        if leg.residual
    }
    return [
        {**row, **unpriced, "quantity": left[row["venue"], row["symbol"]]}
        for row in before
        if (row["venue"], row["symbol"]) in left
    ]
