"""Spot and perp together, on our own simulated venues behind endpoints."""

from __future__ import annotations

import pytest

from adapters.simulated import API_KEY, API_SECRET
from tests.e2e.harness import wait_for

KEYS = {"kraken": (API_KEY, API_SECRET), "krakenfutures": (API_KEY, API_SECRET)}


def config(spot, perp, **circuit_breaker):
    rows = "\n".join(f"{key} = {value}" for key, value in circuit_breaker.items())
    return f"""
[portfolio]
initial_capital = 10000
[circuit_breaker]
{rows}
[venues.kraken]
exchange = "kraken"
markets = ["spot"]
endpoint = "{spot.endpoint}"
[venues.krakenfutures]
exchange = "krakenfutures"
markets = ["perp"]
endpoint = "{perp.endpoint}"
"""


QUICK = {"settle": '"300ms"', "order_flight": '"500ms"'}


@pytest.fixture
def pair(simulate, daemon_for):
    spot, perp = simulate("kraken"), simulate("krakenfutures")

    def start(**circuit_breaker):
        daemon = daemon_for(config(spot, perp, **{**QUICK, **circuit_breaker}), KEYS)
        assert daemon.command("init", "--yes").returncode == 0
        daemon.start()
        daemon.wait_open()
        return spot, perp, daemon

    return start


@pytest.fixture
def holding_pair(simulate, daemon_for):
    """As `pair`, with 0.03 BTC at 100,000 and orders of every kind on both venues from the start."""
    spot, perp = simulate("kraken"), simulate("krakenfutures")
    for quote in ("USD", "USDT"):
        spot.post("/price", symbol=f"BTC/{quote}", price="100000")
    perp.post("/price", asset="BTC", price="100000")
    spot.post("/balance", asset="BTC", amount="0.03")
    spot.post("/balance", asset="USDT", amount="3000")
    spot.post("/order", symbol="BTC/USD", side="buy", type="limit", quantity="0.001", price="50000")
    spot.post("/order", symbol="BTC/USD", side="sell", type="stop_loss", quantity="0.001", trigger_price="40000")
    perp.post("/order", symbol="PF_XBTUSD", side="buy", type="limit", quantity="0.001", price="50000")
    perp.post("/order", symbol="PF_XBTUSD", side="sell", type="stop_loss", quantity="0.001", trigger_price="40000")

    def start(**circuit_breaker):
        daemon = daemon_for(config(spot, perp, **{**QUICK, **circuit_breaker}), KEYS)
        init = daemon.command("init", "--yes")
        assert init.returncode == 0, init.stderr
        daemon.start()
        daemon.wait_open()
        return spot, perp, daemon

    return start


def crash(spot, perp):
    perp.post("/price", asset="BTC", price="75000")
    for quote in ("USD", "USDT"):
        spot.post("/price", symbol=f"BTC/{quote}", price="75000")


def open_orders(*venues):
    return sum(venue.get("/state")["open_order_count"] for venue in venues)


def test_two_venues_holding_usdt_add_up_and_both_are_emptied(holding_pair):
    spot, perp, daemon = holding_pair()
    assert daemon.of("portfolio_update")[-1]["equity"] == "10000"
    crash(spot, perp)
    assert daemon.exit_code() == 1, daemon.output()
    assert open_orders(spot, perp) == 0
    proven = {event["venue"]: event["cancelled"] for event in daemon.of("venue_proven")}
    assert proven == {"kraken": 2, "krakenfutures": 2}


@pytest.mark.long
def test_a_venue_that_dies_during_the_trip_delays_nobody_and_ends_in_4(holding_pair):
    spot, perp, daemon = holding_pair(cancel_deadline='"8s"')
    crash(spot, perp)
    perp.kill()
    daemon.wait_for("venue_proven")
    assert daemon.of("venue_proven")[0]["venue"] == "kraken"
    assert daemon.is_running()
    assert daemon.exit_code() == 4, daemon.output()
    assert open_orders(spot) == 0
    assert "krakenfutures" in {event["venue"] for event in daemon.of("venue_unproven")}


def test_a_bot_that_keeps_placing_orders_is_cancelled_and_named_until_it_stops(holding_pair):
    spot, perp, daemon = holding_pair()
    spot.post(
        "/bot",
        symbol="BTC/USD",
        side="buy",
        type="limit",
        quantity="0.001",
        price="40000",
        every_ms=200,
        prefix="runaway",
    )
    crash(spot, perp)
    daemon.wait_for("order_replaced", count=10)
    assert daemon.is_running()
    named = {event["client_order_id"] for event in daemon.of("order_replaced")}
    assert all(name and name.startswith("runaway") for name in named), named
    spot.delete("/bot")
    assert daemon.exit_code() == 1, daemon.output()
    assert open_orders(spot, perp) == 0


@pytest.mark.long
def test_both_rows_of_a_large_trade_100_ms_apart_trip_nothing(pair):
    spot, _, daemon = pair()
    spot.post("/trade", symbol="BTC/USDT", side="buy", quantity="0.05", rows_apart_ms=100)
    reads = lambda: spot.get("/state")["calls"]["balances"]["count"]  # noqa: E731
    before = reads()
    wait_for(lambda: reads() >= before + 2, "two balance reads after the trade")
    assert daemon.is_running()
    assert float(daemon.of("portfolio_update")[-1]["equity"]) > 9900
    assert not {"circuit_breaker_triggered", "warning_triggered", "breach_confirming"} & set(daemon.names())


@pytest.mark.long
def test_protective_orders_are_kept_and_named_when_asked_for(holding_pair):
    spot, perp, daemon = holding_pair(protective_orders='"keep"')
    perp.post("/position", symbol="PF_XBTUSD", quantity="0.01", entry="100000")
    stop = {"symbol": "PF_XBTUSD", "side": "sell", "type": "stop_loss", "quantity": "0.01", "trigger_price": "60000"}
    kept = perp.post("/order", **stop, reduce_only=True)
    assert perp.get("/state")["positions"]
    reads = lambda: perp.get("/state")["calls"]["positions"]["count"]  # noqa: E731
    before = reads()
    wait_for(lambda: reads() > before, "the position read by the daemon")
    crash(spot, perp)
    assert daemon.exit_code() == 1, daemon.output()
    assert open_orders(spot) == 0
    assert open_orders(perp) == 1
    proven = {event["venue"]: event["kept"] for event in daemon.of("venue_proven")}
    assert proven["kraken"] == []
    assert len(proven["krakenfutures"]) == 1, kept
