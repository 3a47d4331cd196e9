"""One run of the guard: events in, decisions out, and a proper end whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import pytest
from structlog.testing import capture_logs

from risk_daemon.engine.decision import Decision
from risk_daemon.engine.engine import Engine
from risk_daemon.engine.settings import DeadManSettings
from risk_daemon.errors import (
    ExitCode,
    GuardFailed,
    InvariantError,
    RecordError,
    StartUnavailable,
    Stopping,
    UsageError,
)
from risk_daemon.model.account import OrderSide
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import (
    BalancesSeen,
    EnableRequested,
    ErrorKind,
    ErrorReported,
    EventName,
    FlowsListed,
    FundTold,
    HaltRequested,
    Input,
    Order,
    OrderReported,
    OrdersListed,
    OrdersSeen,
    PricesSeen,
    ReleaseRequested,
    ResetRequested,
    RiskEvent,
    Source,
    Started,
    SweepFinished,
    Tick,
    TrippedElsewhere,
    VenueConnected,
)
from risk_daemon.runtime.daemon import Daemon, DaemonSettings
from risk_daemon.runtime.fund_status import MemberSettings, fund_status
from risk_daemon.runtime.member import Member
from risk_daemon.state.latch import LATCH
from tests.core_world import SPOT, amounts, engine_settings, price
from tests.unit.oms.fakes import LoopClock
from tests.unit.runtime.fakes import ANCHORED, TRIP, FakeAdapter, Machine
from tests.virtual import pass_time

pytestmark = pytest.mark.looptime

HALT = HaltRequested("drill", "anna")
HALT_BOT = HaltRequested("it floods", "anna", bot="evil")


class Running:
    """A daemon on fakes, and what it did."""

    def __init__(
        self,
        *,
        is_first_start: bool = False,
        latch: Any = None,
        adapter: FakeAdapter | None = None,
        engine: Engine | None = None,
        beside: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.machine = Machine(adapter=adapter, engine=engine)
        self.machine.parts = replace(self.machine.parts, beside=beside or {})
        if latch is not None:
            self.machine.engine.restore({"latch": latch}, LoopClock().now())
        self.daemon = Daemon(self.machine.parts, DaemonSettings(**settings), is_first_start=is_first_start)
        self.heard: list[Decision] = []
        self.daemon.subscribe(self.heard.append)
        self.task = asyncio.create_task(self.daemon.run())

    async def ready(self) -> Running:
        """Everything was read once, and says the same all along."""
        for _ in range(3):
            self.tell_all()
            await pass_time(1.0)
        return self

    def tell_all(self) -> None:
        mono = LoopClock().now().mono
        self.put(
            VenueConnected("spot"),
            BalancesSeen("spot", mono, Source.REST, amounts(USDT=10_000), complete=True),
            PricesSeen("spot", mono, Source.REST, (price("BTC/USDT", 50_000),)),
            FlowsListed("spot", mono, ()),
        )

    def put(self, *events: Input) -> None:
        for event in events:
            self.machine.inbox.put(event)

    async def halted(self) -> str:
        """A trip by an operator. Returns its id."""
        return str((await self.daemon.command(HALT))["trip_id"])

    async def ends(self) -> ExitCode:
        return await asyncio.wait_for(self.task, 1_000.0)

    @property
    def shutdown(self) -> Any:
        return self.machine.journal.fields["system_shutdown"]


def breaks_on(kind: type, error: Exception) -> Any:
    """The engine fails when it is given an event of that kind."""
    process: Callable[[Engine, Input, Instant], Decision] = Engine.process

    def broken(self: Engine, event: Input, now: Instant) -> Decision:
        if isinstance(event, kind):
            raise error
        return process(self, event, now)

    return patch.object(Engine, "process", broken)


# --- a day without trouble ------------------------------------------------------------------------------


async def test_it_gets_ready_opens_the_gate_and_ends_when_told_to() -> None:
    running = Running()
    assert not running.daemon.is_alive()
    await pass_time(0.5)
    assert running.daemon.is_alive()
    assert not running.daemon.is_ready()
    assert (running.machine.gate.locked, running.machine.gate.cause) == (True, "starting")
    await running.ready()
    machine = running.machine
    assert running.daemon.is_ready()
    assert not machine.gate.locked
    assert machine.lock.refreshed, "the open word is renewed"
    running.daemon.stop()
    assert not running.daemon.is_alive(), "nobody is to send an order by it any more"
    assert await running.ends() is ExitCode.STOPPED
    assert (machine.gate.locked, machine.gate.cause, machine.lock.records[-1].locked) == (True, "locked", True)
    assert machine.journal.written[-1] == ("system_shutdown", True)
    assert running.shutdown == {"exit_code": 0, "reason": "told to stop", "trip_id": None}
    assert machine.adapter.is_closed
    assert machine.orders.is_stopped
    assert machine.orders.asked == [], "nothing is cancelled by a stop"


async def test_the_service_manager_and_listeners_hear_of_it() -> None:
    running = await Running(watchdog_every_s=1.0).ready()
    running.daemon.stop()
    await running.ends()
    told = running.machine.told
    assert told.count("READY=1") == 1
    assert told[-1] == "STOPPING=1\nSTATUS=told to stop"
    fed = [line for line in told if line.startswith("WATCHDOG=1")]
    assert len(fed) == pytest.approx(4, abs=1)
    assert fed[0] == "WATCHDOG=1\nSTATUS=ACTIVE, gate shut: starting"
    assert fed[-1] == "WATCHDOG=1\nSTATUS=ACTIVE, loss 0.00 %, gate open"
    assert isinstance(running.heard[0].event, Started)
    assert [decision.seq for decision in running.heard] == list(range(1, len(running.heard) + 1))
    assert len(running.machine.gate_map.stamps) == len(running.heard), "every turn is a sign of life"


async def test_what_is_known_is_saved_and_written_for_programs() -> None:
    running = await Running(persist_every_s=1.0).ready()
    running.daemon.stop()
    await running.ends()
    machine = running.machine
    assert {"baselines", "portfolio", "flows", "breakers", "halts", "feeds"} <= machine.store.documents.keys()
    assert machine.store.documents["feeds"] == {"spot": {"flows_since_wall": 5.0}}
    assert machine.store.saves[-1] == {"log_anchor": ANCHORED}, "the last word is where the log ends"
    assert len(machine.risk.documents) >= 3
    last = machine.risk.documents[-1]
    assert (last["state"], last["equity"], last["locked"], last["lock"]["cause"]) == ("ACTIVE", "10000", True, "locked")


async def test_who_reads_along_hears_every_line_with_its_moment_and_the_last_words_too() -> None:
    running = Running()
    heard: list[tuple[str, float]] = []
    running.daemon.read_along(lambda records, wall: heard.extend((record.name.value, wall) for record in records))
    await running.ready()
    await running.daemon.command(HALT_BOT)
    running.daemon.stop()
    await running.ends()
    assert [name for name, _ in heard] == [name for name, _ in running.machine.journal.written]
    assert {"manual_halt", "system_shutdown"} <= {name for name, _ in heard}
    assert [wall for _, wall in heard] == sorted(wall for _, wall in heard)


async def test_a_start_that_knows_nothing_saves_nothing() -> None:
    running = Running()
    await pass_time(20.0)
    running.daemon.stop()
    await running.ends()
    assert running.machine.store.saves == [{"log_anchor": ANCHORED}]


async def test_orders_that_are_told_of_are_remembered() -> None:
    running = await Running().ready()
    order = Order(
        venue="spot", scope="plain", order_id="1", client_order_id=None, symbol="X", side="buy", order_type="limit"
    )
    running.put(OrdersListed("spot", "plain", 1.0, (order,)))
    await pass_time(0.1)
    assert running.machine.parts.open_orders.of("spot") == (order,)
    running.put(OrdersSeen("spot", 1.0, (), ended=(order,)))
    await pass_time(0.1)
    assert running.machine.parts.open_orders.of("spot") == ()
    running.daemon.stop()
    await running.ends()


async def test_what_is_only_shown_ends_no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise TypeError("an odd row")

    running = await Running().ready()
    monkeypatch.setattr(running.machine.parts.recent, "note", fails)
    running.put(VenueConnected("spot"))
    await pass_time(0.5)
    assert running.daemon.is_alive()
    running.daemon.stop()
    await running.ends()


async def test_a_flood_does_not_keep_others_waiting() -> None:
    running, turns_of_others = await Running().ready(), 0
    running.put(*[VenueConnected("spot")] * 500)
    while len(running.machine.inbox):
        await asyncio.sleep(0)
        turns_of_others += 1
    assert turns_of_others >= 500 // 32
    running.daemon.stop()
    await running.ends()


# --- trips ----------------------------------------------------------------------------------------------


async def test_triggered_and_proven_ends_with_1_once_the_latch_is_durable() -> None:
    running = await Running().ready()
    began = LoopClock().now().mono
    trip_id = await running.halted()
    await pass_time(0.01)
    [(swept, locked_mono)] = running.machine.orders.asked
    assert swept == trip_id
    assert locked_mono == pytest.approx(began, abs=0.3)
    assert running.machine.gate.trip_id == trip_id
    running.put(SweepFinished(trip_id, True, 0, 1.0))
    assert await running.ends() is ExitCode.TRIGGERED_AND_PROVEN
    assert running.machine.store.documents[LATCH]["proven"] is True
    assert (running.shutdown["exit_code"], running.shutdown["trip_id"]) == (1, trip_id)
    assert running.machine.gate.trip_id == trip_id


async def test_a_latch_that_is_not_durable_by_the_deadline_ends_with_4() -> None:
    running = await Running().ready()
    running.machine.store.breaks()
    began = LoopClock().now().mono
    trip_id = await running.halted()
    running.put(SweepFinished(trip_id, True, 0, 1.0))
    assert await running.ends() is ExitCode.TRIGGERED_UNPROVEN
    assert running.shutdown["reason"] == "the latch could not be made durable"
    assert LoopClock().now().mono - began == pytest.approx(300.0, abs=10.0)


async def test_stopped_in_the_middle_of_a_trip_it_ends_with_4() -> None:
    running = await Running().ready()
    await running.halted()
    running.daemon.stop()
    assert await running.ends() is ExitCode.TRIGGERED_UNPROVEN
    assert running.shutdown["reason"] == "told to stop"


async def test_a_proven_trip_ends_a_start_with_1_and_cancels_nothing() -> None:
    running = Running(latch={**TRIP, "proven": True})
    assert await running.ends() is ExitCode.TRIGGERED_AND_PROVEN
    assert running.machine.orders.asked == []
    assert running.machine.told[0] == "READY=1"


async def test_a_sweep_that_says_nothing_ends_by_the_deadline() -> None:
    running = await Running().ready()
    await running.halted()
    assert await running.ends() is ExitCode.TRIGGERED_UNPROVEN
    assert running.shutdown["reason"] == "not proven by the deadline"


# --- people ---------------------------------------------------------------------------------------------


async def test_a_command_is_answered_with_what_was_decided_on_it() -> None:
    running = await Running().ready()
    first, second = await asyncio.gather(
        running.daemon.command(EnableRequested("anna")), running.daemon.command(ResetRequested("r", "anna", "keep"))
    )
    assert (first["accepted"], first["reason"], first["state"]) == (True, "the state is ACTIVE", "ACTIVE")
    assert (second["accepted"], second["trip_id"]) == (False, None)
    same = EnableRequested("anna")
    twice = await asyncio.gather(running.daemon.command(same), running.daemon.command(same))
    assert [one["accepted"] for one in twice] == [True, True], "one event, asked twice, is answered twice"
    running.daemon.stop()
    await running.ends()


async def test_a_halt_waits_a_moment_for_its_latch() -> None:
    running = await Running(call_timeout_s=10.0).ready()
    running.machine.store.hangs = True
    began = LoopClock().now().mono
    await running.halted()
    assert LoopClock().now().mono - began == pytest.approx(10.0, abs=0.3)
    assert running.machine.gate.cause == "manual_halt"
    running.daemon.stop()
    await running.ends()


@pytest.mark.parametrize("event", [HALT_BOT, ReleaseRequested("over", "anna", bot="evil")])
async def test_a_halt_that_a_restart_would_forget_is_said_to_be_one(event: Any) -> None:
    running = await Running().ready()
    await running.daemon.command(HALT_BOT)
    assert running.machine.store.documents["halts"]["halts"][0]["bot"] == "evil"
    running.machine.store.breaks()
    with pytest.raises(RecordError, match="after a restart it must be said again"):
        await running.daemon.command(event)
    running.daemon.stop()
    await running.ends()


async def test_who_asks_too_late_is_told_that_nothing_was_done() -> None:
    running = await Running().ready()
    waiting = asyncio.create_task(running.daemon.command(EnableRequested("anna")))
    running.daemon.stop()
    with pytest.raises(Stopping):
        await running.daemon.command(HALT)
    await running.ends()
    with pytest.raises(Stopping, match="ask it again"):
        await waiting
    assert running.machine.engine.trip is None


async def test_who_asked_what_broke_the_guard_is_told_so_too() -> None:
    running = await Running().ready()
    with breaks_on(EnableRequested, ZeroDivisionError("planted")):
        asked = asyncio.create_task(running.daemon.command(EnableRequested("anna")))
        with pytest.raises(ZeroDivisionError):
            await running.ends()
    with pytest.raises(Stopping):
        await asked


# --- failures -------------------------------------------------------------------------------------------


async def test_a_bug_shuts_the_gate_and_is_raised() -> None:
    running = await Running().ready()
    with breaks_on(VenueConnected, ZeroDivisionError("planted")):
        running.put(VenueConnected("spot"))
        with pytest.raises(ZeroDivisionError):
            await running.ends()
    assert (running.machine.gate.locked, running.machine.gate.cause) == (True, "locked")
    assert running.machine.lock.records[-1].locked
    assert running.machine.adapter.is_closed


@pytest.mark.parametrize("error", [UsageError("refused"), StartUnavailable("no venue")])
async def test_in_the_middle_of_a_trip_no_error_says_that_it_may_stay_down(error: Exception) -> None:
    running = await Running().ready()
    trip_id = await running.halted()
    with breaks_on(VenueConnected, error):
        running.put(VenueConnected("spot"))
        with pytest.raises(GuardFailed, match="must be started again") as raised:
            await running.ends()
    assert raised.value.exit_code is ExitCode.BUG
    assert isinstance(raised.value, InvariantError)
    assert raised.value.__cause__ is error
    assert (running.machine.gate.cause, running.machine.gate.trip_id) == ("manual_halt", trip_id), (
        "the trip stays on it"
    )


async def test_a_feed_that_dies_ends_the_guard() -> None:
    running = Running()
    running.machine.feed.hangs, running.machine.feed.error = False, ZeroDivisionError("planted")
    with pytest.raises(ZeroDivisionError):
        await running.ends()
    assert running.machine.gate.locked


async def test_a_guard_that_is_cancelled_shuts_the_gate() -> None:
    running = await Running().ready()
    running.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running.task
    assert (running.machine.gate.locked, running.machine.gate.cause) == (True, "locked")
    assert running.machine.adapter.is_closed


async def test_a_first_start_without_a_baseline_ends_and_says_what_is_missing() -> None:
    running = Running(is_first_start=True, first_start_within_s=60.0)
    with pytest.raises(StartUnavailable, match="spot balances"):
        await running.ends()
    assert 60.0 <= LoopClock().now().mono <= 100.0
    assert running.machine.gate.locked


async def test_a_state_that_can_t_be_saved_shuts_the_gate_until_it_can() -> None:
    running = await Running(persist_every_s=1.0, check_store_every_s=1.0).ready()
    assert not running.machine.gate.locked
    running.machine.store.breaks()
    running.tell_all()
    await pass_time(3.0)
    assert (running.machine.gate.locked, running.machine.gate.cause) == (True, "locked")
    running.machine.store.error = None
    await pass_time(3.0)
    assert not running.machine.gate.locked
    running.daemon.stop()
    await running.ends()


async def test_disks_and_venues_that_hang_keep_the_end_for_a_moment_only() -> None:
    running = await Running(stop_within_s=5.0).ready()
    machine = running.machine
    machine.store.hangs = machine.journal.hangs = machine.lock.hangs = machine.risk.hangs = machine.adapter.hangs = True
    began = LoopClock().now().mono
    running.daemon.stop()
    with capture_logs() as logs:
        assert await running.ends() is ExitCode.STOPPED
    assert LoopClock().now().mono - began < 25.0
    assert {"lock_write_failed", "last_write_failed", "log_not_anchored"} <= {line["event"] for line in logs}
    assert not machine.adapter.is_closed


async def test_a_venue_that_can_t_be_closed_is_told() -> None:
    running = await Running().ready()
    running.machine.adapter.error = OSError("reset by peer")
    running.daemon.stop()
    with capture_logs() as logs:
        await running.ends()
    assert [line["event"] for line in logs] == ["venue_close_failed"]


async def test_a_guard_without_venues_ends_as_well() -> None:
    running = await Running().ready()
    object.__setattr__(running.machine.parts, "adapters", {})
    running.daemon.stop()
    assert await running.ends() is ExitCode.STOPPED


# --- a venue's own switch -------------------------------------------------------------------------------


class SwitchAdapter(FakeAdapter):
    """As much of a venue as a switch needs. log: what it took, in order. takes_s: how long it is about an arming."""

    dead_men = ()

    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []
        self.takes_s = 0.0

    async def arm_dead_men(self, timeout_s: float, symbols: Collection[str], *, urgent: bool) -> tuple[str, ...]:
        await asyncio.sleep(self.takes_s)
        self.log.append("arm")
        return ("",)

    async def disarm_dead_men(self) -> None:
        self.log.append("disarm")

    async def are_dead_men_armed(self) -> bool | None:
        return None


async def with_switch() -> tuple[Running, SwitchAdapter]:
    """A guard whose venue has a switch of 60 s, ready and armed."""
    adapter, switch = SwitchAdapter(), DeadManSettings(timeout_s=60.0, covers="all", leaves="none")
    engine = Engine(replace(engine_settings(10_000, {"spot": SPOT}), dead_men={"spot": switch}))
    running = await Running(adapter=adapter, engine=engine).ready()
    assert adapter.log == ["arm"]
    return running, adapter


async def test_a_switch_is_refreshed_by_the_loops_own_ticks() -> None:
    running, adapter = await with_switch()
    await pass_time(60.0)
    assert adapter.log == ["arm"] * 5
    running.daemon.stop()
    await running.ends()


async def test_where_evaluation_fails_nothing_puts_it_off_and_nothing_disarms_it() -> None:
    running, adapter = await with_switch()
    with breaks_on(Tick, InvariantError("planted")), pytest.raises(InvariantError):
        await running.ends()
    await pass_time(60.0)
    assert adapter.log == ["arm"]


async def test_a_clean_stop_awaits_a_refresh_and_then_disarms() -> None:
    running, adapter = await with_switch()
    adapter.takes_s = 3.0
    await pass_time(13.5)
    running.daemon.stop()
    assert await running.ends() is ExitCode.STOPPED
    await pass_time(60.0)
    assert adapter.log == ["arm", "arm", "disarm"]
    names = [name for name, _ in running.machine.journal.written]
    assert names[-2:] == ["dead_man_disarmed", "system_shutdown"]


async def test_a_trip_refreshes_it_until_the_proof_and_then_disarms() -> None:
    running, adapter = await with_switch()
    trip_id = await running.halted()
    await pass_time(40.0)
    assert adapter.log == ["arm"] * 3
    running.put(SweepFinished(trip_id, True, 0, 1.0))
    assert await running.ends() is ExitCode.TRIGGERED_AND_PROVEN
    assert adapter.log == ["arm"] * 3 + ["disarm"]


@pytest.mark.parametrize(("whom", "log"), [("guard b", ["arm"]), (None, ["arm", "disarm"])])
async def test_a_switch_that_is_shared_is_left_to_who_stays(whom: str | None, log: list[str]) -> None:
    running, adapter = await with_switch()
    has_left: list[bool] = []

    async def leave() -> None:
        has_left.append(True)

    running.daemon.before_last_words(leave)
    running.daemon.leave_switches_to(lambda: whom if has_left else "nobody was asked yet")
    running.daemon.stop()
    with capture_logs() as logs:
        assert await running.ends() is ExitCode.STOPPED
    assert adapter.log == log
    left = [(line["venue"], line["left_to"]) for line in logs if line["event"] == "dead_man_left_armed"]
    assert left == ([] if whom is None else [("spot", whom)])


async def test_an_end_without_a_proof_leaves_it_armed() -> None:
    running, adapter = await with_switch()
    await running.halted()
    running.daemon.stop()
    assert await running.ends() is ExitCode.TRIGGERED_UNPROVEN
    assert "disarm" not in adapter.log


async def test_a_proof_without_a_durable_latch_leaves_it_armed() -> None:
    running, adapter = await with_switch()
    running.machine.store.breaks()
    trip_id = await running.halted()
    running.put(SweepFinished(trip_id, True, 0, 1.0))
    assert await running.ends() is ExitCode.TRIGGERED_UNPROVEN
    assert "disarm" not in adapter.log


# --- what happens beside the engine -----------------------------------------------------------------------

ASKED = RiskEvent(EventName.OVERRIDE_ASKED, {"who": "anna"})


async def test_what_happens_beside_the_engine_is_on_disk_before_it_is_told() -> None:
    running = await Running().ready()
    journal, told = running.machine.journal, []

    def read(records: Sequence[RiskEvent], _wall: float) -> None:
        told.extend((record, ("override_asked", True) in journal.written) for record in records)

    running.daemon.read_along(read)
    await running.daemon.write_down(ASKED)
    assert told == [(ASKED, True)]
    assert running.heard[-1].records == (ASKED,)
    assert journal.written.count(("override_asked", True)) == 1
    running.daemon.stop()
    await running.ends()


@pytest.mark.parametrize("harm", ["breaks", "hangs"])
async def test_what_can_t_be_written_down_is_an_error_and_told_to_nobody(harm: str) -> None:
    running = await Running().ready()
    if harm == "hangs":
        running.machine.journal.hangs = True
    else:
        running.machine.journal.breaks()
    heard = len(running.heard)
    with pytest.raises(RecordError):
        await running.daemon.write_down(ASKED)
    assert ASKED not in [record for decision in running.heard[heard:] for record in decision.records]
    running.daemon.stop()
    await running.ends()


async def test_what_others_have_open_ends_before_the_log_does() -> None:
    running, gates = await Running().ready(), []

    async def fails() -> None:
        raise ValueError("planted")

    async def hangs() -> None:
        gates.append(running.machine.gate.locked)
        await asyncio.get_running_loop().create_future()

    async def tells() -> None:
        await running.daemon.write_down(ASKED)

    for work in (fails, hangs, tells):
        running.daemon.before_last_words(work)
    running.daemon.stop()
    assert await running.ends() is ExitCode.STOPPED
    assert [name for name, _ in running.machine.journal.written][-2:] == ["override_asked", "system_shutdown"]
    assert gates == [True], "nobody looks any more while they end"


async def test_it_guards_once_it_is_ready_and_while_it_turns_and_not_in_a_trip() -> None:
    running = Running()
    await pass_time(0.5)
    assert (running.daemon.is_alive(), running.daemon.is_guarding()) == (True, False)
    await running.ready()
    assert running.daemon.is_guarding()
    later = LoopClock().now().mono + 60.0
    with patch.object(running.machine.parts.clock, "now", lambda: Instant(later, later)):
        assert not running.daemon.is_guarding(), "the loop hangs"
    trip_id = await running.halted()
    assert (running.daemon.is_alive(), running.daemon.is_guarding()) == (True, False)
    running.put(SweepFinished(trip_id, True, 0, 1.0))
    await running.ends()


# --- what is counted -----------------------------------------------------------------------------------


async def test_turns_events_and_what_bots_tell_are_counted() -> None:
    running = await Running().ready()
    now_mono = LoopClock().now().mono
    assert running.daemon.unlooked_s(now_mono) < 0.3
    running.put(
        OrderReported("spot", "BTC/USDT", OrderSide.BUY, "grid-1"),
        ErrorReported(ErrorKind.BROKER, "grid-1", "spot", "down"),
    )
    await pass_time(1.0)
    told = running.daemon.counters.counted()
    assert told.orders == {("spot", "grid-1"): 1}
    assert told.errors == {("broker", "spot", "grid-1"): 1}
    assert told.events["venue_connected"] == 1
    assert told.turns.reached[float("inf")] == len(running.heard) - 1, "each but the start, which nobody waits for"
    assert 0 < told.turns.sum_s < 1.0
    running.daemon.stop()
    await running.ends()


async def test_before_the_first_look_it_has_not_looked() -> None:
    daemon = Daemon(Machine().parts, DaemonSettings())
    assert daemon.unlooked_s(LoopClock().now().mono) == float("inf")


# --- a fund --------------------------------------------------------------------------------------------


async def test_told_to_stop_with_everything_proven_and_the_fund_not_told_it_does_not_end_as_proven() -> None:
    for is_told, code in ((False, ExitCode.TRIGGERED_UNPROVEN), (True, ExitCode.TRIGGERED_AND_PROVEN)):
        running = await Running().ready()
        running.put(TrippedElsewhere(trip_id="alpha-1", by="fund alpha", cause="fund", reason="a has lost 400"))
        await pass_time(0.1)
        running.put(SweepFinished("alpha-1", proven=True, cancelled=0, elapsed_s=1.0))
        await pass_time(0.1)
        assert not running.task.done()
        if is_told:
            running.put(FundTold("alpha-1"))
        else:
            running.daemon.stop()
        assert await running.ends() is code


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (False, ExitCode.TRIGGERED_UNPROVEN),
        (True, ExitCode.TRIGGERED_AND_PROVEN),
        (None, ExitCode.TRIGGERED_AND_PROVEN),
    ],
)
async def test_a_trip_of_the_fund_that_the_engine_has_not_heard_of_yet_does_not_end_as_proven(
    told: bool | None, code: ExitCode
) -> None:
    """A trip of the guard's own ends it in the turn before. told None: the fund has not tripped."""
    running = await Running().ready()
    settings = MemberSettings(fund="alpha", member="b", limit="1000 USDT", currency="USDT")
    status = replace(
        fund_status(settings, None, why_not=None, is_told=False, ledger_error=None, read_s=None), told=told
    )
    running.daemon.member = cast(Member, SimpleNamespace(view=lambda: status, is_confirming=False))
    trip_id = await running.halted()
    running.put(SweepFinished(trip_id, True, 0, 1.0))
    assert await running.ends() is code


