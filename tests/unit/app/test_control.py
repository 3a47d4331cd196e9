"""The daemon behind the API."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from risk_daemon.app.control import DaemonControl
from risk_daemon.auth.desk import Desk, Opened
from risk_daemon.breakers import DrawdownCircuitBreaker
from risk_daemon.breakers.base import Action
from risk_daemon.engine.engine import Engine
from risk_daemon.errors import CircuitBreakerError, StateError
from risk_daemon.gate.restraints import Veto
from risk_daemon.metrics.counters import Counters
from risk_daemon.model.account import Instrument
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import (
    BoardSeen,
    DisableRequested,
    EnableRequested,
    EventName,
    HaltRequested,
    ReleaseRequested,
    ResetRequested,
    Tick,
)
from risk_daemon.model.status import Status
from tests.core_world import engine_settings, with_
from tests.override_world import OverrideWorld
from tests.seeds.common import guarded, lose, order


def control(listed: Instrument | None, *, locked: bool, connected: bool) -> DaemonControl:
    engine = SimpleNamespace(gate=SimpleNamespace(locked=locked), connected={"perp": connected})
    unused = SimpleNamespace()
    daemon: Any = SimpleNamespace(
        parts=SimpleNamespace(engine=engine), is_ready=unused, is_alive=unused, command=unused
    )
    site: Any = SimpleNamespace(adapters={"perp": SimpleNamespace(instrument=lambda _symbol: listed)})
    settings: Any = SimpleNamespace(venues={"perp": unused})
    vetoes: Any = unused
    return DaemonControl(daemon, settings, site, vetoes, vetoes)


@pytest.mark.parametrize("connected", [True, False])
def test_a_lost_venue_keeps_its_contract_sizes(connected: bool) -> None:
    found = control(Instrument(Decimal(100), inverse=True), locked=False, connected=connected).instrument("perp", "X")
    assert found is not None
    assert (found.contract_size, found.inverse) == (Decimal(100), True)


@pytest.mark.parametrize("connected", [True, False])
def test_a_symbol_that_is_not_listed_is_known_only_to_a_shut_gate(connected: bool) -> None:
    assert control(None, locked=False, connected=connected).instrument("perp", "X") is None
    assert control(None, locked=True, connected=connected).instrument("perp", "X") is not None


# --- what the memory map refused -------------------------------------------------------------------------


class Vetoes:
    """The veto log, in memory."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.missed = 0

    def append(self, records: Any) -> None:
        self.lines += [record.line() for record in records]

    def miss(self, count: int) -> None:
        self.missed += count


def test_a_veto_of_the_map_is_a_line_that_says_what_it_rests_on_and_is_counted() -> None:
    world, vetoes = guarded(DrawdownCircuitBreaker(Decimal("0.05"), action=Action.VETO)), Vetoes()
    lose(world, "0.06")
    daemon: Any = SimpleNamespace(parts=SimpleNamespace(engine=world.engine, clock=world.clock), counters=Counters())
    daemon.is_ready = daemon.is_alive = daemon.command = None
    unused: Any = None
    found = DaemonControl(daemon, unused, unused, vetoes, unused)  # type: ignore[arg-type]
    found.vetoed(order(), Veto("portfolio_dd_circuit", "told by the map"), "alice", ago_s=2.0, untold=3)
    found.vetoed(None, Veto("daily_loss", "an hour ago"), "bob", ago_s=0.0, untold=0)
    found.vetoed(None, Veto("words of its own", ""), "eve", ago_s=0.0, untold=0)
    first, second, third = vetoes.lines
    assert (first["symbol"], first["bot"], first["reason"]) == ("BTC/USDT", "alice", "told by the map")
    assert first["observed"]["current_dd_pct"] == 0.06
    assert first["unix"] == world.clock.now().wall - 2.0
    assert (second["symbol"], second["bot"], second["veto_reason"]) == (None, "bob", "daily_loss")
    assert (third["bot"], third["veto_reason"]) == ("eve", "locked")
    assert vetoes.missed == 3
    assert daemon.counters.told_vetoes == {"portfolio_dd_circuit": 4, "daily_loss": 1, "locked": 1}
    world.run(2.0)
    world.send(Tick())
    [summary] = world.records(EventName.ORDER_VETOED)
    assert summary.fields["by_reason"] == {"portfolio_dd_circuit": 1, "daily_loss": 1, "locked": 1}
    assert summary.fields["by_bot"] == {"alice": 1, "bob": 1, "eve": 1}


# --- what resumes trading ------------------------------------------------------------------------------


class Asked:
    """A daemon that remembers what it was told to do."""

    def __init__(self, refusal: str | None = None) -> None:
        self.events: list[Any] = []
        engine = SimpleNamespace(why_not=lambda _event, _now: refusal)
        self.parts = SimpleNamespace(engine=engine, clock=ManualClock())

    async def command(self, event: Any) -> dict[str, Any]:
        self.events.append(event)
        return {"accepted": True, "reason": "done"}


