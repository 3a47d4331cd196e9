"""The sockets of Binance's futures: one of the account, by a listen key, and one of marks.

The account's needs no word from us: who has the key hears everything. Each of its frames is a sign for whatever it may
concern; one that is new here for balances and positions both.
https://developers.binance.com/docs/derivatives/usds-margined-futures/user-data-streams
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from adapters.wire import Ask, Refused, Said, Taken
from risk_daemon.errors import VenueUnavailable
from risk_daemon.model.account import Kind

EXPIRED = "listenKeyExpired"
_ORDERS = frozenset({"ORDER_TRADE_UPDATE", "ALGO_UPDATE"})
# A fill in short; the same event comes whole as well.
_SAID_TWICE = frozenset({"TRADE_LITE"})
_MONEY = (Kind.BALANCES, Kind.POSITIONS)


class UserWire:
    """The account's connection. url: with the listen key in it."""

    silent_after_s = 86_400.0
    """An account where nothing happens is silent; that the connection stands is proven by pings. It lives for a day."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key

    def ask(self, kind: Kind, names: frozenset[str]) -> Ask | None:
        return None

    def hear(self, message: Mapping[str, Any]) -> Said:
        event = message.get("e")
        if event == EXPIRED:
            raise VenueUnavailable("the listen key has expired: a new one is needed")
        if event in _ORDERS:
            return Kind.ORDERS
        return None if event in _SAID_TWICE else _MONEY


class MarkWire:
    """The market's connection. id_of: the venue's name of a symbol."""

    silent_after_s = 20.0
    """A mark comes every second."""

    def __init__(self, url: str, id_of: Callable[[str], str]) -> None:
        self.url = url
        self._id_of = id_of
        self._numbers = itertools.count(1)
        self._asked: dict[str, frozenset[str]] = {}

    def ask(self, kind: Kind, names: frozenset[str]) -> Ask | None:
        number = next(self._numbers)
        streams = [f"{self._id_of(name).lower()}@markPrice@1s" for name in sorted(names)]
        self._asked[str(number)] = names
        message = {"method": "SUBSCRIBE", "params": streams, "id": number}
        return Ask(key=str(number), kind=kind, names=names, message=message)

    def hear(self, message: Mapping[str, Any]) -> Said:
        if message.get("e") == "markPriceUpdate":
            return Kind.PRICES
        if "error" in message or message.get("code") is not None:
            return Refused(str(message.get("error") or message.get("msg")), str(message.get("id")))
        if "id" in message:
            return Taken(str(message["id"]), self._asked.get(str(message["id"])))
        return None
