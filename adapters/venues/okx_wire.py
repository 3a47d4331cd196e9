"""OKX's websockets: prices on one, the account on another that is signed in to first.

The venue ends a connection on which nothing is said for 30 s, so it is asked `ping`, which it answers by `pong`.
https://www.okx.com/docs-v5/en/#overview-websocket
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any

from adapters.venue import VenueSettings
from adapters.wire import Ask, Refused, Said, Taken
from risk_daemon.errors import VenueUnavailable
from risk_daemon.model.account import Kind

PUBLIC, PRIVATE = "public", "private"
_CHANNELS = {
    Kind.BALANCES: {"channel": "account"},
    Kind.POSITIONS: {"channel": "positions", "instType": "ANY"},
    Kind.ORDERS: {"channel": "orders", "instType": "ANY"},
}
_KINDS = {fields["channel"]: kind for kind, fields in _CHANNELS.items()}
_KINDS |= {"tickers": Kind.PRICES, "mark-price": Kind.PRICES}
_NOTHING: frozenset[str] = frozenset()
_PRICES = "prices"


class OkxWire:
    """One connection. now_s: the time in seconds. channel_of: the channel and instrument that show a symbol's price."""

    silent_after_s = 45.0
    ping = "ping"
    pong = "pong"
    ping_every_s = 15.0

    def __init__(
        self,
        url: str,
        settings: VenueSettings,
        now_s: Callable[[], int],
        channel_of: Callable[[str], Mapping[str, str]],
    ) -> None:
        self.url = url
        self._settings = settings
        self._now_s = now_s
        self._channel_of = channel_of
        self._symbols: dict[tuple[str, str], str] = {}
        self._is_in = False

    def ask(self, kind: Kind, names: frozenset[str]) -> Ask:
        if kind is Kind.PRICES:
            channels = {symbol: dict(self._channel_of(symbol)) for symbol in sorted(names)}
            self._symbols |= {(arg["channel"], arg["instId"]): symbol for symbol, arg in channels.items()}
            message: dict[str, Any] = {"op": "subscribe", "args": list(channels.values())}
            return Ask(key=_PRICES, kind=kind, names=names, message=message)
        if not self._is_in:
            return Ask(key="login", kind=kind, names=_NOTHING, message={"op": "login", "args": [self._login()]})
        arg = _CHANNELS[kind]
        return Ask(key=arg["channel"], kind=kind, names=names, message={"op": "subscribe", "args": [arg]})

    def hear(self, message: Mapping[str, Any]) -> Said:
        event, arg = message.get("event"), message.get("arg")
        if event is None:
            return _KINDS.get(str(arg.get("channel"))) if isinstance(arg, dict) else None
        if event == "login":
            self._is_in = True
            return Taken("login")
        if event == "subscribe" and isinstance(arg, dict):
            return self._taken(arg)
        if event == "error":
            return Refused(f"{message.get('code')} {message.get('msg', 'no reason given')}")
        if event == "notice":
            raise VenueUnavailable(f"the venue is about to end the socket: {message.get('msg')}")
        if event == "channel-conn-count-error":
            # It comes after the yes, and nothing comes after it.
            raise VenueUnavailable(f"too many connections listen to {message.get('channel')}: this one is told nothing")
        return None

    def _taken(self, arg: Mapping[str, Any]) -> Taken:
        channel = str(arg.get("channel"))
        if _KINDS.get(channel) is not Kind.PRICES:
            return Taken(channel)
        symbol = self._symbols.get((channel, str(arg.get("instId"))))
        return Taken(_PRICES, _NOTHING if symbol is None else frozenset({symbol}))

    def _login(self) -> dict[str, str]:
        stamp = str(self._now_s())
        digest = hmac.new(self._settings.secret.encode(), f"{stamp}GET/users/self/verify".encode(), hashlib.sha256)
        return {
            "apiKey": self._settings.api_key,
            "passphrase": self._settings.password,
            "timestamp": stamp,
            "sign": base64.b64encode(digest.digest()).decode(),
        }
