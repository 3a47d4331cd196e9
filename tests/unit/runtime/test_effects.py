"""A decision carried out: the gate first, then everything at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from risk_daemon.engine.decision import (
    Action,
    Decision,
    Finish,
    ReadNow,
    RefreshDeadMan,
    SaveHalts,
    SaveLatch,
    SetGate,
    StartSweep,
)
from risk_daemon.engine.states import CircuitBreakerState
from risk_daemon.errors import ExitCode
from risk_daemon.gate.restraints import GateState
from risk_daemon.model.events import EventName, Kind, RiskEvent, Tick
from risk_daemon.runtime.effects import Effects
from risk_daemon.runtime.event_writer import EventWriter
from risk_daemon.runtime.locks import Locks
from risk_daemon.runtime.persistence import Persistence
from risk_daemon.runtime.ports import DaemonSettings
from risk_daemon.runtime.tasks import Tasks
from risk_daemon.state.latch import LATCH
from risk_daemon.state.log_anchor import ANCHOR
from tests.unit.oms.fakes import LoopClock
from tests.unit.runtime.fakes import (
    ANCHORED,
    SHUT,
    TRIP,
    FakeFeed,
    FakeGateMap,
    FakeJournal,
    FakeLock,
    FakeOrders,
    FakeStore,
)
from tests.virtual import pass_time

pytestmark = pytest.mark.looptime

ACTIVE, TRIGGERED = CircuitBreakerState.ACTIVE, CircuitBreakerState.TRIGGERED
SWEEP = StartSweep("t-1", locked_mono=40.0, deadline_mono=340.0)


class FakeDeadMen:
    def __init__(self) -> None:
        self.asked: list[RefreshDeadMan] = []

    def refresh(self, action: RefreshDeadMan) -> None:
        self.asked.append(action)


class Hands:
    """Effects on fakes; `order` says what came first."""

    def __init__(self) -> None:
        self.store, self.journal, self.gate_map = FakeStore(), FakeJournal(), FakeGateMap()
        self.orders, self.feeds = FakeOrders(), {"spot": FakeFeed(), "perp": FakeFeed()}
        self.tasks = tasks = Tasks(lambda: None)
        self.finished: list[Finish] = []
        self.dead_men = FakeDeadMen()
        orders: Any = self.orders
        dead_men: Any = self.dead_men
        self.effects = Effects(
            locks=Locks(self.gate_map, [], tasks, 1.0),
            persistence=Persistence(
                self.store, LoopClock(), DaemonSettings(), tasks, documents=lambda: {ANCHOR: ANCHORED}, tell=print
            ),
            events=EventWriter(self.journal, tasks),
            orders=orders,
            feeds=self.feeds,
            dead_men=dead_men,
            tasks=tasks,
            finish=self.finished.append,
        )

    def carry_out(self, *actions: Action, after: CircuitBreakerState = ACTIVE, **fields: Any) -> None:
        self.effects.carry_out(
            Decision(
                seq=1, now=LoopClock().now(), event=Tick(), verdicts=(), before=ACTIVE, after=after, gate=SHUT,
                actions=actions, records=fields.pop("records", ()), **fields,
            )
        )  # fmt: skip


async def test_the_gate_is_shut_before_anything_else_is_begun() -> None:
    hands, moments = Hands(), list[int]()
    hands.effects._finish = lambda _finish: moments.append(len(hands.gate_map.records))
    hands.carry_out(Finish(ExitCode.TRIGGERED_UNPROVEN, "late"), SetGate(SHUT))
    assert moments == [1]
    assert hands.gate_map.records[0].trip_id == "t-1"


async def test_when_the_gate_moves_the_log_says_so_behind_what_moved_it() -> None:
    hands = Hands()
    hands.carry_out(SetGate(SHUT), records=(RiskEvent(EventName.CIRCUIT_BREAKER_TRIGGERED, {}),), after=TRIGGERED)
    hands.carry_out(SetGate(GateState(locked=False)))
    hands.carry_out()
    await hands.effects._events.written(1.0)
    assert hands.journal.written == [("circuit_breaker_triggered", True), ("gate_shut", True), ("gate_opened", False)]
    assert hands.journal.fields["gate_shut"] == {"cause": SHUT.cause, "trip_id": "t-1"}


async def test_a_sweep_is_told_what_its_action_carries() -> None:
    hands = Hands()
    assert hands.effects.latch_deadline_mono == float("-inf")
    hands.carry_out(SWEEP)
    assert hands.orders.asked == [], "it waits for nobody, and nobody for it"
    assert hands.effects.latch_deadline_mono == 340.0
    await asyncio.sleep(0)
    assert hands.orders.asked == [("t-1", 40.0)]


async def test_a_switch_is_refreshed_as_its_action_says() -> None:
    hands, refresh = Hands(), RefreshDeadMan("spot", 60.0, 10.0)
    hands.carry_out(refresh)
    assert hands.dead_men.asked == [refresh]


async def test_a_trip_that_closes_has_it_all_done_in_one() -> None:
    hands = Hands()
    hands.carry_out(replace(SWEEP, closes=True))
    await asyncio.sleep(0)
    assert (hands.orders.asked, hands.orders.closings) == ([], [("t-1", 40.0)])


async def test_nothing_is_prepared_for_the_disk_before_the_sweep_has_begun() -> None:
    hands, lock = Hands(), FakeLock()
    began: list[bool] = []

    async def note() -> None:
        began.append(bool(hands.orders.asked))

    hands.store._job = lock._job = note  # type: ignore[method-assign]
    hands.effects._locks = Locks(hands.gate_map, [lock], hands.tasks, 1.0)
    hands.carry_out(SetGate(SHUT), SaveLatch(TRIP), SWEEP)
    await pass_time(0.01)
    assert began == [True, True], "lock and latch"


async def test_a_hanging_disk_delays_no_cancel_and_no_line() -> None:
    hands = Hands()
    hands.store.hangs = True
    hands.carry_out(SaveLatch(TRIP), SaveHalts({"halts": []}), SWEEP, records=(RiskEvent(EventName.SWEEP_STARTED),))
    await pass_time(0.01)
    assert hands.orders.asked == [("t-1", 40.0)]
    assert hands.journal.written == [(EventName.SWEEP_STARTED.value, False)]


async def test_latch_and_halts_are_saved() -> None:
    hands = Hands()
    hands.carry_out(SaveLatch(TRIP), SaveHalts({"halts": []}))
    await pass_time(0.01)
    assert hands.store.documents[LATCH]["trip_id"] == "t-1"
    assert hands.store.documents["halts"] == {"halts": []}


@pytest.mark.parametrize(("venues", "asked"), [(None, {"spot", "perp"}), (frozenset({"perp"}), {"perp"})])
async def test_the_venues_that_are_named_are_read_urgently(venues: frozenset[str] | None, asked: set[str]) -> None:
    hands, kinds = Hands(), frozenset({Kind.PRICES})
    hands.carry_out(ReadNow(kinds, venues))
    await asyncio.sleep(0)
    assert {name for name, feed in hands.feeds.items() if feed.asked == [(kinds, True)]} == asked


async def test_a_new_state_is_on_disk_for_certain() -> None:
    hands = Hands()
    hands.carry_out(after=TRIGGERED, records=(RiskEvent(EventName.CIRCUIT_BREAKER_TRIGGERED),))
    hands.carry_out(records=(RiskEvent(EventName.PORTFOLIO_UPDATE),))
    hands.carry_out()
    await pass_time(0.01)
    assert hands.journal.written == [("circuit_breaker_triggered", True), ("portfolio_update", False)]
