"""A process that puts events through inbox, engine and log: `python -m benchmarks.event_mill DIRECTORY COUNT...`.

Prints its resident memory, in bytes, after each COUNT of events. Hours go by meanwhile, as the engine sees them.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from pathlib import Path

from benchmarks.daemon_process import resident_bytes
from benchmarks.engine_rows import WARM_S, after, all_rules, engine_with, price_of
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import BalancesSeen, Input, Price, PricesSeen, Source, Tick
from risk_daemon.runtime.inbox import Command, Inbox
from risk_daemon.state.event_log import EventLog

ASSETS = [f"A{number}" for number in range(20)]
A_SECOND = 50
TICK_EVERY_S = 1
READ_EVERY_S = 6


def events() -> Iterator[tuple[Input, Instant]]:
    """A stream of prices without end; between them time is looked at, and prices and balances are read over REST."""
    amounts = {asset: Decimal(5) for asset in ASSETS} | {"USDT": Decimal(1_000_000)}
    for number in count():
        now = after(WARM_S + number / A_SECOND)
        if number % (A_SECOND * READ_EVERY_S) == 0:
            prices = (Price("USDT/USD", "USDT", "USD", Decimal(1)), *(price_of(asset, 2) for asset in ASSETS))
            yield PricesSeen("venue", now.mono, Source.REST, prices), now
            yield BalancesSeen("venue", now.mono, Source.REST, amounts, complete=True), now
        if number % (A_SECOND * TICK_EVERY_S) == 0:
            yield Tick(), now
        price = price_of(ASSETS[number % len(ASSETS)], 2 + (number % 7) / 1_000)
        yield PricesSeen("venue", now.mono, Source.STREAM, (price,)), now


def main(directory: Path, counts: list[int]) -> None:
    """All rules on. Raises RuntimeError if the gate did not stay open: then less was done than is meant."""
    engine, inbox = engine_with(len(ASSETS), all_rules()), Inbox()
    log = EventLog.open(directory / "events.jsonl")
    for done, (told, now) in enumerate(events(), start=1):
        inbox.put(told)
        event = inbox.take()
        if event is not None and not isinstance(event, Command):
            for record in engine.process(event, now).records:
                log.append(record, now.wall)
        if done in counts:
            gc.collect()
            print(resident_bytes(os.getpid()), flush=True)
        if done == counts[-1]:
            break
    log.close()
    if engine.gate.locked:
        raise RuntimeError(f"the gate is shut: {engine.gate.cause}")


if __name__ == "__main__":
    place, *words = sys.argv[1:]
    main(Path(place), [int(word) for word in words])
