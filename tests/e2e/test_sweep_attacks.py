"""A venue that fails the sweep: listings that can't be read, refused calls, an endless Retry-After."""

from __future__ import annotations

import time

import pytest

from tests.e2e.harness import DOCS_KEY, docs_secret, kraken_config, wait_for

pytestmark = pytest.mark.long

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
ORDER = {"pair": "BTC/USDT", "side": "buy", "type": "limit", "volume": 0.01, "price": 30000}
LONGEST_PAUSE_S = 5.0


@pytest.fixture
def guarded(documented_kraken, daemon_for):
    """A daemon with an open gate over two resting orders, and how to start it."""
    for price in (30000, 31000):
        documented_kraken.post(order={**ORDER, "price": price})

    def start(**circuit_breaker):
        daemon = daemon_for(kraken_config(documented_kraken.endpoint, **circuit_breaker), KEYS)
        init = daemon.command("init", "--yes")
        assert init.returncode == 0, init.stderr
        daemon.start()
        daemon.wait_open()
        return documented_kraken, daemon

    return start


def standing_s(venue, condition=lambda open_orders: not open_orders):
    """How long orders stand from now on."""
    started = time.monotonic()
    wait_for(lambda: condition(venue.get()["open"]), "the orders gone")
    return time.monotonic() - started


def test_one_failed_cancel_and_a_broken_listing_leave_no_order_standing(guarded):
    venue, daemon = guarded()
    venue.post(listing="html", once={"CancelAll": "500"})
    venue.post(price={"BTC": 42000})
    daemon.wait_for("sweep_started")
    assert standing_s(venue) < LONGEST_PAUSE_S
    asked = venue.get()["calls"]["CancelAll"]
    wait_for(lambda: venue.get()["calls"]["CancelAll"] >= asked + 3, "a cancel in each round")
    assert daemon.is_running()
    assert "venue_proven" not in daemon.names()
    assert len(daemon.of("venue_unproven")) == 1
    daemon.wait_for("venue_swept", 2)
    [told, *_] = [line for line in daemon.command("tail").stdout.splitlines() if "venue_swept" in line]
    for word in ("venue=kraken", "rounds=", "cancelled=", "left=unknown", "reason="):
        assert word in told
    venue.post(listing="ok")
    assert daemon.exit_code() == 1, daemon.output()


def test_an_order_placed_while_the_listing_is_broken_goes_with_the_next_round(guarded):
    venue, daemon = guarded()
    venue.post(listing="html")
    venue.post(price={"BTC": 42000})
    daemon.wait_for("venue_unproven")
    asked = venue.get()["calls"]["CancelAll"]
    wait_for(lambda: venue.get()["calls"]["CancelAll"] >= asked + 5, "the longest pause")
    venue.post(order={**ORDER, "cl_ord_id": "did-not-ask"})
    assert standing_s(venue) < LONGEST_PAUSE_S + 3.0
    venue.post(listing="ok")
    assert daemon.exit_code() == 1, daemon.output()
    assert venue.get()["open"] == {}


@pytest.mark.parametrize("order_flight", ["5s", "500ms"])
def test_with_every_second_signed_call_refused_the_trip_is_proven(guarded, order_flight):
    venue, daemon = guarded(order_flight=f'"{order_flight}"')
    venue.post(refuse_every=2)
    venue.post(price={"BTC": 42000})
    daemon.wait_for("sweep_started")
    assert daemon.exit_code(within_s=30.0) == 1, daemon.output()
    assert venue.get()["open"] == {}
    assert venue.get()["calls"]["EAPI:Invalid nonce"] >= 3
    assert len(daemon.of("venue_unproven")) <= 4
    assert len(daemon.of("venue_proven")) <= 4
    assert daemon.of("sweep_finished")[-1]["proven"] is True


@pytest.mark.parametrize("call", ["CancelAll", "listing"])
def test_a_retry_after_of_a_day_is_obeyed_for_half_a_minute(guarded, call):
    venue, daemon = guarded(settle='"300ms"', order_flight='"500ms"')
    venue.post(once={call: "429"})
    venue.post(price={"BTC": 42000})
    daemon.wait_for("sweep_started")
    assert daemon.exit_code(within_s=60.0) == 1, daemon.output()
    finished = daemon.of("sweep_finished")[-1]
    assert 30.0 <= finished["elapsed_s"] < 40.0
    assert venue.get()["open"] == {}
