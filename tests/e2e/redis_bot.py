"""A bot on another machine: it has an address of Redis and nothing else, and says whenever the answer changes.

    python redis_bot.py URL

Prints one JSON object a change: `open`, `reason`, `mono` (seconds on the clock that all processes of a machine share).
"""

from __future__ import annotations

import json
import sys
import time

from risk_daemon.client import TradingGate


def main() -> None:
    gate, told = TradingGate(redis=sys.argv[1], redis_timeout_s=0.2), None
    while True:
        is_open = gate.is_open()
        mono = time.monotonic()
        if is_open is not told:
            told = is_open
            line = {"open": is_open, "reason": "" if is_open else gate.reason(), "mono": mono}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
        time.sleep(0.001)


if __name__ == "__main__":
    main()
