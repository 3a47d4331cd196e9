"""What peers know of a trip: since when, and whether that is soon enough for a proof."""

from __future__ import annotations

from dataclasses import replace

import pytest

from risk_daemon.engine.decision import Turn
from risk_daemon.engine.peers_told import TOLD_WITHIN_S, PeersTold
from risk_daemon.engine.trip import Trip
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import EventName, StandingTold

TRIP = Trip(trip_id="t-1", breaker="daily_loss", cause="daily_loss", reason="5 %", since_wall=1e9, since_mono=100.0)
TOLD = StandingTold(locked=True, trip_id="t-1", mono=101.0)


def told(*events: StandingTold) -> PeersTold:
    peers = PeersTold()
    for event in events:
        peers.take(event)
    return peers


def test_nobody_knows_of_it_before_it_was_told() -> None:
    assert told().since(TRIP) is None
    assert not told().were_shut(TRIP, 1e9)


def test_they_know_since_it_was_told_first_and_not_since_it_was_told_again() -> None:
    assert told(TOLD, replace(TOLD, mono=105.0)).since(TRIP) == 101.0
    assert told(TOLD, replace(TOLD, trip_id="t-2", mono=103.0), replace(TOLD, mono=105.0)).since(TRIP) == 105.0


@pytest.mark.parametrize(
    "other", [replace(TOLD, locked=False), replace(TOLD, trip_id="t-2"), replace(TOLD, trip_id=None)]
)
def test_another_word_is_not_this_trip(other: StandingTold) -> None:
    assert told(TOLD, other).since(TRIP) is None


def test_a_freeze_is_known_as_any_lock_is() -> None:
    finished = Trip.from_latch({**TRIP.latch(), "until_wall": 2e9}, Instant(mono=100.0, wall=1e9))
    assert not finished.is_freeze
    for freeze in (replace(TRIP, is_freeze=True, until_wall=2e9), finished):
        assert told(replace(TOLD, trip_id=None)).since(freeze) == 101.0
        assert told(replace(TOLD, trip_id=None, locked=False)).since(freeze) is None


@pytest.mark.parametrize(("late_s", "were_shut"), [(0.0, True), (TOLD_WITHIN_S, True), (TOLD_WITHIN_S + 0.001, False)])
def test_a_sweep_counts_that_began_hardly_before_they_were_told(late_s: float, were_shut: bool) -> None:
    assert told(TOLD).were_shut(TRIP, TOLD.mono - late_s) is were_shut


def test_that_they_are_not_told_is_said_once_a_trip() -> None:
    peers, turn = PeersTold(), Turn(Instant(mono=101.0, wall=1e9), 1)
    peers.wait(TRIP, turn)
    peers.wait(TRIP, turn)
    assert peers.waits
    assert [(one.name, dict(one.fields)) for one in turn.records] == [(EventName.PEERS_UNTOLD, {"trip_id": "t-1"})]
    peers.wait(replace(TRIP, trip_id="t-2"), turn)
    assert len(turn.records) == 2
    peers = told(TOLD)
    peers.wait(TRIP, turn)
    assert peers.waits, "it is swept once more all the same"
    assert len(turn.records) == 2
