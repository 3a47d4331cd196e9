"""Deribit's websocket: JSON-RPC, one connection for all, signed in once.

https://docs.deribit.com/articles/json-rpc-overview, .../articles/notifications
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapters.wire import Ask, Refused, Said, Taken
from risk_daemon.errors import MalformedReply
from risk_daemon.model.account import Kind

PORTFOLIO, CHANGES = "user.portfolio.any", "user.changes.any.any.raw"
_CHANNELS = {Kind.BALANCES: PORTFOLIO, Kind.ORDERS: CHANGES, Kind.POSITIONS: CHANGES}
_SIGN_IN, _PING = 1, 2
_IDS = {Kind.BALANCES: 3, Kind.ORDERS: 4, Kind.POSITIONS: 5, Kind.PRICES: 6}
_NOTHING: frozenset[str] = frozenset()


class DeribitWire:
    """One connection. now_ms: the venue's time. id_of: the venue's name of a symbol."""

    silent_after_s = 45.0
    """It is pinged every 15 s, and answers."""

    ping_every_s = 15.0
    ping = json.dumps({"jsonrpc": "2.0", "id": _PING, "method": "public/test", "params": {}})
    pong = ""

    def __init__(
        self, url: str, api_key: str, secret: str, now_ms: Callable[[], int], id_of: Callable[[str], str]
    ) -> None:
        self.url = url
        self._api_key = api_key
        self._secret = secret
        self._now_ms = now_ms
        self._id_of = id_of
        self._is_signed_in = False
        self._symbols: dict[str, str] = {}

    def ask(self, kind: Kind, names: frozenset[str]) -> Ask:
        if kind is Kind.PRICES:
            channels = {f"ticker.{self._id_of(name)}.100ms": name for name in sorted(names)}
            self._symbols.update(channels)
            return _asks(kind, names, _IDS[kind], "public/subscribe", {"channels": list(channels)})
        if not self._is_signed_in:
            return _asks(kind, _NOTHING, _SIGN_IN, "public/auth", self._sign_in())
        return _asks(kind, names, _IDS[kind], "private/subscribe", {"channels": [_CHANNELS[kind]]})

    def hear(self, message: Mapping[str, Any]) -> Said:
        if message.get("method") == "subscription":
            return _kinds_of(str(message["params"]["channel"]))
        if "method" in message or message.get("id") == _PING:
            return None
        if "error" in message:
            return Refused(_reason(message["error"]), str(message.get("id")))
        return self._taken(message.get("id"), message.get("result"))

    def _taken(self, number: Any, result: Any) -> Said:
        if number == _SIGN_IN:
            self._is_signed_in = True
            return Taken(str(number))
        kind = next((kind for kind, known in _IDS.items() if known == number), None)
        if kind is None or not isinstance(result, list):
            raise MalformedReply(f"an answer to nothing that was asked: {number!r}")
        if kind is Kind.PRICES:
            return Taken(str(number), frozenset(self._symbols[each] for each in result if each in self._symbols))
        return _told(kind, result)

    def _sign_in(self) -> Mapping[str, Any]:
        stamp = self._now_ms()
        signature = hmac.new(self._secret.encode(), f"{stamp}\n{stamp}\n".encode(), hashlib.sha256).hexdigest()
        return {
            "grant_type": "client_signature",
            "client_id": self._api_key,
            "timestamp": stamp,
            "signature": signature,
            "nonce": str(stamp),
            "data": "",
        }


def _told(kind: Kind, channels: Sequence[Any]) -> Taken | Refused:
    """It says which of the channels it took, and leaves out one that it did not."""
    key = str(_IDS[kind])
    return Taken(key) if _CHANNELS[kind] in channels else Refused("the channel was not taken", key)


def _kinds_of(channel: str) -> Said:
    if channel.startswith("ticker."):
        return Kind.PRICES
    return Kind.BALANCES if channel.startswith("user.portfolio.") else (Kind.ORDERS, Kind.POSITIONS, Kind.BALANCES)


def _reason(error: Any) -> str:
    return str(error.get("message") if isinstance(error, dict) else error) or "no reason given"


def _asks(kind: Kind, names: frozenset[str], number: int, method: str, params: Mapping[str, Any]) -> Ask:
    message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return Ask(key=str(number), kind=kind, names=names, message=message)
