"""binance's websockets: market streams in public, and the WebSocket API with an account's events.

After web-socket-streams.md, web-socket-api.md and user-data-stream.md of binance-spot-api-docs; listen tokens after
the margin reference. There is no snapshot: whoever subscribes hears what changes from then on. An account hears of a
flow twice, as the new balance and as the difference. Guessed: the order of these two. A market that nobody moves
repeats its quotes once a second, as one that is traded would. Left out: `listStatus`, `externalLockUpdate`,
`serverShutdown`, pings of the server, the limit of five messages a second, `session.logon`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.simulated.model import (
    ZERO,
    BalanceChanged,
    Cancelled,
    Fill,
    Notice,
    OpenOrder,
    OrderCancelled,
    OrderFilled,
    OrderOpened,
    PriceChanged,
    Refused,
)
from adapters.simulated.wire.base import Key, Reply, Request, milliseconds, text
from adapters.simulated.wire.binance_common import check_socket_signature, refusal
from adapters.simulated.wire.binance_orders import client_id, status, wire_type
from adapters.simulated.wire.binance_wallets import SPOT, SpotAndMargin, free_and_locked, list_id

_FLOWS = frozenset({"deposit", "withdrawal", "transfer", "sub_transfer", "airdrop", "rebate", "interest"})
# Methods of the WebSocket API that are calls of the REST API.
_CALLS = {
    "ping": ("GET", "/api/v3/ping"),
    "time": ("GET", "/api/v3/time"),
    "account.status": ("GET", "/api/v3/account"),
    "openOrders.status": ("GET", "/api/v3/openOrders"),
    "openOrders.cancelAll": ("DELETE", "/api/v3/openOrders"),
    "openOrderLists.status": ("GET", "/api/v3/openOrderList"),
    "orderList.cancel": ("DELETE", "/api/v3/orderList"),
    "order.status": ("GET", "/api/v3/order"),
    "order.cancel": ("DELETE", "/api/v3/order"),
    "order.place": ("POST", "/api/v3/order"),
}


class MarketSession:
    """One connection to the streams. path: `/ws/a@ticker/b@ticker`, `/stream?streams=a@ticker` or `/ws/3`."""

    def __init__(self, exchange: SpotAndMargin, path: str) -> None:
        self._exchange = exchange
        self._is_combined = path.startswith("/stream")
        named = path.partition("streams=")[2] if self._is_combined else path.removeprefix("/ws/")
        self._streams = dict.fromkeys(name for name in named.split("/") if "@" in name)
        self._updates = 0

    def opened(self, now: float) -> Sequence[Any]:
        return []

    def idle(self, now: float) -> Sequence[Any]:
        return [self._framed(name, body) for name in self._streams for body in self._bodies(name, now)]

    def notified(self, notices: Sequence[Notice], now: float) -> Sequence[Any]:
        moved = dict.fromkeys(notice.symbol for notice in notices if isinstance(notice, PriceChanged))
        frames = []
        for symbol in moved if self._streams else ():
            wire = self._exchange.instruments[symbol].wire_id.lower()
            names = [name for name in self._streams if name.startswith(("!", f"{wire}@"))]
            frames += [self._framed(name, body) for name in names for body in self._bodies(name, now, symbol)]
        return frames

    def received(self, text: str, now: float) -> Sequence[Any]:
        try:
            message = json.loads(text)
            method, number = message["method"], message.get("id")
        except (ValueError, KeyError, TypeError, AttributeError):
            return [{"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1", "id": None}]
        names = [str(name) for name in message.get("params", [])]
        if method == "LIST_SUBSCRIPTIONS":
            return [{"result": list(self._streams), "id": number}]
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE") or not all("@" in name for name in names):
            return [{"code": 2, "msg": "Invalid request: unknown variant or stream", "id": number}]
        if method == "SUBSCRIBE":
            self._streams |= dict.fromkeys(names)
        else:
            self._streams = {name: None for name in self._streams if name not in names}
        return [{"result": None, "id": number}]

    def _framed(self, name: str, body: Any) -> Any:
        return {"stream": name, "data": body} if self._is_combined else body

    def _bodies(self, name: str, now: float, symbol: str | None = None) -> list[Any]:
        """What a stream says; symbol: of one that has just moved. An unknown pair is silence, as it is there."""
        head, _, kind = name.partition("@")
        makers = {"bookTicker": self._book, "ticker": self._day, "miniTicker": self._mini}
        if head.startswith("!"):
            listed = [symbol] if symbol else [pair.symbol for pair in self._exchange.listed()]
            maker = makers.get(head[1:])
            return [[maker(pair, now) for pair in listed]] if maker is not None and kind == "arr" else []
        try:
            pair = self._exchange.instrument(head).symbol
        except Refused:
            return []
        return [makers[kind](pair, now)] if kind in makers and pair not in self._exchange.delisted else []

    def _book(self, symbol: str, _: float) -> dict[str, Any]:
        quote, self._updates = self._exchange.quotes[symbol], self._updates + 1
        name = self._exchange.instruments[symbol].wire_id
        return {"u": self._updates, "s": name, "b": text(quote.bid), "B": "10.0", "a": text(quote.ask), "A": "10.0"}

    def _mini(self, symbol: str, now: float) -> dict[str, Any]:
        last = text(self._exchange.quotes[symbol].mark)
        prices = dict.fromkeys(("c", "o", "h", "l"), last)
        name = self._exchange.instruments[symbol].wire_id
        return {"e": "24hrMiniTicker", "E": milliseconds(now), "s": name, **prices, "v": "100.0", "q": "100.0"}

    def _day(self, symbol: str, now: float) -> dict[str, Any]:
        quote, at = self._exchange.quotes[symbol], milliseconds(now)
        touch = {"b": text(quote.bid), "B": "10.0", "a": text(quote.ask), "A": "10.0"}
        day = {"p": "0", "P": "0", "w": text(quote.mark), "x": text(quote.mark), "Q": "1.0", "n": 100, "F": 1, "L": 100}
        return self._mini(symbol, now) | {"e": "24hrTicker", "O": at - 86_400_000, "C": at} | day | touch


@dataclass(frozen=True, slots=True)
class _Feed:
    """A subscription to an account's events. until: when its token ends, Unix seconds."""

    wallet: str
    until: float = float("inf")


