"""OKX's words on a socket: the login first, then a channel at a time; prices without one."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from adapters.base import Market
from adapters.venue import VenueSettings
from adapters.venues.okx_wire import OkxWire
from adapters.wire import Pinging, Refused, Taken
from risk_daemon.errors import VenueUnavailable
from risk_daemon.model.account import Kind

ACCOUNT = frozenset({"account"})
SETTINGS = VenueSettings("okx", "okx", frozenset({Market.SPOT}), api_key="KEY", secret="a secret", password="a word")
CHANNELS = {
    "BTC/USDT": {"channel": "tickers", "instId": "BTC-USDT"},
    "BTC/USDT:USDT": {"channel": "mark-price", "instId": "BTC-USDT-SWAP"},
}


def wire() -> OkxWire:
    return OkxWire("ws://x", SETTINGS, lambda: 1_700_000_000, CHANNELS.__getitem__)


def test_an_account_channel_needs_the_login_signed() -> None:
    talk = wire()
    ask = talk.ask(Kind.BALANCES, ACCOUNT)
    digest = hmac.new(b"a secret", b"1700000000GET/users/self/verify", hashlib.sha256).digest()
    login = {
        "apiKey": "KEY",
        "passphrase": "a word",
        "timestamp": "1700000000",
        "sign": base64.b64encode(digest).decode(),
    }
    assert (ask.key, ask.names, ask.message) == ("login", frozenset(), {"op": "login", "args": [login]})
    assert talk.hear({"event": "login", "code": "0", "msg": ""}) == Taken("login")
    asked = {kind: talk.ask(kind, ACCOUNT) for kind in (Kind.BALANCES, Kind.POSITIONS, Kind.ORDERS)}
    assert [ask.key for ask in asked.values()] == ["account", "positions", "orders"]
    for kind, ask in asked.items():
        (arg,) = ask.message["args"]
        assert talk.hear({"event": "subscribe", "arg": arg, "connId": "x"}) == Taken(ask.key)
        assert talk.hear({"arg": arg | {"uid": "7"}, "data": []}) is kind


def test_prices_of_pairs_and_of_instruments_are_two_channels_and_one_question() -> None:
    talk = wire()
    ask = talk.ask(Kind.PRICES, frozenset(CHANNELS))
    assert ask.message == {"op": "subscribe", "args": [CHANNELS["BTC/USDT"], CHANNELS["BTC/USDT:USDT"]]}
    for symbol, arg in CHANNELS.items():
        assert talk.hear({"event": "subscribe", "arg": arg}) == Taken(ask.key, frozenset({symbol}))
        assert talk.hear({"arg": arg, "data": []}) is Kind.PRICES


def test_a_refusal_is_one_and_what_is_unknown_is_a_sign_of_life() -> None:
    talk = wire()
    assert talk.hear({"event": "error", "code": "60024", "msg": "Wrong passphrase"}) == Refused(
        "60024 Wrong passphrase"
    )
    assert talk.hear({"event": "channel-conn-count", "channel": "orders", "connCount": "2"}) is None
    assert talk.hear({"arg": {"channel": "something-new"}, "data": []}) is None
    assert talk.hear({"data": []}) is None


@pytest.mark.parametrize(
    "message",
    [
        {"event": "notice", "code": "64008", "msg": "The connection will soon be closed"},
        {"event": "channel-conn-count-error", "channel": "orders", "connCount": "30"},
    ],
)
def test_a_connection_that_will_be_told_nothing_ends(message: dict[str, str]) -> None:
    with pytest.raises(VenueUnavailable):
        wire().hear(message)


def test_it_is_kept_open_by_a_word() -> None:
    talk = wire()
    assert isinstance(talk, Pinging)
    assert (talk.ping, talk.pong) == ("ping", "pong")
    assert talk.ping_every_s < 30 < talk.silent_after_s
