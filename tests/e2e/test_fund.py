"""Five guards with one limit, as processes: one trip stops all, no network is needed for it, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.simulated import API_KEY, API_SECRET
from tests.e2e.fund_world import BUDGET, LIMIT, NAMES, Fund
from tests.e2e.harness import wait_for
from tests.redis_server import RedisServer

pytestmark = pytest.mark.long


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis").start()
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what a fund begins with, which is done in this process."""
    monkeypatch.setenv("RISK_DAEMON_KRAKEN_API_KEY", API_KEY)
    monkeypatch.setenv("RISK_DAEMON_KRAKEN_SECRET", API_SECRET)


@pytest.fixture
def fund(tmp_path: Path, redis: RedisServer) -> Iterator[Fund]:
    made = Fund(tmp_path, "redis://127.0.0.1:{port}/0", redis.port)
    yield made
    made.close()


def lose_till_somebody_trips(fund: Fund, first: int = 280, step: int = 20) -> int:
    """All lose alike, and each guard has seen it before all lose more. How much each has lost when one trips."""
    for lost in range(first, int(BUDGET) + 1, step):
        for member in fund:
            member.lose(lost)
        wait_for(lambda lost=lost: any(one.trips for one in fund) or all(one.has_seen(lost) for one in fund), fund.told)
        if any(one.trips for one in fund):
            return lost
    wait_for(lambda: any(member.trips for member in fund), fund.told)
    return int(BUDGET)


def test_a_loss_of_which_no_rule_of_a_guard_knows_stops_all_under_one_id(fund: Fund) -> None:
    fund.begin()
    assert sum(fund.budgets.values()) == LIMIT
    lost = lose_till_somebody_trips(fund)
    assert len(fund.ends_by_a_trip()) == 1
    assert {trip["breaker"] for member in fund for trip in member.trips} == {"fund alpha"}
    assert fund.lost == lost * len(NAMES) <= LIMIT