class InQuestion:
    """A member whose budget seems to be lost, and is being read again."""

    is_confirming = True
    confirm_within_s = 0.0

    def view(self) -> None:
        """Nothing of it matters here."""


async def test_while_a_lost_budget_is_read_again_a_trip_of_its_own_does_not_end_the_guard_yet() -> None:
    running, member = await Running().ready(), InQuestion()
    running.daemon.member = cast(Member, member)
    trip_id = await running.halted()
    running.put(SweepFinished(trip_id, True, 0, 1.0))
    await pass_time(2.0)
    assert not running.task.done()
    running.put(TrippedElsewhere(trip_id="alpha-1", by="fund alpha", cause="fund", reason="b has lost 400"))
    await pass_time(0.1)
    member.is_confirming = False
    assert await running.ends() is ExitCode.TRIGGERED_UNPROVEN, "it is to be started again, and tells the fund"


async def test_the_end_is_held_for_as_long_as_the_question_may_take() -> None:
    running, member = await Running().ready(), InQuestion()
    member.confirm_within_s = 60.0
    running.daemon.member = cast(Member, member)
    trip_id = await running.halted()
    running.put(SweepFinished(trip_id, True, 0, 1.0))
    await pass_time(50.0)
    assert not running.task.done()
    member.is_confirming = False
    assert await running.ends() is ExitCode.TRIGGERED_AND_PROVEN


async def test_a_stop_while_the_fund_was_not_told_of_its_trip_is_no_clean_one() -> None:
    """As after a reset: here nothing holds any more, and the others trade on."""
    running = await Running().ready()
    running.daemon.member = cast(Member, SimpleNamespace(view=lambda: SimpleNamespace(told=False), is_confirming=False))
    running.daemon.stop()
    assert await running.ends() is ExitCode.TRIGGERED_UNPROVEN


async def test_a_question_that_has_no_end_holds_the_end_for_a_moment_only_and_a_reset_takes_it_back() -> None:
    for is_reset in (False, True):
        running = await Running().ready()
        running.daemon.member = cast(Member, InQuestion())
        trip_id = await running.halted()
        running.put(SweepFinished(trip_id, True, 0, 1.0))
        await pass_time(1.0)
        if is_reset:
            running.put(ResetRequested(reason="looked", operator="anna", rebaseline="keep"))
        await pass_time(6.0)
        assert running.task.done() is not is_reset
        running.daemon.stop()
        code = await running.ends()
        assert code is (ExitCode.STOPPED if is_reset else ExitCode.TRIGGERED_AND_PROVEN)
