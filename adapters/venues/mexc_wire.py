"""MEXC's two sockets: spot, whose pushes are protobuf, and contracts, where everything of the account comes unasked.

www.mexc.com/api-docs/spot-v3/websocket-market-streams, www.mexc.com/api-docs/futures/websocket-api
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any

from adapters.wire import Ask, Refused, Said, Taken
from risk_daemon.errors import MalformedReply, VenueUnavailable
from risk_daemon.model.account import Kind

ACCOUNT = "spot@private.account.v3.api.pb"
ORDERS = "spot@private.orders.v3.api.pb"
DEALS = "spot@private.deals.v3.api.pb"
_TICKER = "spot@public.aggre.bookTicker.v3.api.pb@100ms@"
_BODIES = {
    "privateAccount": Kind.BALANCES,
    "privateOrders": Kind.ORDERS,
    "privateDeals": Kind.ORDERS,
    "publicAggreBookTicker": Kind.PRICES,
}
_ACCOUNT = (Kind.BALANCES, Kind.POSITIONS)
CONTRACT_DEALS = "push.personal.order.deal"
_CONTRACT_KINDS: Mapping[str, Said] = {
    CONTRACT_DEALS: (*_ACCOUNT, Kind.ORDERS),
    "push.personal.asset": Kind.BALANCES,
    "push.personal.order": Kind.ORDERS,
    "push.personal.plan.order": Kind.ORDERS,
    "push.personal.stop.planorder": Kind.ORDERS,
    "push.personal.stop.order": Kind.ORDERS,
    "push.personal.track.order": Kind.ORDERS,
    "push.tickers": Kind.PRICES,
}


class SpotWire:
    """One spot connection. id_of: the venue's name of a symbol. key: the listen key that its account channels need.

    An answer has code 0 whatever it says: only its words tell a yes from a no. has_ended: its listen key is no good any
    more, which the venue does not tell: it is silent of the account from then on. asks_fills: it is asked for what is
    executed, before its orders. They do without: a refusal is taken for a yes, and waits_for_fills tells, when it has
    ended, that there was no answer.
    """

    silent_after_s = 60.0
    ping_every_s = 15.0
    ping = '{"method":"PING"}'
    pong = ""

    def __init__(self, url: str, id_of: Callable[[str], str], key: str = "", *, asks_fills: bool = True) -> None:
        self.url = f"{url}?listenKey={key}" if key else url
        self.key = key
        self._id_of = id_of
        self._names: dict[str, str] = {}
        self.has_ended = False
        self._asks_fills = asks_fills
        self.waits_for_fills = False

    def ask(self, kind: Kind, names: frozenset[str]) -> Ask:
        if kind is Kind.ORDERS and self._asks_fills:
            self.waits_for_fills = True
            message = {"method": "SUBSCRIPTION", "params": [DEALS]}
            return Ask(key=DEALS, kind=kind, names=frozenset(), message=message)
        channels = [self._channel(kind, name) for name in sorted(names)]
        message = {"method": "SUBSCRIPTION", "params": channels}
        return Ask(key=kind, kind=kind, names=names, message=message)

    def _channel(self, kind: Kind, name: str) -> str:
        channel = {Kind.BALANCES: ACCOUNT, Kind.ORDERS: ORDERS}.get(kind) or _TICKER + self._id_of(name)
        self._names[channel] = name
        return channel

    def decode(self, frame: bytes) -> Mapping[str, Any]:
        from ccxt.protobuf.mexc.PushDataV3ApiWrapper_pb2 import PushDataV3ApiWrapper
        from google.protobuf.json_format import MessageToDict
        from google.protobuf.message import DecodeError

        wrapper = PushDataV3ApiWrapper()
        try:
            wrapper.ParseFromString(frame)
        except DecodeError as error:
            raise MalformedReply(f"a frame is no protobuf: {error}") from None
        message: dict[str, Any] = MessageToDict(wrapper)
        return message

    def hear(self, message: Mapping[str, Any]) -> Said:
        if self.has_ended:
            raise VenueUnavailable("the listen key has ended: a new one is needed")
        if "channel" in message:
            return self._pushed(message)
        words = str(message.get("msg", ""))
        if words.upper() == "PONG":
            return None
        if self.waits_for_fills:
            self._asks_fills = self.waits_for_fills = False
            return Taken()
        if message.get("code") == 0 and "ot Subscribed" not in words and "spot@" in words:
            named = (self._names.get(channel.strip()) for channel in words.split(","))
            return Taken(names=frozenset(name for name in named if name is not None))
        return Refused(words or "no reason given")

    def _pushed(self, message: Mapping[str, Any]) -> Said:
        """A push of a body that is not known may say anything, so it is told as a change of the account."""
        return next((kind for body, kind in _BODIES.items() if body in message), Kind.BALANCES)


class ContractWire:
    """One contract connection. stamp: a time of the venue's clock in milliseconds.

    After the login the account's channels come by themselves, and the tickers of all contracts once they are asked for.
    """

    silent_after_s = 60.0
    ping_every_s = 15.0
    ping = '{"method":"ping"}'
    pong = ""

    def __init__(self, url: str, api_key: str, secret: str, stamp: str) -> None:
        self.url = url
        signature = hmac.new(secret.encode(), f"{api_key}{stamp}".encode(), hashlib.sha256).hexdigest()
        self._login = {"apiKey": api_key, "reqTime": stamp, "signature": signature}
        self._done: set[str] = set()

    def ask(self, kind: Kind, names: frozenset[str]) -> Ask | None:
        if "login" not in self._done:
            return _asks("login", kind, self._login)
        return _asks("sub.tickers", kind, {}) if "sub.tickers" not in self._done else None

    def hear(self, message: Mapping[str, Any]) -> Said:
        channel = str(message.get("channel", ""))
        if channel.startswith("push."):
            known = _CONTRACT_KINDS.get(channel)
            # Whatever else it tells of the account has changed the account.
            return _ACCOUNT if known is None and channel.startswith("push.personal.") else known
        if channel == "rs.error":
            return Refused(str(message.get("data", "no reason given")))
        if channel.startswith("rs."):
            method = channel.removeprefix("rs.")
            if message.get("data") != "success":
                return Refused(str(message.get("data")), method)
            self._done.add(method)
            return Taken(method)
        return None


def _asks(method: str, kind: Kind, param: Mapping[str, Any]) -> Ask:
    """Only comes before a subscription: it is of no names."""
    return Ask(key=method, kind=kind, names=frozenset(), message={"method": method, "param": param})
