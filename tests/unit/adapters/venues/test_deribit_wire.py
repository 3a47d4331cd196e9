"""What is said on Deribit's socket, and what each answer means."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from adapters.venues.deribit_wire import CHANGES, PORTFOLIO, DeribitWire
from adapters.wire import Refused, Taken
from risk_daemon.errors import MalformedReply
from risk_daemon.model.account import Kind

ONE = frozenset({"account"})


@pytest.fixture
def wire() -> DeribitWire:
    return DeribitWire("wss://x", "KEY", "SECRET", lambda: 1_700_000_000_000, lambda name: name.replace("/", "_"))


def test_the_account_is_told_after_signing_in(wire: DeribitWire) -> None:
    ask = wire.ask(Kind.ORDERS, ONE)
    signature = hmac.new(b"SECRET", b"1700000000000\n1700000000000\n", hashlib.sha256).hexdigest()
    assert (ask.names, ask.message["method"]) == (frozenset(), "public/auth")
    assert ask.message["params"]["signature"] == signature
    assert wire.hear({"id": 1, "result": {"access_token": "x"}}) == Taken("1")
    for kind, channel in ((Kind.ORDERS, CHANGES), (Kind.POSITIONS, CHANGES), (Kind.BALANCES, PORTFOLIO)):
        ask = wire.ask(kind, ONE)
        assert (ask.message["method"], ask.message["params"]) == ("private/subscribe", {"channels": [channel]})
        assert wire.hear({"id": ask.message["id"], "result": [channel]}) == Taken(ask.key)
        assert isinstance(wire.hear({"id": ask.message["id"], "result": []}), Refused), "left out without a word"


def test_prices_need_no_key_and_only_those_that_were_taken_count(wire: DeribitWire) -> None:
    ask = wire.ask(Kind.PRICES, frozenset({"BTC/USDT", "X/Y"}))
    assert ask.message["params"] == {"channels": ["ticker.BTC_USDT.100ms", "ticker.X_Y.100ms"]}
    assert wire.hear({"id": 6, "result": ["ticker.BTC_USDT.100ms"]}) == Taken("6", frozenset({"BTC/USDT"}))


def test_a_no_is_a_no(wire: DeribitWire) -> None:
    assert wire.hear({"id": 1, "error": {"code": 13004, "message": "invalid_credentials"}}) == Refused(
        "invalid_credentials", "1"
    )
    with pytest.raises(MalformedReply):
        wire.hear({"id": 99, "result": []})
    with pytest.raises(MalformedReply):
        wire.hear({"id": 3, "result": "ok"})


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ("ticker.BTC_USDT.100ms", Kind.PRICES),
        ("user.portfolio.btc", Kind.BALANCES),
        ("user.changes.any.any.raw", (Kind.ORDERS, Kind.POSITIONS, Kind.BALANCES)),
    ],
)
def test_frames_are_known_by_their_channel(wire: DeribitWire, channel: str, said: Any) -> None:
    assert wire.hear({"method": "subscription", "params": {"channel": channel, "data": {}}}) == said


def test_a_ping_and_its_answer(wire: DeribitWire) -> None:
    ping = json.loads(wire.ping)
    assert ping["method"] == "public/test"
    assert wire.hear({"id": ping["id"], "result": {"version": "1"}}) is None
    assert wire.hear({"method": "heartbeat", "params": {"type": "heartbeat"}}) is None
