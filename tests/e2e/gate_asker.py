"""A bot that asks for orders as fast as it is told to, in a process of its own, and counts the answers.

    python gate_asker.py URL TOKEN RATE_PER_S SECONDS

Prints `asking` when the first order was allowed; ends when nobody answers any more, or after SECONDS. Then prints one
JSON object: `allowed`, `vetoed`, `other`, `last_allowed_wall`, `first_vetoed_wall`, `reasons`.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

BODY = json.dumps({"venue": "kraken", "symbol": "BTC/USDT", "side": "buy", "quantity": "0.001", "price": "49000"})
CONNECTIONS = 4
GIVES_UP_AFTER = 5


class Asker(threading.Thread):
    def __init__(self, url: str, token: str, rate_per_s: float, seconds: float) -> None:
        super().__init__()
        self.parts = urlsplit(url)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.gap_s, self.seconds = 1 / rate_per_s, seconds
        self.allowed = self.vetoed = self.other = 0
        self.last_allowed_wall, self.first_vetoed_wall = 0.0, float("inf")
        self.reasons: set[str] = set()
        self.begins = threading.Event()

    def run(self) -> None:
        connection = HTTPConnection(self.parts.hostname or "", self.parts.port, timeout=10)
        begun = time.monotonic()
        due = begun
        while (now := time.monotonic()) - begun < self.seconds and self.other < GIVES_UP_AFTER:
            if now < due:
                time.sleep(due - now)
            due += self.gap_s
            try:
                connection.request("POST", "/api/v1/orders/check", BODY, self.headers)
                response = connection.getresponse()
                self.count(response.status, json.loads(response.read()))
            except (OSError, HTTPException, ValueError):
                self.other += 1
                connection.close()

    def count(self, status: int, answer: dict) -> None:
        if status == 200:
            self.allowed += 1
            self.begins.set()
            self.last_allowed_wall = max(self.last_allowed_wall, answer["time_wall"])
        elif status == 423:
            self.vetoed += 1
            self.first_vetoed_wall = min(self.first_vetoed_wall, answer["time_wall"])
            self.reasons.add(answer["veto_reason"])
        else:
            self.other += 1


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    url, token, rate, seconds = sys.argv[1:]
    askers = [Asker(url, token, float(rate) / CONNECTIONS, float(seconds)) for _ in range(CONNECTIONS)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.begins.wait(float(seconds))
    say("asking")
    for asker in askers:
        asker.join()
    say(
        json.dumps(
            {
                "allowed": sum(asker.allowed for asker in askers),
                "vetoed": sum(asker.vetoed for asker in askers),
                "other": sum(asker.other for asker in askers),
                "last_allowed_wall": max(asker.last_allowed_wall for asker in askers),
                "first_vetoed_wall": min(asker.first_vetoed_wall for asker in askers),
                "reasons": sorted(set().union(*(asker.reasons for asker in askers))),
            }
        )
    )


if __name__ == "__main__":
    main()
