"""A process that does nothing but look: `python -m benchmarks.watcher gate|byte PATH`.

gate: until a `TradingGate` that is open is shut. byte: until the first byte of a mapped file changes. Prints a line
when it looks, and then when it saw the change, in seconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

import mmap
import sys
import time
from pathlib import Path

from risk_daemon.client import TradingGate


def watch_gate(path: Path) -> None:
    """Until it is shut."""
    gate = TradingGate(path)
    while not gate.is_open():
        pass
    print("looking", flush=True)
    while gate.is_open():
        pass


def watch_byte(path: Path) -> None:
    """Until it is another."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as page:
        before = page[0]
        print("looking", flush=True)
        while page[0] == before:
            pass


if __name__ == "__main__":
    kind, place = sys.argv[1:]
    (watch_gate if kind == "gate" else watch_byte)(Path(place))
    print(time.clock_gettime(time.CLOCK_BOOTTIME), flush=True)
