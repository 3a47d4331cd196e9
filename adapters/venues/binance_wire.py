"""Binance's websockets: market streams in public, and the WebSocket API with the events of spot and margin accounts.

https://developers.binance.com/docs/binance-spot-api-docs/websocket-api, .../web-socket-streams
https://developers.binance.com/docs/margin_trading/trade-data-stream/Listen-Token-Websocket-API
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from adapters.wire import Ask, Refused, Said, Taken
from risk_daemon.errors import VenueUnavailable
from risk_daemon.model.account import Kind

_NOTHING: frozenset[str] = frozenset()
ORDER_EVENTS = frozenset({"executionReport", "listStatus"})
_ENDS = frozenset({"eventStreamTerminated", "serverShutdown"})


class MarketWire:
    """Best bids and asks. id_of: the venue's name of a symbol."""

    silent_after_s = 120.0
    """A pair that nobody quotes for so long is worth another connection; that this one lives, pings tell."""

    def __init__(self, url: str, id_of: Callable[[str], str]) -> None:
        self.url = url
        self._id_of = id_of
        self._number = 0

    def ask(self, kind: Kind, names: frozenset[str]) -> Ask:
        self._number += 1
        streams = [f"{self._id_of(symbol).lower()}@bookTicker" for symbol in sorted(names)]
        message = {"method": "SUBSCRIBE", "params": streams, "id": self._number}
        return Ask(key=str(self._number), kind=kind, names=names, message=message)

    def hear(self, message: Mapping[str, Any]) -> Said:
        if message.get("e") in _ENDS:
            raise VenueUnavailable("the venue says that this socket ends")
        if "s" in message and "b" in message and "a" in message:
            return Kind.PRICES
        key = str(message["id"]) if message.get("id") is not None else None
        problem = message.get("error", message if "code" in message else None)
        if problem is not None:
            return Refused(str(problem)[:200], key)
        return Taken(key) if "result" in message else None


@dataclass(frozen=True, slots=True)
class Account:
    """An account whose events are subscribed to. token: of margin; None: spot, by a signature. scope: of its orders."""

    scope: str
    token: str | None = None


class AccountWire:
    """One connection for all accounts of a key, subscribed to one after another.

    sign: the parameters of a signed request. scopes: {subscription id: scope}, filled in as they are taken; what an
    account's events say of its orders belongs to its scope.
    """

    silent_after_s = 86_400.0
    """An account may be silent for a day; that the socket lives, pings tell."""

    def __init__(
        self, url: str, accounts: tuple[Account, ...], sign: Callable[[], Mapping[str, Any]], scopes: dict[int, str]
    ) -> None:
        self.url = url
        self._left = list(accounts)
        self._sign = sign
        self._scopes = scopes
        self._asked: Account | None = None
        self._number = 0

    def ask(self, kind: Kind, names: frozenset[str]) -> Ask:
        """The next account that is not subscribed to; once all are, whether they (still) are."""
        self._number += 1
        key = str(self._number)
        self._asked = self._left[0] if self._left else None
        if self._asked is None:
            message: dict[str, Any] = {"id": key, "method": "session.subscriptions", "params": {}}
            return Ask(key=key, kind=kind, names=names, message=message)
        if self._asked.token is None:
            message = {"method": "userDataStream.subscribe.signature", "params": dict(self._sign())}
        else:
            message = {"method": "userDataStream.subscribe.listenToken", "params": {"listenToken": self._asked.token}}
        return Ask(key=key, kind=kind, names=_NOTHING, message={"id": key, **message})

    def hear(self, message: Mapping[str, Any]) -> Said:
        event = message.get("event", message if "e" in message else None)
        if isinstance(event, dict):
            return self._event(str(event.get("e")))
        if "id" not in message:
            return None
        key = str(message["id"]) if message["id"] is not None else None
        result = message.get("result")
        if message.get("status") != 200 or result is None:
            return Refused(str(message.get("error", "no reason given"))[:200], key)
        return self._taken(key, result)

    @staticmethod
    def _event(name: str) -> Kind:
        """What is new to us may have moved a balance."""
        if name in _ENDS:
            raise VenueUnavailable(f"the venue ends the stream of an account: {name}")
        return Kind.ORDERS if name in ORDER_EVENTS else Kind.BALANCES

    def _taken(self, key: str | None, result: Any) -> Said:
        if self._asked is not None and isinstance(result, dict) and isinstance(result.get("subscriptionId"), int):
            self._scopes[result["subscriptionId"]] = self._asked.scope
            self._left.remove(self._asked)
            self._asked = None
            return Taken(key)
        if self._asked is None and isinstance(result, list):
            live = {row.get("subscriptionId") for row in result if isinstance(row, dict)}
            return Taken(key) if self._scopes.keys() <= live else Refused("a subscription is gone", key)
        return Refused("an answer that is none", key)
