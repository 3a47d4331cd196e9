"""Kraken Futures' websocket, version 1: one connection for all, signed in by a challenge.

https://docs.kraken.com/exchange/api-reference/futures-websocket
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any

from adapters.wire import Ask, Refused, Said, Taken
from risk_daemon.errors import MalformedReply
from risk_daemon.model.account import Kind

SNAPSHOT = "open_orders_snapshot"
FILLS = ("fills", "fills_snapshot")

_FEEDS = {
    Kind.BALANCES: "balances",
    Kind.POSITIONS: "open_positions",
    Kind.ORDERS: "open_orders",
    Kind.PRICES: "ticker",
}
_KINDS = {feed: kind for kind, feed in _FEEDS.items()} | {
    "balances_snapshot": Kind.BALANCES,
    SNAPSHOT: Kind.ORDERS,
    **dict.fromkeys(FILLS, Kind.ORDERS),
}
_NOTHING: frozenset[str] = frozenset()


class KrakenFuturesWire:
    """One connection. id_of: the venue's name of a symbol.

    asks_fills: it is asked for what is executed, before its orders. They do without: a refusal is taken for a yes, and
    waits_for_fills tells, when it has ended, that there was no answer.
    """

    silent_after_s = 90.0
    """It is asked for heartbeats; how often they come is not documented."""

    def __init__(
        self, url: str, api_key: str, secret: str, id_of: Callable[[str], str], *, asks_fills: bool = True
    ) -> None:
        self.url = url
        self._api_key = api_key
        self._secret = secret
        self._id_of = id_of
        self._symbols: dict[str, str] = {}
        self._has_heartbeat = False
        self._signed: dict[str, str] | None = None
        self._asks_fills = asks_fills
        self.waits_for_fills = False

    def ask(self, kind: Kind, names: frozenset[str]) -> Ask:
        if not self._has_heartbeat:
            # An account where nothing happens is silent on this venue, unless it is asked to say that it is there.
            message: dict[str, Any] = {"event": "subscribe", "feed": "heartbeat"}
            return Ask(key="heartbeat", kind=kind, names=_NOTHING, message=message)
        feed = _FEEDS[kind]
        message = {"event": "subscribe", "feed": feed}
        if kind is Kind.PRICES:
            ids = {symbol: self._id_of(symbol) for symbol in sorted(names)}
            self._symbols |= {name.lower(): symbol for symbol, name in ids.items()}
            message["product_ids"] = list(ids.values())
            return Ask(key=feed, kind=kind, names=names, message=message)
        if self._signed is None:
            message = {"event": "challenge", "api_key": self._api_key}
            return Ask(key="challenge", kind=kind, names=_NOTHING, message=message)
        if kind is Kind.ORDERS and self._asks_fills:
            self.waits_for_fills = True
            fills = {"event": "subscribe", "feed": FILLS[0]}
            return Ask(key=FILLS[0], kind=kind, names=_NOTHING, message=fills | self._signed)
        return Ask(key=feed, kind=kind, names=names, message=message | self._signed)

    def hear(self, message: Mapping[str, Any]) -> Said:
        event = message.get("event")
        if event is None:
            return _KINDS.get(str(message.get("feed")))
        if event == "challenge":
            self._sign(message.get("message"))
            return Taken("challenge")
        if event == "subscribed":
            return self._taken(message)
        if event not in ("alert", "error"):
            return None
        if self.waits_for_fills:
            return self._fills_answered()
        reason = str(message.get("message", "no reason given"))
        return Taken() if "lready subscribed" in reason else Refused(reason)

    def _taken(self, message: Mapping[str, Any]) -> Taken:
        feed, ids = str(message.get("feed")), message.get("product_ids")
        if feed == FILLS[0]:
            return self._fills_answered()
        if feed == "heartbeat":
            self._has_heartbeat = True
        if not isinstance(ids, list):
            return Taken(feed)
        known = (self._symbols.get(str(name).lower()) for name in ids)
        return Taken(feed, frozenset(symbol for symbol in known if symbol is not None))

    def _fills_answered(self) -> Taken:
        self._asks_fills = self.waits_for_fills = False
        return Taken(FILLS[0])

    def _sign(self, challenge: object) -> None:
        if not isinstance(challenge, str) or not challenge:
            raise MalformedReply("the challenge is no text")
        digest = hashlib.sha256(challenge.encode()).digest()
        signature = hmac.new(base64.b64decode(self._secret), digest, hashlib.sha512).digest()
        self._signed = {
            "api_key": self._api_key,
            "original_challenge": challenge,
            "signed_challenge": base64.b64encode(signature).decode(),
        }
