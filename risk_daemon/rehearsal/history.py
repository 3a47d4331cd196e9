"""A real crash for the drill: a day of history, sped up, drives the price on the simulated venues."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from risk_daemon.errors import UsageError
from risk_daemon.model.units import EXACT, ONE
from risk_daemon.rehearsal.parts import START_PRICE
from risk_daemon.rehearsal.rehearsal import Rehearsal
from risk_daemon.replay.replay import name_of
from risk_daemon.replay.tables import Candle, read_table

STEPS = 80
STEP_S = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """How one symbol went, in `STEPS` steps: each the lowest price of its part of the day, as a ratio of the first."""

    name: str
    symbol: str
    ratios: Sequence[Decimal]
    step_s: float = STEP_S

    @property
    def depth(self) -> Decimal:
        """How far it fell below its first price."""
        return ONE - min(self.ratios)

    async def play(self, rehearsal: Rehearsal) -> bool:
        """Move the price until the gate shuts. Returns whether it did; each price may be the fatal one."""
        for ratio in self.ratios:
            price = EXACT.multiply(START_PRICE, ratio).quantize(Decimal("0.01"))
            await rehearsal.set_price(price, fatal=True)
            await asyncio.sleep(self.step_s)
            if rehearsal.times.shut_wall is not None:
                return True
        return False


def crash_of(path: Path, *, step_s: float = STEP_S) -> Crash:
    """The symbol that fell furthest. Raises UsageError for a file without candles."""
    candles = read_table(path).candles
    if not candles:
        raise UsageError(f"{path}: it has no candles, which a crash for the drill is made of")
    paths = {symbol: _ratios(rows) for symbol, rows in candles.items()}
    symbol = min(paths, key=lambda one: min(paths[one]))
    return Crash(name=name_of(path), symbol=symbol, ratios=paths[symbol], step_s=step_s)


def _ratios(rows: Sequence[Candle]) -> list[Decimal]:
    first, size = rows[0].open, max(1, -(-len(rows) // STEPS))
    parts = (rows[start : start + size] for start in range(0, len(rows), size))
    return [EXACT.divide(min(candle.low for candle in part), first) for part in parts]
