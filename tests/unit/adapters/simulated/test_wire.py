"""The wire faces without sockets: greetings, heartbeats, pings, refusals, and the rows of each feed."""

import hashlib
import json
from decimal import Decimal
from typing import Any

import pytest

from adapters.simulated import API_KEY, API_SECRET
from adapters.simulated.model import OrderDraft
from adapters.simulated.scenarios import build
from adapters.simulated.wire.base import Face, Key, Request, Session
from adapters.simulated.wire.kraken_names import venue_id

NOW = 1_700_000_000.0


def face_of(kind: str) -> Face:
    return build(kind, Key(API_KEY, API_SECRET), NOW)


def say(session: Session, **message: Any) -> list[Any]:
    return list(session.received(json.dumps(message), NOW))


def kraken_private() -> tuple[Face, Session]:
    face = face_of("kraken")
    face.tokens["t"] = NOW + 900  # type: ignore[attr-defined]
    return face, face.session("ws-auth.kraken.com")


def futures_private(*feeds: str) -> tuple[Face, Session]:
    face = face_of("krakenfutures")
    session = face.session("futures.kraken.com")
    (challenge,) = say(session, event="challenge", api_key=API_KEY)
    signed = Key(API_KEY, API_SECRET).sign(hashlib.sha256(challenge["message"].encode()).digest())
    for feed in feeds:
        say(
            session,
            event="subscribe",
            feed=feed,
            api_key=API_KEY,
            original_challenge=challenge["message"],
            signed_challenge=signed,
        )
    return face, session


def news(face: Face, session: Session) -> list[Any]:
    return list(session.notified(face.exchange.take_notices(), NOW))


def test_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="kraken, krakenfutures"):
        face_of("mtgox")


def test_kraken_ids_are_the_venues_shape_and_all_different() -> None:
    ids = [venue_id("O", number) for number in range(1, 3000)]
    assert len(set(ids)) == len(ids)
    assert all(len(one) == 19 and one[6] == one[12] == "-" for one in ids)


def test_kraken_greets_pings_and_beats_once_subscribed() -> None:
    session = face_of("kraken").session("ws.kraken.com")
    assert session.opened(NOW)[0]["channel"] == "status"
    assert session.idle(NOW) == []
    (pong,) = say(session, method="ping", req_id=7)
    assert (pong["method"], pong["req_id"]) == ("pong", 7)
    ack, snapshot = say(session, method="subscribe", params={"channel": "ticker", "symbol": ["BTC/USD"]})
    assert (ack["success"], snapshot["type"], snapshot["data"][0]["last"]) == (True, "snapshot", 60000.0)
    assert session.idle(NOW) == [{"channel": "heartbeat"}]
    say(session, method="unsubscribe", params={"channel": "ticker", "symbol": ["BTC/USD"]})
    assert session.idle(NOW) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense"])
@pytest.mark.parametrize("kind", ["kraken", "krakenfutures"])
def test_odd_frames_of_a_client_are_answered_with_an_error(kind: str, text: str) -> None:
    (answer,) = face_of(kind).session("any").received(text, NOW)
    assert "error" in json.dumps(answer)


def test_kraken_refuses_old_tokens_wrong_channels_and_unknown_pairs() -> None:
    face, session = kraken_private()
    face.tokens["old"] = NOW - 1  # type: ignore[attr-defined]
    for params in ({"channel": "balances", "token": "old"}, {"channel": "ticker", "symbol": ["BTC/USD"]}):
        (answer,) = say(session, method="subscribe", params=params)
        assert answer["success"] is False
    (answer,) = say(face.session("ws.kraken.com"), method="subscribe", params={"channel": "ticker", "symbol": ["A/B"]})
    assert "not supported" in answer["error"]


