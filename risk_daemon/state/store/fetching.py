"""All that a server has of a guard, read step by step: each has its time, and all of them have none together.

So a slow line makes it last longer, and one that is dead ends it soon. The documents are of one save, or there are
none; samples are nice to have, the newest first, and what can't be read of them keeps nothing else from being taken.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from risk_daemon.errors import RecordError, StateError
from risk_daemon.state.store import formats
from risk_daemon.state.store.base import JsonObject
from risk_daemon.state.store.lineage import Head
from risk_daemon.state.store.postgres import PostgresStore
from risk_daemon.state.store.postgres_link import Refused
from risk_daemon.state.store.revised import SampleRow

STEP_WITHIN_S = 4.0
SAMPLES_AT_ONCE = 2_000

T = TypeVar("T")


async def documents_of(remote: PostgresStore, head: Head) -> Mapping[str, JsonObject]:
    """The documents of that save, in this version's format. Raises RecordError, Refused where it is another by now."""
    found = {key: await _step(remote, remote.document(key)) for key in await _step(remote, remote.keys())}
    if not head.is_same_as(await _step(remote, remote.head())):
        raise Refused("somebody saved there meanwhile: another guard of this name is there")
    try:
        documents, _ = formats.brought_forward(found)
    except StateError as error:
        raise Refused(f"{error}") from error
    return documents


async def samples_of(remote: PostgresStore, tell: Callable[[int], None]) -> tuple[list[SampleRow], str | None]:
    """The samples, oldest first, and why older ones could not be read, if so. tell: how many there are by now."""
    found: list[SampleRow] = []
    why_not, before = None, math.inf
    while True:
        try:
            more = await _step(remote, remote.sample_rows(before, SAMPLES_AT_ONCE))
        except RecordError as error:
            why_not = str(error)
            break
        if not more:
            break
        found += more
        before = more[-1][0]
        tell(len(found))
    return found[::-1], why_not


async def _step(remote: PostgresStore, asked: Awaitable[T]) -> T:
    """Raises RecordError."""
    try:
        async with asyncio.timeout(STEP_WITHIN_S):
            return await asked
    except TimeoutError:
        raise RecordError(f"{remote.where} does not answer within {STEP_WITHIN_S:g} s") from None
    except StateError as error:
        raise Refused(f"{error}") from error