class UserSession:
    """One connection to the WebSocket API.

    tokens: listen token -> until when it may be used, and the wallet it is for. call: what REST would answer.
    """

    def __init__(
        self,
        exchange: SpotAndMargin,
        key: Key,
        tokens: Mapping[str, tuple[float, str]],
        call: Callable[[Request, Mapping[str, Any]], Reply],
    ) -> None:
        self._exchange = exchange
        self._key = key
        self._tokens = tokens
        self._call = call
        self._feeds: dict[int, _Feed] = {}
        self._numbers = 0

    def opened(self, now: float) -> Sequence[Any]:
        return []

    def idle(self, now: float) -> Sequence[Any]:
        ended = [number for number, feed in self._feeds.items() if feed.until <= now]
        return [self._end(number, now) for number in ended]

    def received(self, text: str, now: float) -> Sequence[Any]:
        try:
            message = json.loads(text)
            number, method, params = message.get("id"), str(message["method"]), dict(message.get("params") or {})
        except (ValueError, KeyError, TypeError, AttributeError):
            said = {"code": -1000, "msg": "An unknown error occurred while processing the request."}
            return [{"id": None, "status": 400, "error": said}]
        reply, frames = self._answer(method, params, now)
        body = {"result": reply.body} if reply.status == 200 else {"error": reply.body}
        return [{"id": number, "status": reply.status} | body | {"rateLimits": _limits(reply)}, *frames]

    def _answer(self, method: str, params: dict[str, Any], now: float) -> tuple[Reply, list[Any]]:
        if method in _CALLS:
            verb, path = _CALLS[method]
            return self._call(Request(verb, path, "", "", {}, now), params), []
        frames: list[Any] = []
        try:
            if method == "userDataStream.subscribe.signature":
                check_socket_signature(self._key, params, now)
                return Reply(self._subscribe(_Feed(SPOT))), frames
            if method == "userDataStream.subscribe.listenToken":
                return Reply(self._subscribe(self._feed(str(params.get("listenToken")), now))), frames
            if method == "session.subscriptions":
                return Reply([{"subscriptionId": number} for number in self._feeds]), frames
            if method == "userDataStream.unsubscribe":
                chosen = [int(params["subscriptionId"])] if "subscriptionId" in params else list(self._feeds)
                return Reply({}), [self._end(number, now) for number in chosen if number in self._feeds]
            raise refusal(-1000, "An unknown error occurred while processing the request.")
        except Refused as refused:
            code = int(refused.code)
            return Reply({"code": code, "msg": str(refused)}, 401 if code == -2015 else 400), frames

    def _feed(self, token: str, now: float) -> _Feed:
        until, wallet = self._tokens.get(token, (0.0, ""))
        if until <= now:
            raise refusal(-1209, "Invalid listenToken.")
        return _Feed(wallet, until)

    def _subscribe(self, feed: _Feed) -> dict[str, Any]:
        if any(other.wallet == feed.wallet for other in self._feeds.values()):
            raise refusal(-2035, "User Data Stream subscription already active.")
        number, self._numbers = self._numbers, self._numbers + 1
        self._feeds[number] = feed
        until = {"expirationTime": milliseconds(feed.until)} if feed.until != float("inf") else {}
        return {"subscriptionId": number} | until

    def _end(self, number: int, now: float) -> dict[str, Any]:
        del self._feeds[number]
        return {"subscriptionId": number, "event": {"e": "eventStreamTerminated", "E": milliseconds(now)}}

    # --- events ----------------------------------------------------------------------------------------

    def notified(self, notices: Sequence[Notice], now: float) -> Sequence[Any]:
        return [
            {"subscriptionId": number, "event": {"e": event["e"], "E": milliseconds(now)} | event}
            for notice in notices
            for number, feed in self._feeds.items()
            for event in self._events(notice, feed.wallet)
        ]

    def _events(self, notice: Notice, wallet: str) -> list[dict[str, Any]]:
        if isinstance(notice, BalanceChanged):
            rows = [row for row in notice.rows if row.wallet == wallet]
            moves = [
                {"e": "balanceUpdate", "a": row.asset, "d": text(row.amount, 8), "T": milliseconds(row.wall)}
                for row in rows
                if row.kind in _FLOWS
            ]
            return self._position(wallet, [row.asset for row in rows]) + moves
        report = self._report(notice, wallet)
        if report is None:
            return []
        instrument = self._exchange.instrument(report["s"])
        return [report, *self._position(wallet, [instrument.base, instrument.quote])]

    def _position(self, wallet: str, assets: list[str]) -> list[dict[str, Any]]:
        """The new balances of these assets."""
        amounts = {asset: free_and_locked(self._exchange, wallet, asset) for asset in assets}
        rows = [{"a": asset, "f": text(free, 8), "l": text(held, 8)} for asset, (free, held) in amounts.items()]
        return [{"e": "outboundAccountPosition", "B": rows}] if rows else []

    def _report(self, notice: Notice, wallet: str) -> dict[str, Any] | None:
        """The event of an order of this wallet."""
        if isinstance(notice, OrderOpened):
            order, told = notice.order, {"x": "NEW", "X": status(self._exchange, notice.order)}
        elif isinstance(notice, OrderCancelled):
            order, told = notice.cancelled.order, _cancelled(notice.cancelled)
        elif isinstance(notice, OrderFilled):
            order, told = notice.fill.order, _filled(notice.fill, self._exchange)
        else:
            return None
        return self._row(order) | told if self._exchange.wallet_of(order.draft) == wallet else None

    def _row(self, order: OpenOrder) -> dict[str, Any]:
        draft, placed, nothing = order.draft, milliseconds(order.placed_wall), text(ZERO, 8)
        return {
            "e": "executionReport",
            "s": self._exchange.instruments[draft.symbol].wire_id,
            "c": client_id(order),
            "S": draft.side.upper(),
            "o": wire_type(order),
            "f": "GTC",
            "q": text(draft.quantity, 8),
            "p": text(draft.price or ZERO, 8),
            "P": text(draft.trigger_price or ZERO, 8),
            "F": nothing,
            "g": list_id(order),
            "C": "",
            "r": "NONE",
            "i": int(order.order_id),
            "l": nothing,
            "z": text(order.filled, 8),
            "L": nothing,
            "n": "0",
            "N": None,
            "T": placed,
            "t": -1,
            "I": int(order.order_id),
            "w": draft.trigger_price is None,
            "m": False,
            "M": False,
            "O": placed,
            "Z": text(order.filled * (draft.price or ZERO), 8),
            "Y": nothing,
            "Q": nothing,
            "V": "NONE",
        }


