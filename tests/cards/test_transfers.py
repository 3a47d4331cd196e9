"""CARD-46: money goes from venue to venue, all guarded by one daemon."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from tests.cards.conftest import KINDS
from tests.cards.test_daemon import CONFIG, MONEY, equity, holds_no_loss, leave_nothing_but_money, place, started, table
from tests.e2e import harness
from tests.e2e.harness import Venue, wait_for

pytestmark = pytest.mark.long

NAMES = ("kraken", "krakenfutures", "binance", "binanceusdm", "bybit", "okx", "mexc")
ALL = MONEY * len(NAMES)
SENT = MONEY * 4 / 5
"""More than a tenth of everything."""


@pytest.fixture
def venues() -> Iterator[dict[str, Venue]]:
    running: dict[str, Venue] = {}
    for name in NAMES:
        running[name] = harness.simulated(name)
        leave_nothing_but_money(running[name], KINDS[name])
    yield running
    for venue in running.values():
        venue.kill()


def flow(venue: Venue, name: str, amount: Decimal, **delay: Any) -> None:
    wallet = {"wallet": KINDS[name].wallet} if KINDS[name].wallet else {}
    venue.post("/flow", asset="USDT", amount=str(amount), **wallet, **delay)


BOOK_WITHIN_S = 180.0
"""Kraken's call counter lets nobody read its ledger more often."""

LATE = {"delay_ledger_ms": 1200}
ARRIVALS = ((False, {}, {}), (False, LATE, {}), (False, {}, LATE), (True, {}, {}), (True, LATE, LATE))
"""Whether it arrives before it is known to have left, and what is told late of where it left and where it arrived."""


def test_card_46_what_goes_from_one_venue_to_another_moves_no_ratio(venues: dict[str, Venue], tmp_path: Path) -> None:
    """Around all seven, in every order of arrival; then a real loss at one of them trips, and all are emptied."""
    tables = "".join(table(KINDS[name], venue) for name, venue in venues.items())
    config = CONFIG.format(capital=ALL, breaker="", closes="false", flow_wait="20s") + tables
    daemon = started(tmp_path, config, [KINDS[name] for name in NAMES])
    try:
        for name, venue in venues.items():
            place(venue, KINDS[name])
        seen = 0
        around = zip(NAMES, (*NAMES[1:], NAMES[0]), cycle(ARRIVALS), strict=False)
        for source, target, (arrives_first, left_late, arrived_late) in around:
            steps = [(source, -SENT, left_late), (target, SENT, arrived_late)]
            for name, amount, delay in reversed(steps) if arrives_first else steps:
                flow(venues[name], name, amount, **delay)
            seen += 2
            wait_for(
                lambda count=seen: equity(daemon) == ALL and len(daemon.of("flow_detected")) >= count,  # type: ignore[misc]
                f"{SENT} from {source} to {target}",
                BOOK_WITHIN_S,
            )
            daemon.wait_open()
        holds_no_loss(daemon)
        left = MONEY - ALL * Decimal("0.07")
        venues["okx"].post("/balance", asset="USDT", amount=str(left), kind="trade", wallet=KINDS["okx"].wallet)
        assert daemon.exit_code(within_s=90) == 1, daemon.output()
        assert daemon.of("circuit_breaker_triggered")
        assert [venue.get("/state")["open_order_count"] for venue in venues.values()] == [0] * len(NAMES)
    finally:
        daemon.close()
