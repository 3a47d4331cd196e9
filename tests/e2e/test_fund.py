"""Five guards with one limit, as processes: one trip stops all, no network is needed for it, and nothing is lost."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.simulated import API_KEY, API_SECRET
from tests.e2e.fund_world import BUDGET, LIMIT, NAMES, Fund, Member
from tests.e2e.harness import wait_for
from tests.postgres import Database, Server
from tests.redis_server import RedisServer

pytestmark = pytest.mark.long

LEDGER = "risk-daemon:fund:alpha"
READINGS = f"{LEDGER}:readings"


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


def test_a_loss_of_which_no_rule_of_a_guard_knows_stops_all_under_one_id_and_it_is_founded_anew(fund: Fund) -> None:
    fund.begin()
    assert sum(fund.budgets.values()) == LIMIT
    lost = lose_till_somebody_trips(fund)
    [trip_id] = fund.ends_by_a_trip()
    assert {trip["breaker"] for member in fund for trip in member.trips} == {"fund alpha"}
    assert fund.lost == lost * len(NAMES) <= LIMIT

    for member in fund:
        member.lose(0)
    fund.reset()
    fund.start()
    for member in fund:  # a fund that has tripped is over, whoever resets a guard
        wait_for(lambda one=member: f"fund: the fund has tripped ({trip_id})" in one.why_shut, fund.told)
    fund.stop()
    fund.found_anew()
    fund.start().wait_open()
    assert sum(fund.budgets.values()) == LIMIT


def test_the_same_with_a_ledger_in_postgresql(tmp_path: Path, postgres: Server) -> None:
    fund = Fund(tmp_path, Database(postgres).address, 0)
    try:
        fund.begin()
        lose_till_somebody_trips(fund)
        assert len(fund.ends_by_a_trip()) == 1
    finally:
        fund.close()


def test_cut_from_the_ledger_whoever_loses_its_budget_trips_alone_and_all_when_the_network_is_back(fund: Fund) -> None:
    fund.begin()
    fund.cut()
    for member in fund:
        member.guard.wait_for("fund_ledger_lost")
    budgets = fund.budgets
    first = min(fund, key=lambda member: budgets[member.name])
    with fund.audited() as violations:
        for part in (Decimal("0.5"), Decimal("0.9"), Decimal("0.98")):
            for member in fund:
                member.lose(int(budgets[member.name] * part))
            wait_for(lambda part=part: all(m.has_seen(int(budgets[m.name] * part)) for m in fund), fund.told)
        assert all(member.is_open for member in fund), "who is cut off trades on, by its budget"
        first.lose(int(budgets[first.name]) + 50)
        assert fund.lost > LIMIT, "in one step, with nobody tripped before it"
        first.guard.wait_for("venue_proven")
        first.guard.wait_for("fund_untold")
        assert [member.name for member in fund if member.trips] == [first.name]
        assert first.guard.is_running()
        assert not first.is_open
        first.places_an_order()  # past its gate: what was proven is not so any more, and must be again
        wait_for(lambda: not first.state["open_order_count"], fund.told)
        first.guard.wait_for("venue_proven", 2)
    assert violations == []
    fund.mend()
    assert len(fund.ends_by_a_trip()) == 1


def test_whatever_befalls_the_ledger_no_budget_rises_and_nothing_is_lost(fund: Fund, redis: RedisServer) -> None:
    fund.begin()
    budgets = fund.budgets
    with fund.watched() as sums:
        a_guard_is_killed_in_the_middle_of_a_gift(fund, redis)
        backup = redis.ask("HGETALL", LEDGER)
        give(fund["a"], "c", 50)
        before = fund.wait_for_budgets(a=budgets["a"] - 100, b=budgets["b"] + 50, c=budgets["c"] + 50)
        fund["a"].way.is_deaf = True  # who has given all that the others go by
        redis.ask("FLUSHALL")
        wait_for(lambda: any(said("is older than its members", member) for member in fund), fund.told)
        fund["a"].way.is_deaf = False
        wait_for(lambda: len(rows(redis)) == len(NAMES), fund.told)
        put(redis, backup)
        wait_for(lambda: rows(redis)["a"]["given"] == rows_given(fund["a"]), fund.told)
        assert fund.budgets == before
        garbage_is_refused_and_a_trip_needs_no_ledger(fund, redis)
    assert max(sums) <= LIMIT
    assert len(fund.ends_by_a_trip()) == 1


def give(giver: Member, to: str, amount: int) -> None:
    given = giver.guard.command("fund", "transfer", "--to", to, str(amount))
    assert given.returncode == 0, given.stderr


def a_guard_is_killed_in_the_middle_of_a_gift(fund: Fund, redis: RedisServer) -> None:
    """What it gives is on its disk, and on its way to the ledger."""
    a, before, budgets = fund["a"], rows(redis)["a"]["given"], fund.budgets
    a.way.hold = b"has_left"
    with ThreadPoolExecutor(1) as hands:
        giving = hands.submit(a.guard.command, "fund", "transfer", "--to", "b", "50")
        fund.wait_for_budgets(a=budgets["a"] - 50)
        a.guard.signal(signal.SIGKILL)
        assert a.guard.exit_code() == -signal.SIGKILL
        assert giving.result().returncode != 0
    assert rows(redis)["a"]["given"] == before
    assert fund.budgets == {**budgets, "a": budgets["a"] - 50}
    a.way.hold = None
    a.guard.start()
    fund.wait_for_budgets(a=budgets["a"] - 50, b=budgets["b"] + 50)
    fund.release(a)
    fund.wait_open()


def garbage_is_refused_and_a_trip_needs_no_ledger(fund: Fund, redis: RedisServer) -> None:
    whole = redis.ask("HGETALL", LEDGER)
    redis.ask("HSET", LEDGER, "document", '{"format": 1, "rows": "all of them"}', "revision", "odd")
    redis.ask("XADD", READINGS, "*", "reading", "everything is lost")
    for member in fund:
        wait_for(lambda member=member: said("the fund's record has keys too many or too few", member), fund.told)
        wait_for(lambda member=member: said("no reading of a member", member), fund.told)
    assert all(member.is_open for member in fund)
    budgets = fund.budgets
    first = min(fund, key=lambda member: budgets[member.name])
    first.lose(int(budgets[first.name]) + 1)
    first.guard.wait_for("venue_proven")
    assert [member.name for member in fund if member.trips] == [first.name]
    put(redis, whole)


def put(redis: RedisServer, kept: dict[str, str]) -> None:
    """As it was then."""
    redis.ask("HSET", LEDGER, *(word for pair in kept.items() for word in pair))


def rows(redis: RedisServer) -> dict[str, Any]:
    """Of the ledger, by member."""
    document = redis.ask("HGET", LEDGER, "document")
    found = {} if document is None else json.loads(document)["rows"]
    return {seat.partition(".")[0]: row for seat, row in found.items()}


def rows_given(member: Member) -> dict[str, str]:
    """As on its disk, and as the ledger writes it."""
    return member.row.document()["given"]


def said(words: str, member: Member) -> bool:
    return any(words in json.dumps(event) for event in member.guard.events())
