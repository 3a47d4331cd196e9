"""Whose turn it is in the state directory: while a trip is not proven, a start waits for whoever has it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import structlog

from risk_daemon.errors import OwnedMidTrip, StateOwned
from risk_daemon.model.clock import SystemClock
from risk_daemon.state.directory import Paths, is_owned
from risk_daemon.state.latch import unproven_latch

_LOG = structlog.get_logger(__name__)
WITHIN_S = 30.0  # longer than `broadcast --send` has the directory
_LOOK_EVERY_S = 0.1
Result = TypeVar("Result")


async def in_turn(root: Path, work: Callable[[], Awaitable[Result]], *, within_s: float = WITHIN_S) -> Result:
    """What `work` returns, which takes the directory: again, where another has it while a trip is not proven.

    A command may have it for a while when a guard that was killed starts again; a refusal would be the last start that
    a service manager tries. Raises StateOwned at once where there is no such trip, and OwnedMidTrip, after which it
    tries again, where the directory was not to be had in `within_s`; else what `work` raises.
    """
    until_mono = SystemClock().now().mono + within_s
    while True:
        try:
            return await work()
        except StateOwned as error:
            await _freed(Paths(root), error, until_mono)


async def _freed(paths: Paths, error: StateOwned, until_mono: float) -> None:
    clock = SystemClock()
    latch, _ = unproven_latch(paths, clock.now())
    if latch is None:
        raise error
    _LOG.critical("waiting_for_owner", trip_id=latch["trip_id"], owner=str(error))
    while clock.now().mono < until_mono:
        await asyncio.sleep(_LOOK_EVERY_S)
        if not _is_owned(paths):
            return
    raise OwnedMidTrip(f"{error}, and trip {latch['trip_id']} is not proven: ORDERS MAY BE OPEN") from error


def _is_owned(paths: Paths) -> bool:
    try:
        return is_owned(paths.root)
    except OSError:
        return False  # who takes it will say what is wrong