def _cancelled(gone: Cancelled) -> dict[str, Any]:
    """The cancel's own client id stands in the place of the order's."""
    if gone.how == "oco":
        return {"x": "EXPIRED", "X": "EXPIRED", "eR": "OCO_TRIGGER", "T": milliseconds(gone.wall)}
    ids = {"C": client_id(gone.order), "c": "simcancel"}
    return {"x": "CANCELED", "X": "CANCELED", "T": milliseconds(gone.wall)} | ids


def _filled(fill: Fill, exchange: SpotAndMargin) -> dict[str, Any]:
    worth = fill.quantity * fill.price
    return {
        "x": "TRADE",
        "X": "PARTIALLY_FILLED" if fill.order.remaining else "FILLED",
        "l": text(fill.quantity, 8),
        "L": text(fill.price, 8),
        "Y": text(worth, 8),
        "Z": text(worth, 8),
        "n": text(worth * exchange.fee_ratio, 8),
        "N": exchange.instruments[fill.order.draft.symbol].quote,
        "t": fill.fill_id,
        "T": milliseconds(fill.wall),
    }


def _limits(reply: Reply) -> list[dict[str, Any]]:
    used = next((int(value) for name, value in reply.headers if name.startswith("X-MBX-USED")), 2)
    return [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000, "count": used}]
