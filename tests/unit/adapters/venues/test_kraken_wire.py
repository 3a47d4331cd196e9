"""Kraken's words on a socket: yes, no, a frame, a sign of life."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.venues.kraken_wire import KrakenWire
from adapters.wire import Refused, Said, Taken
from risk_daemon.errors import VenueUnavailable
from risk_daemon.model.account import Kind

ACCOUNT = frozenset({"account"})
INVALID = {"method": "subscribe", "success": False, "error": "ESession:Invalid session", "req_id": 1}


def wire() -> KrakenWire:
    return KrakenWire("ws://x", "TOKEN")


def test_what_it_asks() -> None:
    private, public = wire(), KrakenWire("ws://x")
    orders = private.ask(Kind.ORDERS, ACCOUNT).message
    assert orders == {
        "method": "subscribe",
        "req_id": 1,
        "params": {"channel": "executions", "token": "TOKEN", "snap_orders": True},
    }
    balances = private.ask(Kind.BALANCES, ACCOUNT).message
    assert (balances["req_id"], balances["params"]) == (2, {"channel": "balances", "token": "TOKEN"})
    prices = public.ask(Kind.PRICES, frozenset({"ETH/USD", "BTC/USD"})).message["params"]
    assert prices == {"channel": "ticker", "symbol": ["BTC/USD", "ETH/USD"], "event_trigger": "bbo"}


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"channel": "ticker", "type": "snapshot", "data": []}, Kind.PRICES),
        ({"channel": "balances", "type": "update"}, Kind.BALANCES),
        ({"channel": "executions", "type": "update"}, Kind.ORDERS),
        ({"channel": "heartbeat"}, None),
        ({"channel": "status", "data": [{"system": "online"}]}, None),
        ({"method": "pong", "req_id": 3}, None),
        ({"method": "subscribe", "success": True, "req_id": 7, "result": {"channel": "balances"}}, Taken("7")),
        (
            {"method": "subscribe", "success": True, "req_id": 7, "result": {"channel": "ticker", "symbol": "A/B"}},
            Taken("7", frozenset({"A/B"})),
        ),
        ({"method": "subscribe", "success": False, "req_id": 7, "error": "Already subscribed"}, Taken("7")),
        (INVALID, Refused("ESession:Invalid session", "1")),
        ({"error": "Malformed request", "success": False}, Refused("Malformed request")),
        ({"method": "subscribe", "req_id": 1}, Refused("no reason given", "1")),
    ],
)
def test_what_it_hears(message: dict[str, Any], said: Said) -> None:
    assert wire().hear(message) == said


@pytest.mark.parametrize("beside", [{"symbol": "X/Y"}, {}])
def test_a_pair_that_is_not_streamed_is_named(beside: dict[str, str]) -> None:
    refusal = {"method": "subscribe", "success": False, "req_id": 1, "error": "Currency pair not supported X/Y"}
    said = KrakenWire("ws://x").hear(refusal | beside)
    assert isinstance(said, Refused)
    assert said.names == {"X/Y"}


def test_a_token_that_ran_out_ends_the_connection_and_one_that_never_held_is_refused() -> None:
    late = wire()
    assert isinstance(late.hear(INVALID), Refused)
    late.hear({"method": "subscribe", "success": True, "req_id": 1, "result": {"channel": "balances"}})
    with pytest.raises(VenueUnavailable, match="run out"):
        late.hear(INVALID)
