"""Kraken Futures' words on a socket: heartbeat first, then the challenge, then the feeds."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import pytest

from adapters.venues.krakenfutures_wire import KrakenFuturesWire
from adapters.wire import Refused, Said, Taken
from risk_daemon.errors import MalformedReply
from risk_daemon.model.account import Kind

ACCOUNT = frozenset({"account"})
SECRET = base64.b64encode(b"a secret").decode()
IDS = {"BTC/USD:USD": "PF_XBTUSD", "ETH/USD:USD": "PF_ETHUSD"}
CHALLENGE = "226aee50-88fc-4618-a42a-34f7709570b2"


def wire(secret: str = SECRET) -> KrakenFuturesWire:
    return KrakenFuturesWire("ws://x", "KEY", secret, IDS.__getitem__)


def beating() -> KrakenFuturesWire:
    found = wire()
    assert found.hear({"event": "subscribed", "feed": "heartbeat"}) == Taken("heartbeat")
    return found


def test_it_is_asked_for_heartbeats_before_anything() -> None:
    for kind in (Kind.PRICES, Kind.BALANCES):
        ask = wire().ask(kind, ACCOUNT)
        assert (ask.key, ask.names, ask.message) == (
            "heartbeat",
            frozenset(),
            {"event": "subscribe", "feed": "heartbeat"},
        )


def test_a_feed_of_the_account_needs_the_challenge_signed() -> None:
    talk = beating()
    ask = talk.ask(Kind.POSITIONS, ACCOUNT)
    assert (ask.key, ask.names, ask.message) == ("challenge", frozenset(), {"event": "challenge", "api_key": "KEY"})
    assert talk.hear({"event": "challenge", "message": CHALLENGE}) == Taken("challenge")
    digest = hashlib.sha256(CHALLENGE.encode()).digest()
    signed = base64.b64encode(hmac.new(b"a secret", digest, hashlib.sha512).digest()).decode()
    assert talk.ask(Kind.POSITIONS, ACCOUNT).message == {
        "event": "subscribe",
        "feed": "open_positions",
        "api_key": "KEY",
        "original_challenge": CHALLENGE,
        "signed_challenge": signed,
    }


@pytest.mark.parametrize(
    "said", [{"event": "subscribed", "feed": "fills"}, {"event": "alert", "message": "Invalid feed"}]
)
def test_fills_come_before_orders_which_do_without_them(said: dict[str, Any]) -> None:
    talk = beating()
    talk.hear({"event": "challenge", "message": CHALLENGE})
    ask = talk.ask(Kind.ORDERS, ACCOUNT)
    assert (ask.message["feed"], ask.names) == ("fills", frozenset())
    assert talk.waits_for_fills
    assert talk.hear(said) == Taken("fills")
    assert not talk.waits_for_fills
    assert talk.ask(Kind.ORDERS, ACCOUNT).message["feed"] == "open_orders"
    assert {talk.hear({"feed": feed}) for feed in ("fills", "fills_snapshot")} == {Kind.ORDERS}


def test_tickers_need_no_key() -> None:
    ask = beating().ask(Kind.PRICES, frozenset(IDS))
    assert ask.message == {"event": "subscribe", "feed": "ticker", "product_ids": ["PF_XBTUSD", "PF_ETHUSD"]}
    assert ask.names == set(IDS)


def test_an_answer_names_what_it_took() -> None:
    talk = beating()
    talk.ask(Kind.PRICES, frozenset(IDS))
    taken = talk.hear({"event": "subscribed", "feed": "ticker", "product_ids": ["pf_xbtusd", "PI_OTHER"]})
    assert taken == Taken("ticker", frozenset({"BTC/USD:USD"}))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"feed": "balances", "seq": 1}, Kind.BALANCES),
        ({"feed": "balances_snapshot"}, Kind.BALANCES),
        ({"feed": "open_positions"}, Kind.POSITIONS),
        ({"feed": "open_orders"}, Kind.ORDERS),
        ({"feed": "open_orders_snapshot"}, Kind.ORDERS),
        ({"feed": "ticker"}, Kind.PRICES),
        ({"feed": "heartbeat", "time": 1}, None),
        ({"event": "info", "version": 1}, None),
        ({"event": "subscribed", "feed": "balances"}, Taken("balances")),
        ({"event": "alert", "message": "Already subscribed to feed, re-requesting"}, Taken()),
        ({"event": "alert", "message": "Failed to subscribe"}, Refused("Failed to subscribe")),
        ({"event": "error", "message": "Invalid product id"}, Refused("Invalid product id")),
        ({"event": "error"}, Refused("no reason given")),
    ],
)
def test_what_it_hears(message: dict[str, Any], said: Said) -> None:
    assert wire().hear(message) == said


@pytest.mark.parametrize("challenge", [None, "", 5, {}])
def test_a_challenge_that_is_none_is_not_signed(challenge: Any) -> None:
    with pytest.raises(MalformedReply):
        wire().hear({"event": "challenge", "message": challenge})


def test_a_secret_that_is_none_is_an_error() -> None:
    with pytest.raises(binascii.Error):
        wire("x").hear({"event": "challenge", "message": CHALLENGE})
