"""What is said on Bybit's sockets, and what is heard in the answers."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest

from adapters.venues.bybit_wire import BybitPrivateWire, BybitPublicWire
from adapters.wire import Pinging, Refused, Taken
from risk_daemon.errors import MalformedReply
from risk_daemon.model.account import Kind

ACCOUNT = frozenset({"account"})


def private() -> BybitPrivateWire:
    return BybitPrivateWire("ws://x/v5/private", "KEY", "SECRET", lambda: 1_000)


def answer(op: str, *, success: bool = True, said: str = "") -> dict[str, Any]:
    return {"success": success, "ret_msg": said, "op": op, "conn_id": "c"}


def test_it_signs_in_before_it_subscribes() -> None:
    wire = private()
    signing = wire.ask(Kind.ORDERS, ACCOUNT)
    wanted = hmac.new(b"SECRET", b"GET/realtime11000", hashlib.sha256).hexdigest()
    assert signing.message == {"op": "auth", "args": ["KEY", "11000", wanted]}
    assert not signing.names
    assert wire.hear(answer("auth")) == Taken()
    assert wire.ask(Kind.BALANCES, ACCOUNT).message == {"op": "subscribe", "args": ["wallet"]}


@pytest.mark.parametrize("is_taken", [True, False])
def test_executions_come_before_orders_which_do_without_them(is_taken: bool) -> None:
    wire = private()
    wire.hear(answer("auth"))
    ask = wire.ask(Kind.ORDERS, ACCOUNT)
    assert (ask.message, ask.names) == ({"op": "subscribe", "args": ["execution"]}, frozenset())
    assert wire.waits_for_fills
    assert wire.hear(answer("subscribe", success=is_taken, said="error:handler not found")) == Taken()
    assert not wire.waits_for_fills
    assert wire.ask(Kind.ORDERS, ACCOUNT).message == {"op": "subscribe", "args": ["order"]}
    assert wire.hear({"topic": "execution", "data": []}) is Kind.ORDERS


def test_where_executions_were_not_answered_they_are_not_asked_for_again() -> None:
    wire = BybitPrivateWire("ws://x", "KEY", "SECRET", lambda: 1000, asks_fills=False)
    wire.hear(answer("auth"))
    assert wire.ask(Kind.ORDERS, ACCOUNT).message == {"op": "subscribe", "args": ["order"]}


def test_a_refused_sign_in_is_one_and_is_tried_again() -> None:
    wire = private()
    assert wire.hear(answer("auth", success=False, said="API key is invalid.")) == Refused("API key is invalid.")
    assert wire.ask(Kind.BALANCES, ACCOUNT).key == "auth"


def test_frames_are_of_their_streams_and_others_are_only_signs_of_life() -> None:
    wire = private()
    for topic, kind in (("wallet", Kind.BALANCES), ("position", Kind.POSITIONS), ("order", Kind.ORDERS)):
        assert wire.hear({"topic": topic, "data": []}) is kind
    assert wire.hear({"topic": "greeks", "data": []}) is None
    for pong in ({"op": "pong", "args": ["1"]}, answer("ping", said="pong")):
        assert wire.hear(pong) is None
    with pytest.raises(MalformedReply):
        wire.hear({"data": []})


def test_prices_are_asked_for_ten_at_a_time() -> None:
    wire = BybitPublicWire("ws://x/v5/public/spot", lambda symbol: f"orderbook.1.{symbol}")
    names = frozenset(f"S{number:02d}" for number in range(25))
    ask = wire.ask(Kind.PRICES, names)
    assert ask is not None
    assert len(ask.names) == 10
    assert ask.message["args"] == [f"orderbook.1.S{number:02d}" for number in range(10)]
    assert wire.hear(answer("subscribe", said="subscribe")) == Taken()
    assert wire.hear(answer("subscribe", success=False, said="Invalid symbol :[x]")) == Refused("Invalid symbol :[x]")
    assert wire.hear({"topic": "orderbook.1.S01", "data": {}}) is Kind.PRICES


def test_what_is_told_on_another_socket_is_not_asked_for() -> None:
    wire = BybitPublicWire("ws://x/v5/public/linear", {"B": "tickers.B"}.get)
    ask = wire.ask(Kind.PRICES, frozenset({"A", "B"}))
    assert ask is not None
    assert (ask.names, ask.message["args"]) == ({"B"}, ["tickers.B"])
    assert wire.ask(Kind.PRICES, frozenset({"A"})) is None


def test_it_wants_to_be_pinged() -> None:
    wire = private()
    assert isinstance(wire, Pinging)
    assert wire.ping_every_s * 2 < wire.silent_after_s
