"""`record-venue`: ask a venue everything the guard asks, and write down what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from adapters import recording
from risk_daemon.app.check import open_venue, probe
from risk_daemon.config.load import Settings
from risk_daemon.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was recorded, for people. is_whole: every call was answered."""

    lines: tuple[str, ...]
    is_whole: bool


async def record(settings: Settings, venue: str, file: Path) -> Told:
    """Write the recording to `file`. Raises UsageError for a venue that is not configured, or a file that is there."""
    if venue not in settings.venues:
        raise UsageError(f"{venue!r} is not a venue of {settings.file}: it has {', '.join(settings.venues)}")
    recording.refuse_to_overwrite(file)
    tape = recording.Tape()
    async with open_venue(settings, venue) as adapter:
        cast(Any, adapter).record(tape)
        found = await probe(adapter, settings)
    account = settings.venues[venue]
    made = recording.Recording(exchange=account.exchange, markets=account.markets, calls=tuple(tape.calls))
    recording.write(file, made)
    failures = [f"  {what} failed: {error}" for what, error in found.failures]
    orders = sum(map(len, found.orders.values()))
    lines = (f"{file}: {len(made.calls)} answers of {account.exchange}, {orders} open orders among them", *failures)
    return Told(lines=lines, is_whole=not failures)
