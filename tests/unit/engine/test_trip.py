from __future__ import annotations

import json

import pytest

from risk_daemon.engine.trip import Trip, new_trip_id
from risk_daemon.model.clock import Instant

NOW = Instant(50.0, 1_700_000_000.123)


def test_a_latch_brings_the_trip_back_and_its_deadline_runs_anew() -> None:
    trip = Trip("t-1", "capital_loss", "lost", 1_699_999_000.0, 5.0)
    latch = json.loads(json.dumps(trip.latch()))
    again = Trip.from_latch(latch, NOW)
    assert again == Trip("t-1", "capital_loss", "lost", 1_699_999_000.0, 50.0)


@pytest.mark.parametrize("said", [None, "true", 1, False])
def test_proven_is_only_what_says_so(said: object) -> None:
    latch = {"trip_id": "t", "breaker": "b", "reason": "r", "since_wall": 0.0, "proven": said, "proven_wall": 1.0}
    trip = Trip.from_latch(latch, NOW)
    assert (trip.proven, trip.proven_wall) == (False, None)


def test_ids_differ_within_a_millisecond() -> None:
    assert new_trip_id(NOW, 7) == "trip-20231114T221320.123Z-7"
    assert new_trip_id(NOW, 7) != new_trip_id(NOW, 8)
