"""Binance's futures on a socket: the account comes unasked, marks are asked for by their streams."""

from __future__ import annotations

import pytest

from adapters.subscriptions import Subscriptions
from adapters.venues.binanceusdm_wire import MarkWire, UserWire
from adapters.wire import Refused, Said, Taken
from risk_daemon.errors import VenueUnavailable
from risk_daemon.model.account import Kind

IDS = {"BTC/USDT:USDT": "BTCUSDT", "ETH/USDT:USDT": "ETHUSDT"}


def test_nothing_is_said_on_the_accounts_connection() -> None:
    subscriptions = Subscriptions()
    subscriptions.wanted = {Kind.BALANCES: frozenset({"account"}), Kind.ORDERS: frozenset({"account"})}
    assert subscriptions.next(UserWire("ws://x", "k")) is None
    assert not subscriptions.is_waiting


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("ORDER_TRADE_UPDATE", Kind.ORDERS),
        ("ALGO_UPDATE", Kind.ORDERS),
        ("ACCOUNT_UPDATE", (Kind.BALANCES, Kind.POSITIONS)),
        ("MARGIN_CALL", (Kind.BALANCES, Kind.POSITIONS)),
        ("A_NEW_ONE", (Kind.BALANCES, Kind.POSITIONS)),
        ("TRADE_LITE", None),
    ],
)
def test_a_frame_is_a_sign_for_whatever_it_may_concern(event: str, said: Said) -> None:
    assert UserWire("ws://x", "k").hear({"e": event}) == said


def test_an_expired_key_ends_the_connection() -> None:
    with pytest.raises(VenueUnavailable):
        UserWire("ws://x", "k").hear({"e": "listenKeyExpired", "listenKey": "k"})


def test_marks_are_asked_for_together_and_answers_belong_to_their_question() -> None:
    talk = MarkWire("ws://x", IDS.__getitem__)
    ask = talk.ask(Kind.PRICES, frozenset(IDS))
    assert ask is not None
    assert ask.message == {"method": "SUBSCRIBE", "params": ["btcusdt@markPrice@1s", "ethusdt@markPrice@1s"], "id": 1}
    assert talk.hear({"result": None, "id": 1}) == Taken("1", frozenset(IDS))
    assert talk.hear({"e": "markPriceUpdate", "s": "BTCUSDT"}) is Kind.PRICES


@pytest.mark.parametrize("refusal", [{"error": {"code": 2, "msg": "no"}, "id": 1}, {"code": 2, "msg": "no", "id": 1}])
def test_both_shapes_of_a_refusal_are_one(refusal: dict[str, object]) -> None:
    said = MarkWire("ws://x", IDS.__getitem__).hear(refusal)
    assert isinstance(said, Refused)
    assert said.key == "1"
