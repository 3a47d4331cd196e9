"""A bot on a machine of its own that asks every 10 ms, and tells each answer.

    python partition_bot.py URL GUARD...

Prints a line an answer: when it was told (seconds of the clock that all processes of a machine share), and 1 for open.
"""

from __future__ import annotations

import sys
import time

from risk_daemon.client import TradingGate

EVERY_S = 0.01


def main() -> None:
    gate = TradingGate(redis=sys.argv[1], guards=sys.argv[2:], redis_timeout_s=0.3)
    due = time.monotonic()
    while True:
        is_open = gate.is_open()
        sys.stdout.write(f"{time.monotonic():.4f} {int(is_open)}\n")
        sys.stdout.flush()
        due = max(due + EVERY_S, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()
