"""Binance's words on a socket: one account after another is subscribed to, and an event that ends one ends all."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.venues.binance_wire import Account, AccountWire, MarketWire
from adapters.wire import Refused, Said, Taken
from risk_daemon.errors import VenueUnavailable
from risk_daemon.model.account import Kind

ACCOUNT = frozenset({"account"})
SIGNED = {"apiKey": "k", "timestamp": 1, "signature": "s"}


def account(*accounts: Account) -> tuple[AccountWire, dict[int, str]]:
    scopes: dict[int, str] = {}
    return AccountWire("ws://x", accounts or (Account("spot"),), lambda: SIGNED, scopes), scopes


def market() -> MarketWire:
    return MarketWire("ws://x", lambda symbol: symbol.replace("/", ""))


def test_prices_are_asked_for_by_the_venues_names() -> None:
    ask = market().ask(Kind.PRICES, frozenset({"ETH/USDT", "BTC/USDT"}))
    assert ask.message == {"method": "SUBSCRIBE", "params": ["btcusdt@bookTicker", "ethusdt@bookTicker"], "id": 1}


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"u": 1, "s": "BTCUSDT", "b": "1", "B": "1", "a": "2", "A": "1"}, Kind.PRICES),
        ({"result": None, "id": 1}, Taken("1")),
        ({"error": {"code": 2, "msg": "no"}, "id": 1}, Refused("{'code': 2, 'msg': 'no'}", "1")),
        ({"something": "new"}, None),
    ],
)
def test_what_a_market_socket_says(message: dict[str, Any], said: Said) -> None:
    assert market().hear(message) == said


def test_a_refusal_without_its_envelope_is_no_yes() -> None:
    """The documentation shows both; ccxt takes this one for an acknowledgement."""
    assert isinstance(market().hear({"code": 2, "msg": "Invalid request", "id": 1}), Refused)


def test_accounts_are_subscribed_to_one_after_another() -> None:
    wire, scopes = account(Account("spot"), Account("cross margin", "T"))
    first = wire.ask(Kind.ORDERS, ACCOUNT)
    assert (first.names, first.message["method"]) == (frozenset(), "userDataStream.subscribe.signature")
    assert first.message["params"] == SIGNED
    assert wire.hear({"id": "1", "status": 200, "result": {"subscriptionId": 0}}) == Taken("1")
    second = wire.ask(Kind.ORDERS, ACCOUNT)
    assert (second.names, second.message["params"]) == (frozenset(), {"listenToken": "T"})
    assert wire.hear({"id": "2", "status": 200, "result": {"subscriptionId": 1, "expirationTime": 2}}) == Taken("2")
    assert scopes == {0: "spot", 1: "cross margin"}
    last = wire.ask(Kind.ORDERS, ACCOUNT)
    assert (last.names, last.message["method"]) == (ACCOUNT, "session.subscriptions")
    rows = [{"subscriptionId": 0}, {"subscriptionId": 1}]
    assert wire.hear({"id": "3", "status": 200, "result": rows}) == Taken("3")
    assert isinstance(wire.hear({"id": "4", "status": 200, "result": rows[:1]}), Refused), "one of them is gone"


@pytest.mark.parametrize(
    "message",
    [
        {"id": "1", "status": 401, "error": {"code": -2015, "msg": "no"}},
        {"id": "1", "status": 200},
        {"id": "1", "status": 200, "result": {}},
        {"id": "1", "status": 200, "result": []},
    ],
)
def test_what_is_no_subscription_is_a_refusal(message: dict[str, Any]) -> None:
    wire, scopes = account()
    wire.ask(Kind.BALANCES, ACCOUNT)
    said = wire.hear(message)
    assert isinstance(said, Refused)
    assert said.key == "1"
    assert scopes == {}


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("executionReport", Kind.ORDERS),
        ("listStatus", Kind.ORDERS),
        ("outboundAccountPosition", Kind.BALANCES),
        ("balanceUpdate", Kind.BALANCES),
        ("externalLockUpdate", Kind.BALANCES),
        ("somethingNew", Kind.BALANCES),
    ],
)
def test_what_an_event_is(event: str, said: Said) -> None:
    wire, _ = account()
    assert wire.hear({"subscriptionId": 0, "event": {"e": event}}) == said
    assert wire.hear({"event": "text", "id": None}) is not None


@pytest.mark.parametrize("event", ["eventStreamTerminated", "serverShutdown"])
def test_an_end_of_one_stream_ends_the_connection(event: str) -> None:
    wire, _ = account()
    with pytest.raises(VenueUnavailable):
        wire.hear({"subscriptionId": 0, "event": {"e": event}})
    with pytest.raises(VenueUnavailable):
        wire.hear({"e": event})
