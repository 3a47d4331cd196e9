"""What a scrape tells is what the daemon's parts know."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from adapters.base import BudgetLevel
from risk_daemon.app.hearers import Hearers
from risk_daemon.app.scrape import reading_of
from risk_daemon.metrics.counters import Counters
from risk_daemon.model.events import OrdersListed
from risk_daemon.model.status import LockStoreStatus
from risk_daemon.runtime.inbox import Inbox
from risk_daemon.runtime.open_orders import OpenOrders
from risk_daemon.runtime.status import status_of
from tests.metrics_world import guarded
from tests.unit.runtime.fakes import FakeAdapter, FakeJournal


class Counting(FakeAdapter):
    """A venue that counts calls."""

    def budget_levels(self) -> tuple[BudgetLevel, ...]:
        return (BudgetLevel("others", 3.0, 15.0),)


class Alerts:
    """As much of an AlertManager as is asked."""

    def status(self) -> dict[str, Any]:
        return {"channels": {"oncall": {"failures": 1, "owed": 2, "missed": 3}}}

    def tries(self) -> dict[str, tuple[int, int]]:
        return {"oncall": (5, 4)}


def read(unlooked_s: float, hearers: Hearers | None = None, locks: Sequence[LockStoreStatus] = ()) -> Any:
    world, orders = guarded(), OpenOrders()
    orders.listed(OrdersListed("spot", "plain", world.now, ()))
    parts = SimpleNamespace(
        clock=world.clock,
        inbox=Inbox(),
        journal=FakeJournal(),
        open_orders=orders,
        adapters={"spot": Counting(), "silent": FakeAdapter()},
    )
    daemon: Any = SimpleNamespace(parts=parts, counters=Counters(), unlooked_s=lambda _mono: unlooked_s)
    status = status_of(world.engine, world.clock.now(), {}, locks=locks)
    assert status.locked is False
    return reading_of(daemon, hearers or Hearers(), status)


def test_when_it_looked_and_for_how_long_bots_may_believe_it() -> None:
    told, late, never = read(0.25), read(3.0), read(float("inf"))
    assert told.evaluated_wall == told.wall - 0.25
    assert (told.lease_left_s, late.lease_left_s, never.lease_left_s) == (0.75, 0.0, 0.0)
    assert never.evaluated_wall is None


def test_who_asks_in_redis_may_believe_it_for_longer() -> None:
    def lock(name: str, written_s: float | None) -> LockStoreStatus:
        return LockStoreStatus(name=name, written_s=written_s, failing_s=None, reason=None)

    unwritten, said, old = lock("redis://a", None), lock("redis://b", 0.5), lock("redis://c", 9.0)
    assert read(0.25, locks=[lock("file", 0.0), unwritten, old]).lease_left_s == 0.75
    assert read(0.25, locks=[unwritten, said, old]).lease_left_s == 1.5
    assert read(3.0, locks=[said]).lease_left_s == 1.5


def test_orders_log_and_calls_are_those_of_the_parts() -> None:
    told = read(0.1)
    assert told.open_orders == {"spot": {"plain": 0}}
    assert (told.log_seq, told.waiting) == (7, 0)
    [level] = told.budgets["spot"]
    assert (level.name, level.used, level.ceiling) == ("others", 3.0, 15.0)
    assert told.budgets["silent"] == []


def test_channels_are_there_where_somebody_is_told() -> None:
    hearers = Hearers()
    assert read(0.1, hearers).channels == {}
    hearers.alerts = Alerts()  # type: ignore[assignment]
    one = read(0.1, hearers).channels["oncall"]
    assert (one.sent, one.failed, one.failing, one.owed, one.missed) == (5, 4, 1, 2, 3)
