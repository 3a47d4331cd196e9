"""MEXC's words on its two sockets: a no that looks like a yes, protobuf, a login after which all comes unasked."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest

from adapters.simulated.wire.mexc_frames import ACCOUNT, BOOK_TICKER, ORDERS, message, push
from adapters.venues.mexc_wire import DEALS, ContractWire, SpotWire
from adapters.wire import Keyed, Pinging, Refused, Taken
from risk_daemon.errors import MalformedReply, VenueUnavailable
from risk_daemon.model.account import Kind

ONE = frozenset({"account"})
IDS = {"BTC/USDT": "BTCUSDT", "ETH/USDT": "ETHUSDT"}
BTC, ETH = (f"spot@public.aggre.bookTicker.v3.api.pb@100ms@{name}" for name in IDS.values())


def spot() -> SpotWire:
    return SpotWire("ws://x", IDS.__getitem__)


def contract() -> ContractWire:
    return ContractWire("ws://x", "KEY", "SECRET", "1700000000000")


def test_both_are_pinged() -> None:
    for wire in (spot(), contract()):
        assert isinstance(wire, Pinging)
        assert "ping" in wire.ping.lower()
    assert spot().hear({"id": 0, "code": 0, "msg": "PONG"}) is None
    assert contract().hear({"channel": "pong", "data": 1}) is None


def test_channels_of_spot_and_the_yes_to_each() -> None:
    talk = spot()
    ask = talk.ask(Kind.PRICES, frozenset(IDS))
    assert ask.message == {"method": "SUBSCRIPTION", "params": [BTC, ETH]}
    assert talk.hear({"id": 0, "code": 0, "msg": f"{BTC},{ETH}"}) == Taken(names=frozenset(IDS))
    assert talk.hear({"id": 0, "code": 0, "msg": BTC}) == Taken(names=frozenset({"BTC/USDT"}))
    ask = talk.ask(Kind.BALANCES, ONE)
    (channel,) = ask.message["params"]
    assert talk.hear({"id": 0, "code": 0, "msg": channel}) == Taken(names=ONE)


@pytest.mark.parametrize(
    "answer",
    [
        {"id": 0, "code": 0, "msg": f"Not Subscribed successfully! [{BTC}]. Reason: Blocked!"},
        {"id": 0, "code": 1, "msg": BTC},
        {"id": 0, "code": 0, "msg": ""},
        {"id": 0, "code": 0, "msg": "Service not available"},
        {},
    ],
)
def test_only_the_channels_own_name_is_a_yes(answer: dict[str, Any]) -> None:
    talk = spot()
    talk.ask(Kind.PRICES, frozenset({"BTC/USDT"}))
    assert isinstance(talk.hear(answer), Refused)


@pytest.mark.parametrize(
    ("body", "kind"), [(ACCOUNT, Kind.BALANCES), (ORDERS, Kind.ORDERS), (BOOK_TICKER, Kind.PRICES)]
)
def test_pushes_are_known_by_their_bodies(body: int, kind: Kind) -> None:
    talk = spot()
    decoded = talk.decode(push(body, "spot@x", {1: "one", 3: "three"}, 5, "BTCUSDT"))
    assert (decoded["channel"], decoded["symbol"]) == ("spot@x", "BTCUSDT")
    assert talk.hear(decoded) is kind


def test_a_push_that_is_not_known_is_no_silence() -> None:
    talk = spot()
    assert talk.hear(talk.decode(message({1: "spot@private.something.new"}))) is Kind.BALANCES


@pytest.mark.parametrize("frame", [b"\xff\xff\xff", b"\x0a\x64short"])
def test_bytes_that_are_no_protobuf_end_it(frame: bytes) -> None:
    with pytest.raises(MalformedReply):
        spot().decode(frame)


def test_a_listen_key_that_has_ended_ends_the_connection() -> None:
    talk = SpotWire("ws://x/ws", IDS.__getitem__, "pqia1")
    assert isinstance(talk, Keyed)
    assert talk.url == "ws://x/ws?listenKey=pqia1"
    talk.has_ended = True
    with pytest.raises(VenueUnavailable, match="listen key"):
        talk.hear({"id": 0, "code": 0, "msg": "PONG"})


def test_contracts_want_a_login_and_then_tell_all() -> None:
    talk = contract()
    ask = talk.ask(Kind.POSITIONS, ONE)
    signature = hmac.new(b"SECRET", b"KEY1700000000000", hashlib.sha256).hexdigest()
    param = {"apiKey": "KEY", "reqTime": "1700000000000", "signature": signature}
    assert ask is not None
    assert (ask.names, ask.message) == (frozenset(), {"method": "login", "param": param})
    assert talk.hear({"channel": "rs.login", "data": "success"}) == Taken("login")
    ask = talk.ask(Kind.BALANCES, ONE)
    assert ask is not None
    assert ask.message["method"] == "sub.tickers"
    assert talk.hear({"channel": "rs.sub.tickers", "data": "success"}) == Taken("sub.tickers")
    assert talk.ask(Kind.BALANCES, ONE) is None
    assert isinstance(contract().hear({"channel": "rs.error", "data": "Confirming signature failed"}), Refused)
    assert isinstance(contract().hear({"channel": "rs.login", "data": "failed"}), Refused)


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ("push.personal.asset", Kind.BALANCES),
        ("push.personal.order", Kind.ORDERS),
        ("push.personal.track.order", Kind.ORDERS),
        ("push.personal.position", (Kind.BALANCES, Kind.POSITIONS)),
        ("push.personal.order.deal", (Kind.BALANCES, Kind.POSITIONS, Kind.ORDERS)),
        ("push.personal.something.new", (Kind.BALANCES, Kind.POSITIONS)),
        ("push.tickers", Kind.PRICES),
        ("push.funding.rate", None),
    ],
)
def test_what_is_told_of_the_account_is_never_nothing(channel: str, said: Any) -> None:
    assert contract().hear({"channel": channel, "data": {}}) == said


@pytest.mark.parametrize("words", [DEALS, f"Not Subscribed successfully! [{DEALS}]. Reason: Blocked!"])
def test_deals_come_before_orders_which_do_without_them(words: str) -> None:
    wire = SpotWire("ws://x", str, "key")
    ask = wire.ask(Kind.ORDERS, frozenset({"account"}))
    assert (ask.message["params"], ask.names) == ([DEALS], frozenset())
    assert wire.hear({"id": 0, "code": 0, "msg": "PONG"}) is None
    assert wire.waits_for_fills
    assert wire.hear({"id": 0, "code": 0, "msg": words}) == Taken()
    assert not wire.waits_for_fills
    assert wire.ask(Kind.ORDERS, frozenset({"account"})).message["params"] == ["spot@private.orders.v3.api.pb"]
