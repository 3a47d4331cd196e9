"""What files beside the store tell of a trip: any of them suffices, and none of them can stop a start by being odd."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from risk_daemon.errors import StateError
from risk_daemon.model.clock import Instant, SystemClock
from risk_daemon.model.events import EventName, RiskEvent
from risk_daemon.state import log_pieces
from risk_daemon.state.directory import LATCH, Paths, StateDir
from risk_daemon.state.event_log import EventLog
from risk_daemon.state.files import json_text
from risk_daemon.state.latch import latch_document, latch_of, refuse_unproven, unproven_latch
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.memory_map import shut
from risk_daemon.state.store.sqlite import connect, write_documents
from risk_daemon.state.traces import Trace, trace_left

TRIGGERED = RiskEvent(
    EventName.CIRCUIT_BREAKER_TRIGGERED,
    {"trip_id": "trip-1", "breaker": "drawdown", "reason": "drawdown of 10 %", "action": "trip", "until_wall": None},
)
FREEZE = RiskEvent(
    EventName.CIRCUIT_BREAKER_TRIGGERED,
    {"trip_id": "trip-1", "breaker": "daily_loss", "reason": "x", "action": "freeze", "until_wall": 2e9},
)
SWEEP = RiskEvent(EventName.SWEEP_STARTED, {"trip_id": "trip-1", "venues": ["kraken", "bybit"]})
RESET = RiskEvent(EventName.CIRCUIT_BREAKER_RESET, {"trip_id": "trip-1"})
EXPIRED = RiskEvent(EventName.FREEZE_EXPIRED, {"trip_id": "trip-1"})


def ended(code: int, trip_id: str | None = "trip-1") -> RiskEvent:
    return RiskEvent(EventName.SYSTEM_SHUTDOWN, {"exit_code": code, "trip_id": trip_id})


def swept(proven: bool) -> RiskEvent:
    return RiskEvent(EventName.SWEEP_FINISHED, {"trip_id": "trip-1", "proven": proven})


def update(state: str) -> RiskEvent:
    return RiskEvent(EventName.PORTFOLIO_UPDATE, {"state": state, "equity": "1"})


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path)


def left(paths: Paths) -> Trace | None:
    return trace_left(paths.gate, paths.lock, paths.events)


def wrote(paths: Paths, *events: RiskEvent) -> None:
    log = EventLog.open(paths.events)
    for event in events:
        log.append(event, 1_763_636_400.0)
    log.close()


def test_no_file_tells_nothing(paths: Paths) -> None:
    assert left(paths) is None


@pytest.mark.parametrize(
    ("events", "proven"),
    [
        ([TRIGGERED], False),
        ([TRIGGERED, SWEEP, update("TRIGGERED")], False),
        ([TRIGGERED, SWEEP, ended(4)], False),
        ([TRIGGERED, ended(0)], False),
        ([TRIGGERED, swept(True)], False),
        ([TRIGGERED, swept(True), ended(1)], True),
        ([TRIGGERED, ended(1), ended(1), update("TRIGGERED")], True),
        ([TRIGGERED, ended(1, "trip-0")], False),
        ([FREEZE, swept(False)], False),
        ([FREEZE, swept(True)], True),
        ([FREEZE, swept(True), swept(False)], False),
    ],
)
def test_the_log_tells_of_a_trip_without_an_end(paths: Paths, events: list[RiskEvent], proven: bool) -> None:
    wrote(paths, update("ACTIVE"), *events)
    found = left(paths)
    assert found is not None
    assert (found.trip_id, found.proven, found.told_by) == ("trip-1", proven, "events.jsonl")
    assert found.since_wall == 1_763_636_400.0
    assert found.is_freeze == (FREEZE in events)


@pytest.mark.parametrize(
    "events", [[], [update("ACTIVE")], [TRIGGERED, RESET], [FREEZE, EXPIRED], [TRIGGERED, update("WARNING")]]
)
def test_the_log_tells_of_no_trip(paths: Paths, events: list[RiskEvent]) -> None:
    wrote(paths, *events, ended(0, None))
    assert left(paths) is None


@pytest.mark.parametrize("proven", [False, True])
def test_a_log_begun_anew_in_a_trip_tells_of_it_by_its_sweep(paths: Paths, proven: bool) -> None:
    wrote(paths, SWEEP, *([ended(1)] if proven else []))
    found = left(paths)
    assert found is not None
    assert (found.trip_id, found.proven, found.venues) == ("trip-1", proven, ("kraken", "bybit"))


def test_the_venues_are_those_swept_last(paths: Paths) -> None:
    wrote(paths, TRIGGERED, RiskEvent(EventName.SWEEP_STARTED, {"trip_id": "trip-1", "venues": ["old"]}), SWEEP)
    found = left(paths)
    assert found is not None
    assert found.venues == ("kraken", "bybit")


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
def test_a_long_log_is_read_from_its_end(paths: Paths, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(log_pieces, "_CHUNK", size)
    wrote(paths, TRIGGERED, *[update("TRIGGERED")] * 50)
    found = left(paths)
    assert found is not None
    assert found.reason == "drawdown of 10 %"


@pytest.mark.parametrize(
    "tail", [b"garbage\n", b'{"event":"circuit_breaker_', b"\xff\xfe\n[]\n1\n{}\n", b"[" * 9000 + b"\n"]
)
def test_what_is_damaged_is_passed_over(paths: Paths, tail: bytes) -> None:
    wrote(paths, TRIGGERED)
    with paths.events.open("ab") as log:
        log.write(tail)
    assert left(paths) is not None


def test_what_can_not_be_read_tells_nothing(paths: Paths) -> None:
    paths.events.mkdir()
    paths.lock.mkdir()
    assert left(paths) is None


def lock_of(paths: Paths, kind: str, trip_id: str) -> None:
    record = LockRecord(True, "drawdown", trip_id, 5.0)
    if kind == "gate":
        shut(paths.gate, record)
    else:
        paths.lock.write_text(json_text(record.document()))


@pytest.mark.parametrize("kind", ["gate", "lock"])
def test_a_lock_file_tells_of_a_trip_and_the_log_of_its_proof(paths: Paths, kind: str) -> None:
    lock_of(paths, kind, "trip-1")
    found = left(paths)
    assert found is not None
    assert (found.trip_id, found.proven, found.cause) == ("trip-1", False, "drawdown")
    wrote(paths, TRIGGERED, ended(1))
    found = left(paths)
    assert found is not None
    assert (found.proven, found.reason) == (True, "drawdown of 10 %")


def test_a_newer_trip_on_a_lock_file_is_not_proven_by_an_older_one(paths: Paths) -> None:
    wrote(paths, TRIGGERED, ended(1))
    lock_of(paths, "gate", "trip-2")
    found = left(paths)
    assert found is not None
    assert (found.trip_id, found.proven) == ("trip-2", False)


# --- with the store ----------------------------------------------------------------------------------


def stored(paths: Paths, **lock: Any) -> None:
    StateDir.open(paths.root, accounts={"kraken": "a"}, initial_capital="1", create=True).close()
    connection = connect(paths.database)
    latch = {"trip_id": "trip-1", "breaker": "drawdown", "reason": "x", "since_wall": 1.0, "proven": False}
    document = latch_document(latch | lock if lock else None, SystemClock().now())
    write_documents(paths.database, connection, {LATCH: document})
    connection.close()


NOW = Instant(1.0, 1.0)


@pytest.mark.parametrize("log", [(), (TRIGGERED, ended(1))])
def test_a_store_that_says_unproven_is_believed(paths: Paths, log: tuple[RiskEvent, ...]) -> None:
    stored(paths, proven=False)
    wrote(paths, *log)
    latch, documents = unproven_latch(paths, NOW)
    assert latch is not None
    assert latch["trip_id"] == "trip-1"
    assert documents["identity"]["accounts"] == {"kraken": "a"}


def test_a_store_that_says_proven_ends_it_unless_a_newer_trip_is_told_of(paths: Paths) -> None:
    stored(paths, proven=True)
    wrote(paths, TRIGGERED)
    assert unproven_latch(paths, NOW)[0] is None
    lock_of(paths, "lock", "trip-2")
    latch, _ = unproven_latch(paths, NOW)
    assert latch is not None
    assert latch["trip_id"] == "trip-2"


def test_what_takes_time_is_refused_until_a_trip_is_proven(paths: Paths) -> None:
    stored(paths, proven=False)
    wrote(paths, TRIGGERED)
    with pytest.raises(StateError, match="trip-1 is not proven yet"):
        refuse_unproven(paths, unproven_latch(paths, NOW)[1], NOW)
    stored(paths, proven=True)
    refuse_unproven(paths, unproven_latch(paths, NOW)[1], NOW)


def test_a_store_that_is_older_than_the_trip(paths: Paths) -> None:
    stored(paths)
    assert unproven_latch(paths, NOW)[0] is None
    wrote(paths, TRIGGERED)
    latch, documents = unproven_latch(paths, NOW)
    assert latch is not None
    assert (latch["breaker"], latch["cause"]) == ("drawdown", "portfolio_dd_circuit")
    assert latch_of(documents, NOW, left(paths)) == latch


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, None])
def test_a_store_that_can_not_be_read_says_nothing(paths: Paths, content: bytes | None) -> None:
    if content is not None:
        paths.database.write_bytes(content)
    assert unproven_latch(paths, NOW) == (None, {})
    wrote(paths, TRIGGERED)
    assert unproven_latch(paths, NOW)[0] is not None
    wrote(paths, ended(1))
    assert unproven_latch(paths, NOW)[0] is None