def test_kraken_counts_the_frames_of_a_private_channel() -> None:
    face, session = kraken_private()
    _, snapshot = say(session, method="subscribe", params={"channel": "balances", "token": "t"})
    assert (snapshot["sequence"], snapshot["data"][0]["balance"]) == (1, 6000.0)
    face.exchange.flow("USDT", Decimal(-10), NOW)
    (update,) = news(face, session)
    row = update["data"][0]
    assert (update["sequence"], row["type"], row["amount"], row["balance"]) == (2, "withdrawal", -10.0, 5990.0)


def test_kraken_tells_an_order_twice_and_its_end_without_a_symbol() -> None:
    face, session = kraken_private()
    say(session, method="subscribe", params={"channel": "executions", "token": "t"})
    order, _ = face.exchange.place(
        OrderDraft("BTC/USDT", "buy", "limit", Decimal("0.01"), Decimal(50000), client_order_id="c"), NOW
    )
    pending, new = (frame["data"][0] for frame in news(face, session))
    assert (pending["exec_type"], pending["symbol"], new["exec_type"], "symbol" in new) == (
        "pending_new",
        "BTC/USDT",
        "new",
        False,
    )
    face.exchange.cancel(order.order_id, NOW)
    (gone,) = (frame["data"][0] for frame in news(face, session))
    assert (gone["exec_type"], gone["cl_ord_id"], gone["order_id"]) == ("canceled", "c", order.order_id)
    face.exchange.place(OrderDraft("BTC/USDT", "buy", "market", Decimal("0.01")), NOW)
    (trade,) = (frame["data"][0] for frame in news(face, session))
    assert (trade["exec_type"], trade["order_status"], trade["last_qty"]) == ("trade", "filled", 0.01)


def test_futures_feeds_tell_orders_positions_and_wallets() -> None:
    face, session = futures_private("balances", "open_orders", "open_positions")
    order, _ = face.exchange.place(
        OrderDraft("PF_XBTUSD", "buy", "limit", Decimal(1), Decimal(50000), client_order_id="c"), NOW
    )
    (opened,) = news(face, session)
    assert (opened["order"]["cli_ord_id"], opened["is_cancel"]) == ("c", False)
    face.exchange.fill(order.order_id, NOW, quantity=Decimal("0.25"))
    partial, positions = [f for f in news(face, session) if f["feed"] != "balances"]
    assert (partial["reason"], partial["order"]["qty"]) == ("partial_fill", 0.75)
    assert positions["positions"][0]["balance"] == 0.25
    face.exchange.cancel_all(NOW)
    (gone,) = news(face, session)
    assert gone == {
        "feed": "open_orders",
        "order_id": order.order_id,
        "is_cancel": True,
        "reason": "cancelled_by_user",
        "cli_ord_id": "c",
    }
    face.exchange.set_balance("BTC", Decimal(1), NOW, wallet="cash")
    face.exchange.set_balance("BTC", Decimal(2), NOW, wallet="fi_xbtusd")
    cash, margin = news(face, session)
    assert (cash["holding"], margin["futures"]["F-XBT:USD"]["balance"]) == ({"XBT": 1.0}, 2.0)


def test_futures_beat_only_where_asked_for() -> None:
    session = face_of("krakenfutures").session("futures.kraken.com")
    assert session.idle(NOW) == []
    say(session, event="subscribe", feed="heartbeat")
    assert session.idle(NOW) == [{"feed": "heartbeat", "time": 1_700_000_000_000}]


def test_futures_need_a_signed_challenge() -> None:
    face = face_of("krakenfutures")
    session = face.session("futures.kraken.com")
    (refused,) = say(session, event="challenge", api_key="stranger")
    assert refused["event"] == "error"
    (alert,) = say(session, event="subscribe", feed="balances", api_key=API_KEY, original_challenge=None)
    assert alert == {"event": "alert", "message": "Failed to subscribe to authenticated feed"}


def test_unknown_endpoints_are_not_found() -> None:
    for kind in ("kraken", "krakenfutures"):
        face = face_of(kind)
        reply = face.answer(face.route("GET", "/nowhere"), Request("GET", "/nowhere", "", "", {}, NOW))
        assert (reply.status, "error" in reply.body) == (404, True)