RESUMING = [
    ResetRequested("x", "uid:0 (root)", "keep"),
    ReleaseRequested("x", "uid:0 (root)", bot="alice"),
    DisableRequested(60.0, "x", "uid:0 (root)"),
]


def controlled(desk: Desk, refusal: str | None, monkeypatch: pytest.MonkeyPatch) -> tuple[DaemonControl, Asked]:
    daemon, unused = Asked(refusal), Any
    made = DaemonControl(daemon, unused, unused, unused, desk)  # type: ignore[arg-type]
    monkeypatch.setattr(made, "_status", lambda: Status.shown({"lock": {"trip_id": "t1"}}))
    return made, daemon


@pytest.mark.parametrize("event", RESUMING, ids=lambda event: type(event).__name__)
async def test_what_resumes_is_asked_of_wardens_once_one_is_enrolled(
    event: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = OverrideWorld(tmp_path, "alice")
    found, daemon = controlled(world.desk, None, monkeypatch)
    said = await found.command(event)

    assert said["accepted"] is False
    assert daemon.events == []
    opened = Opened(**said["asked"])
    await world.agree(opened, "alice")
    [done] = daemon.events
    assert type(done) is type(event)
    assert done.operator == "alice (asked by uid:0 (root))"


@pytest.mark.parametrize("event", RESUMING, ids=lambda event: type(event).__name__)
async def test_without_a_warden_it_is_done_at_once(event: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, daemon = controlled(OverrideWorld(tmp_path).desk, None, monkeypatch)
    assert (await found.command(event))["accepted"] is True
    assert daemon.events == [event]


@pytest.mark.parametrize("event", RESUMING, ids=lambda event: type(event).__name__)
async def test_a_register_that_can_t_be_read_lets_nobody_resume(
    event: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = OverrideWorld(tmp_path, "alice")
    world.store.path.write_text("")
    found, daemon = controlled(world.desk, None, monkeypatch)
    with pytest.raises(StateError, match="nothing is resumed"):
        await found.command(event)
    assert daemon.events == []


async def test_what_would_be_refused_is_refused_before_anybody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = OverrideWorld(tmp_path, "alice")
    found, daemon = controlled(world.desk, "not every cancel is proven yet", monkeypatch)
    said = await found.command(RESUMING[0])
    assert said == {"accepted": False, "reason": "not every cancel is proven yet"}
    assert (daemon.events, await world.desk.progress()) == ([], None)


@pytest.mark.parametrize("event", [HaltRequested("x", "anna"), EnableRequested("anna")])
async def test_halting_and_enabling_need_nobody(event: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = OverrideWorld(tmp_path, "alice")
    found, daemon = controlled(world.desk, None, monkeypatch)
    assert (await found.command(event))["accepted"] is True
    assert daemon.events == [event]


# --- positions, by an operator's wish --------------------------------------------------------------------


class Closing:
    """Goes on until it is told to stop."""

    def __init__(self) -> None:
        self.began, self.stopped = asyncio.Event(), asyncio.Event()

    def stop_soon(self) -> None:
        self.stopped.set()

    async def close_all_positions(self) -> Any:
        self.began.set()
        await self.stopped.wait()
        return SimpleNamespace(sweep=SimpleNamespace(venues={}), document=lambda: {"flat": False})


def at(mono: float, **facts: Any) -> BoardSeen:
    said: dict[str, Any] = {"name": "a", "epoch": 7, "words": 70, "holder": "", "is_told_locked": False, "peers": ()}
    return BoardSeen(asked_mono=mono, until_mono=mono + 3.4, **said | facts)


@pytest.mark.parametrize(
    "then", [{"holder": "b"}, {"why_not": "the board is new"}, None], ids=["b", "unknown", "silent"]
)
async def test_a_closing_ends_when_another_guard_may_open(
    then: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, closing = ManualClock(), Closing()
    engine = Engine(with_(engine_settings(), leases=frozenset({"twin"})))
    engine.process(at(clock.now().mono), clock.now())
    anything: Any = SimpleNamespace(adapters={}, venues={}, put=None, append=None)
    daemon: Any = SimpleNamespace(parts=SimpleNamespace(engine=engine, clock=clock, inbox=anything))
    of_daemon = DaemonControl(daemon, anything, anything, anything, anything)
    monkeypatch.setattr("risk_daemon.app.control.chosen_of", lambda adapters, venue: {})
    monkeypatch.setattr("risk_daemon.app.control.manager_for", lambda *given, **more: closing)
    task = asyncio.ensure_future(of_daemon.close_positions(None, "anna"))
    await closing.began.wait()
    of_daemon.heard(engine.process(Tick(), clock.now()))
    assert not closing.stopped.is_set()
    clock.advance(4.0 if then is None else 1.0)
    of_daemon.heard(engine.process(Tick() if then is None else at(clock.now().mono, **then), clock.now()))
    assert closing.stopped.is_set()
    assert await task == {"flat": False}
    clock.advance(4.0)
    with pytest.raises(CircuitBreakerError, match="not known"):
        await of_daemon.close_positions(None, "anna")
