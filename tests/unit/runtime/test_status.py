"""The status is JSON at every moment, a restart included, and what `/openapi.json` says it is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import jsonschema_rs
import pytest

from oms import VenueVerdict
from risk_daemon.breakers import DrawdownCircuitBreaker
from risk_daemon.engine.engine import Engine, EngineSettings
from risk_daemon.engine.settings import DeadManSettings, ListingSettings
from risk_daemon.engine.trip import Trip
from risk_daemon.gate.restraints import GateState
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import (
    BalancesSeen,
    BoardSeen,
    CancelChecked,
    DeadManAnswered,
    HaltRequested,
    Kind,
    ListingFailed,
    Order,
    OrdersListed,
    OrdersSeen,
    PeerSeen,
    Position,
    PositionsSeen,
    Price,
    PricesSeen,
    Source,
    Started,
    SweepFinished,
    Tick,
)
from risk_daemon.model.status import State
from risk_daemon.portfolio.manager import PortfolioSettings
from risk_daemon.runtime.open_orders import OpenOrders
from risk_daemon.runtime.status import restored_sweep, status_line, status_of, sweep_document
from tests.api_world import DOCUMENT
from tests.core_world import SPOT, World, engine_settings, with_

VENUE = "krakenfutures"
KINDS = frozenset({Kind.BALANCES, Kind.POSITIONS, Kind.PRICES})
SETTINGS = EngineSettings(portfolio=PortfolioSettings(expected={VENUE: KINDS}))
POSITION = Position(symbol="BTC/USD:USD", quantity=Decimal(1), entry=Decimal(60_000), settle="USDT", underlying="BTC")
MARK = Price("BTC/USD:USD", "BTC", "USDT", Decimal(61_000), converts=False)


def fed(clock: ManualClock) -> Engine:
    engine = Engine(SETTINGS)
    engine.process(Started(), clock.now())
    mono = clock.now().mono
    engine.process(BalancesSeen(VENUE, mono, Source.REST, {"USDT": Decimal(100)}, True), clock.now())
    engine.process(PositionsSeen(VENUE, mono, Source.REST, (POSITION,), True), clock.now())
    engine.process(PricesSeen(VENUE, mono, Source.REST, (MARK,)), clock.now())
    engine.process(Tick(), clock.now())
    return engine


def test_what_was_restored_has_no_age() -> None:
    clock = ManualClock()
    saved = fed(clock).snapshot()
    restarted = Engine(SETTINGS)
    restarted.restore({**saved, "latch": None}, clock.now())
    venue = json.loads(json.dumps(status_of(restarted, clock.now(), {}).document(), allow_nan=False))["venues"][VENUE]
    assert venue["age_s"] == {"balances": None, "positions": None, "prices": None}


def test_what_was_read_has_one() -> None:
    clock = ManualClock()
    engine = fed(clock)
    clock.advance(3)
    told = status_of(engine, clock.now(), {}).document()
    assert told["venues"][VENUE]["age_s"] == {"balances": 3, "positions": 3, "prices": 3}
    assert told["reference_currency"] == "USDT"


# --- what it says, and that it is as published ------------------------------------------------------------


def world() -> World:
    settings = engine_settings(5_000, venues={"spot": SPOT})
    return World(settings, rules=lambda: (DrawdownCircuitBreaker(Decimal("0.1")),)).start()


def verdict(*, proven: bool) -> VenueVerdict:
    order = Order(
        venue="spot", scope="plain", order_id="7", client_order_id=None, symbol="X", side="buy", order_type="limit"
    )
    why = None if proven else "503"
    return VenueVerdict("spot", proven, 3, (order,), (), why, 0.1, 2.0 if proven else None, ("plain",))


def published(world: World, sweep: Any = None, gate: GateState | None = None) -> dict[str, Any]:
    """The document now, after it was compared with what `/openapi.json` says of it."""
    document = status_of(world.engine, world.clock.now(), sweep or {}, gate).document()
    state = {**document, "recent": {"orders": [], "fills": None}, "open_orders": [], "turned_away": {"silent": 0}}
    schema = {"$ref": "#/components/schemas/State", "components": DOCUMENT["components"]}
    jsonschema_rs.validate(schema, json.loads(json.dumps(state, allow_nan=False)))
    assert sorted(DOCUMENT["components"]["schemas"]["State"]["required"]) == sorted(state)
    return document


def test_a_day_without_trouble() -> None:
    told = published(world())
    assert (told["state"], told["locked"], told["equity"], told["trusted"]) == ("ACTIVE", False, "5000", True)
    assert told["lock"] == {
        "cause": None, "reason": None, "observed": {}, "limits": {}, "trip_id": None, "since": None, "until": None,
        "proven": None, "proven_at": None,
    }  # fmt: skip
    assert (told["warning_threshold"], told["loss_threshold"]) == (0.03, 0.05)
    assert told["circuit_breaker"] == {
        "state": "ACTIVE", "locked": False, "active": False,
        "max_portfolio_dd_nav_pct": 0.1,
    }  # fmt: skip
    assert (told["last_sweep"], told["missing"], told["halts"]) == (None, [], [])


def test_before_anything_was_read_nothing_is_known() -> None:
    told = published(World(engine_settings(venues={"spot": SPOT})))
    assert (told["equity"], told["loss_ratio"], told["daily_loss"], told["portfolio_dd_pct"]) == (
        None,
        None,
        None,
        None,
    )
    assert (told["venues"]["spot"]["equity"], told["venues"]["spot"]["connected"]) == (None, False)
    assert told["missing"]


def test_a_trip_and_its_sweep() -> None:
    halted = world()
    halted.send(HaltRequested("it floods", "anna", bot="evil"))
    halted.send(HaltRequested("drill", "anna"))
    trip = halted.engine.trip
    assert trip is not None
    told = published(halted, {"spot": verdict(proven=False)})
    assert (told["lock"]["cause"], told["lock"]["trip_id"], told["lock"]["proven"]) == (
        "manual_halt", trip.trip_id, False,
    )  # fmt: skip
    assert told["lock"]["reason"] == "halted by anna: drill"
    assert told["halts"][0]["bot"] == "evil"
    assert {"cause": "manual_halt", "reason": "bot evil halted by anna: it floods", "venue": None, "bot": "evil"} in (
        told["restraints"]
    )
    assert told["last_sweep"] == {
        "trip_id": trip.trip_id,
        "venues": {
            "spot": {
                "proven": False, "cancelled": 3, "replaced": ["7"], "kept": [],
                "unproven_reason": "503", "failing": True, "first_cancel_s": 0.1,
                "proven_s": None,
            },
        },
    }  # fmt: skip
    assert published(halted, {"spot": verdict(proven=True)})["venues"]["spot"]["proven"] is True


def test_when_a_trip_was_proven_on_all_venues_together() -> None:
    halted = world()
    halted.send(HaltRequested("drill", "anna"))
    trip = halted.engine.trip
    assert trip is not None
    assert published(halted)["lock"]["proven_at"] is None
    since_wall = halted.clock.now().wall
    halted.run(3.0)
    halted.send(SweepFinished(trip.trip_id, True, 3, 3.0))
    proven_s = halted.clock.now().wall - since_wall
    told = published(halted)["lock"]
    assert told["proven"] is True
    assert datetime.fromisoformat(told["proven_at"]).timestamp() == pytest.approx(since_wall + proven_s, abs=0.002)
    lock = State.shown({"lock": told}).lock
    assert lock.proven_after_s == pytest.approx(proven_s, abs=0.002)
    again = Trip.from_latch(json.loads(json.dumps(trip.latch())), halted.clock.now())
    assert again.proven_wall == trip.proven_wall, "a reader of the state after a restart is told the same"


def test_what_the_last_sweep_proved_is_known_after_a_restart_as_long_as_its_trip_stands() -> None:
    halted = world()
    halted.send(HaltRequested("drill", "anna"))
    trip = halted.engine.trip
    assert trip is not None
    swept = {"spot": verdict(proven=True)}
    halted.send(SweepFinished(trip.trip_id, True, 3, 2.0))
    saved = json.loads(json.dumps(sweep_document(halted.engine, swept, None)))
    told = published(halted, swept)
    halted.restart()
    before = restored_sweep(saved, halted.engine.trip)
    assert before is not None
    again = status_of(halted.engine, halted.clock.now(), {}, before=before).document()
    assert again["last_sweep"] == told["last_sweep"]
    assert again["venues"]["spot"]["proven"] is True
    assert json.loads(json.dumps(sweep_document(halted.engine, {}, before))) == saved
    assert status_of(halted.engine, halted.clock.now(), {}).venues["spot"].proven is None


@pytest.mark.parametrize("odd", [None, {}, [], "x", {"trip_id": "other", "venues": {}}])
def test_what_is_of_no_proven_trip_is_no_proof(odd: object) -> None:
    halted = world()
    halted.send(HaltRequested("drill", "anna"))
    trip = halted.engine.trip
    assert trip is not None
    document = {"trip_id": trip.trip_id, "venues": {"spot": {"proven": True}}}
    assert restored_sweep(document, trip) is None, "the trip is not proven"
    assert restored_sweep(document, None) is None
    trip.proven = True
    assert restored_sweep(document, trip) is not None
    assert restored_sweep(odd, trip) is None


def test_since_is_when_the_trip_began_over_restarts_and_runs_on_a_proven_trip() -> None:
    halted = world()
    halted.send(HaltRequested("drill", "anna"))
    trip = halted.engine.trip
    assert trip is not None
    since = published(halted)["lock"]["since"]
    assert datetime.fromisoformat(since).timestamp() == pytest.approx(trip.since_wall, abs=0.002)
    halted.restart(down_s=150.0).begin()
    assert published(halted)["lock"]["since"] == since
    halted.run(9.0)
    halted.send(SweepFinished(trip.trip_id, True, 3, 9.0))
    proven_s = halted.clock.now().wall - trip.since_wall
    halted.restart(down_s=60.0)
    for told in (published(halted)["lock"], published(halted.start())["lock"]):
        assert told["since"] == since
        assert State.shown({"lock": told}).lock.proven_after_s == pytest.approx(proven_s, abs=0.002)


def test_the_gate_in_force_may_be_another_than_the_engines() -> None:
    told = published(world(), gate=GateState(locked=True, cause="locked", since_wall=60.0))
    assert told["locked"] is told["circuit_breaker"]["locked"] is True
    assert (told["lock"]["cause"], told["lock"]["since"]) == ("locked", "1970-01-01T00:01:00.000+00:00")


def test_what_is_known_of_a_venue_and_its_orders() -> None:
    listing = ListingSettings({"spot": frozenset({"plain"})})
    one = World(with_(engine_settings(5_000, venues={"spot": SPOT}), listing=listing)).start()
    assert published(one)["venues"]["spot"]["orders"]["listed_s"] is None
    one.send(OrdersListed("spot", "plain", one.now, ()))
    one.send(CancelChecked("spot", True, ""))
    one.clock.advance(3.0)
    good = {"listed_s": 3.0, "failing_s": None, "reason": None, "may_cancel": True, "open": None}
    assert published(one)["venues"]["spot"]["orders"] == good
    one.send(ListingFailed("spot", "plain", one.now, "answered 401", is_refused=False))
    one.clock.advance(2.0)
    failing = {**good, "listed_s": 5.0, "failing_s": 2.0, "reason": "answered 401"}
    assert published(one)["venues"]["spot"]["orders"] == failing


def test_in_a_trip_how_many_are_open_and_since_when_are_of_the_sweeps_own_listings() -> None:
    listing = ListingSettings({"spot": frozenset({"plain"})})
    one = World(with_(engine_settings(5_000, venues={"spot": SPOT}), listing=listing)).start()
    known, waiting = OpenOrders(), replace(verdict(proven=False).replaced[0], order_id="8")
    listed = OrdersListed("spot", "plain", one.now, (waiting,))
    one.send(listed)
    known.listed(listed)

    def told(verdict: VenueVerdict | None) -> tuple[int | None, float | None, float | None]:
        orders = status_of(one.engine, one.clock.now(), {"spot": verdict} if verdict else {}, None, known)
        found = orders.venues["spot"].orders
        return found.open, found.listed_s, found.failing_s

    one.send(ListingFailed("spot", "plain", one.now + 1.0, "answered 503"))
    one.clock.advance(18.0)
    one.send(HaltRequested("drill", "anna"))
    assert told(None) == (1, 18.0, 17.0)
    known.seen(OrdersSeen("spot", one.now, (), ended=(waiting,)))
    unproven, proven = verdict(proven=False), verdict(proven=True)
    assert told(unproven) == (None, 18.0, 17.0), "an order that a cancel removed says nothing of the others"
    at_mono = one.now + 1.0
    one.clock.advance(3.0)
    assert told(replace(unproven, listed_mono=at_mono, open=2)) == (2, 2.0, None)
    assert told(replace(unproven, listed_mono=at_mono, open=None)) == (None, 2.0, 17.0 + 3.0)
    assert told(replace(proven, listed_mono=at_mono, open=0)) == (0, 2.0, None)


def test_how_a_venues_own_switch_stands() -> None:
    switch = DeadManSettings(timeout_s=60.0, covers="all", leaves="none")
    one = World(replace(engine_settings(5_000, venues={"spot": SPOT}), dead_men={"spot": switch})).start()
    unarmed = {"timeout_s": 60.0, "armed_until": None, "markets": [], "refreshed_s": None, "reason": None}
    assert published(one)["venues"]["spot"]["dead_man"] == unarmed
    one.send(DeadManAnswered(venue="spot", requested_mono=one.now, armed=("BTC/USDT:USDT",)))
    one.clock.advance(3.0)
    told = published(one)["venues"]["spot"]["dead_man"]
    assert (told["refreshed_s"], told["markets"], told["reason"]) == (3.0, ["BTC/USDT:USDT"], None)
    until = datetime.fromisoformat(told["armed_until"]).timestamp()
    assert until == pytest.approx(one.clock.now().wall + 57.0, abs=0.01)
    one.send(DeadManAnswered(venue="spot", requested_mono=one.now, error="503"))
    one.clock.advance(60.0)
    late = published(one)["venues"]["spot"]["dead_man"]
    assert (late["armed_until"], late["reason"]) == (None, "503")


@pytest.mark.parametrize(
    ("event", "line"),
    [(None, "ACTIVE, loss 0.00 %, gate open"), (HaltRequested("x", "anna"), "gate shut: manual_halt")],
)
def test_the_line_for_the_service_manager(event: Any, line: str) -> None:
    one = World(engine_settings(5_000, venues={"spot": SPOT})).start()
    if event is not None:
        one.send(event)
    assert line in status_line(one.engine, one.clock.now())


# --- several guards ----------------------------------------------------------------------------------


def test_who_opens_is_told_while_the_board_answers_and_the_peers_as_they_were_heard() -> None:
    world = World(with_(engine_settings(), leases=frozenset({"twin"}))).start()
    unheard = published(world)["guards"]
    assert (unheard["opens"], unheard["reason"], unheard["peers"]) == (None, "the board was not heard of yet", [])
    held = PeerSeen(name="b", is_heard=True, is_here=True, locked=True, cause="blind", reason="x")
    facts: dict[str, Any] = {"asked_mono": world.now, "until_mono": world.now + 3.4, "epoch": 7, "words": 9}
    board = BoardSeen(name="a", holder="b", is_told_locked=False, peers=(held,), **facts)
    world.send(board)
    since = world.clock.now().wall
    world.run(1.0)
    world.send(replace(board, words=10))
    told = published(world)["guards"]
    peer = {"name": "b", "heard": True, "here": True, "cause": "blind", "reason": "x"}
    assert (told["name"], told["opens"], told["epoch"], told["peers"]) == ("a", "b", 7, [peer])
    assert datetime.fromisoformat(told["since"]).timestamp() == pytest.approx(since, abs=0.01)
    world.run(5.0)
    silent = published(world)["guards"]
    assert (silent["opens"], silent["since"], silent["epoch"]) == (None, None, 7)
    assert "has not answered for 6 s" in silent["reason"]
    assert silent["peers"] == [{**peer, "here": None}]


def test_a_guard_without_peers_has_none() -> None:
    assert published(World().start())["guards"] is None
