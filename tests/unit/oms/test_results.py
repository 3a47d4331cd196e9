"""What a sweep found, as a document."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oms.results import SweepResult, VenueVerdict
from risk_daemon.model.events import Order


def verdict(proven: Any) -> VenueVerdict:
    kept = (Order(venue="a", scope="plain", order_id="7", symbol="BTC/USDT", side="buy", order_type="limit"),)
    return VenueVerdict("a", proven, 2, kept, kept, None, 0.1, None, ("plain",))


@pytest.mark.parametrize("proven", [False, None, "yes", 1])
def test_only_true_is_proven(proven: Any) -> None:
    document = SweepResult("t", proven, 1.23456, {"a": verdict(proven)}).document()
    assert document["proven"] is False
    assert document["venues"]["a"]["proven"] is False
    assert json.loads(json.dumps(document)) == document


def test_what_it_says() -> None:
    document = SweepResult("t", True, 1.23456, {"a": verdict(True)}).document()
    assert document == {
        "proven": True,
        "cancelled": 2,
        "elapsed_s": 1.235,
        "unproven_reason": None,
        "trip_id": "t",
        "venues": {
            "a": {
                "proven": True,
                "cancelled": 2,
                "replaced": 1,
                "kept": ["7"],
                "unproven_reason": None,
                "unprovable": [],
            },
        },
    }
