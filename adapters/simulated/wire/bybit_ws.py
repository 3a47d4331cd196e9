"""bybit's websocket faces, version 5: public tickers and books, the private streams, the trade socket.

No private topic begins with a snapshot: what changes is told, and nothing else; unrealised profit never is.
"""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import (
    BalanceChanged,
    Cancelled,
    Fill,
    Notice,
    OpenOrder,
    OrderCancelled,
    OrderFilled,
    OrderOpened,
    PositionChanged,
    PriceChanged,
    Refused,
)
from adapters.simulated.wire import bybit_markets as markets
from adapters.simulated.wire.base import Key, hmac_sha256, milliseconds
from adapters.simulated.wire.bybit_account import MEMBER, Account
from adapters.simulated.wire.bybit_dcp import TOPICS, Dcp
from adapters.simulated.wire.bybit_orders import Orders, filter_of, is_trigger
from adapters.simulated.wire.bybit_prices import Prices
from adapters.simulated.wire.bybit_words import MESSAGES, code_of

_PRIVATE = ("order", "wallet", "position", "execution")
_CANCEL_TYPES = {"dead_man": "CancelByDCP"}
_SPOT_TOPICS = 10


class _Session:
    """What all sockets have: pings, and topics."""

    def __init__(self, number: int) -> None:
        self.topics: dict[str, None] = {}
        self.conn_id = f"{uuid.UUID(int=number).hex[12:]}-sim"
        self._frames = itertools.count(1)

    def opened(self, _: float) -> Sequence[Any]:
        return []

    def idle(self, _: float) -> Sequence[Any]:
        """The venue sends no heartbeat: clients ping."""
        return []

    def received(self, text: str, now: float) -> Sequence[Any]:
        try:
            message = json.loads(text)
            op, names = str(message["op"]), [str(name) for name in message.get("args") or []]
        except (ValueError, KeyError, TypeError, AttributeError):
            return [self._reply({}, "", success=False, said="error:invalid json")]
        if op == "ping":
            return [self.pong(message, now)]
        if op == "unsubscribe":
            for name in names:
                self.topics.pop(name, None)
            return [self._reply(message, op)]
        return self.asked(op, names, message, now)

    def asked(self, op: str, names: list[str], message: Mapping[str, Any], now: float) -> Sequence[Any]:
        raise NotImplementedError

    def pong(self, message: Mapping[str, Any], now: float) -> dict[str, Any]:
        raise NotImplementedError

    def _reply(self, message: Mapping[str, Any], op: str, *, success: bool = True, said: str = "") -> dict[str, Any]:
        reply = {"success": success, "ret_msg": said, "conn_id": self.conn_id, "op": op}
        return reply | ({"req_id": str(message["req_id"])} if "req_id" in message else {})


class PublicSession(_Session):
    """Prices of one category."""

    def __init__(self, exchange: Exchange, category: str, number: int) -> None:
        super().__init__(number)
        self.exchange = exchange
        self._category = category
        self._prices = Prices(exchange)

    def pong(self, message: Mapping[str, Any], _: float) -> dict[str, Any]:
        return self._reply(message, "ping", said="pong")

    def asked(self, op: str, names: list[str], message: Mapping[str, Any], now: float) -> Sequence[Any]:
        if op != "subscribe":
            return [self._reply(message, op, success=False, said="error:request is invalid")]
        if self._category == "spot" and len(names) > _SPOT_TOPICS:
            return [self._reply(message, op, success=False, said="args size >10")]
        for name in names:
            if self._symbol(name) is None:
                said = "Invalid symbol :[{}]" if self._category == "spot" else "error:handler not found,topic:{}"
                return [self._reply(message, op, success=False, said=said.format(name))]
        self.topics.update(dict.fromkeys(names))
        said = "subscribe" if self._category == "spot" else ""
        return [self._reply(message, op, said=said), *(self._frame(name, "snapshot", now) for name in names)]

    def notified(self, notices: Sequence[Notice], now: float) -> Sequence[Any]:
        changed = {notice.symbol for notice in notices if isinstance(notice, PriceChanged)}
        kind = "snapshot" if self._category == "spot" else "delta"
        told = [name for name in self.topics if self._symbol(name) in changed]
        return [self._frame(name, kind if name.startswith("tickers") else "snapshot", now) for name in told]

    def _symbol(self, topic: str) -> str | None:
        head, _, name = topic.rpartition(".")
        try:
            made = markets.named(self.exchange, self._category, name)
        except Refused:
            return None
        is_known = head in ("tickers", "orderbook.1") and made.symbol not in self.exchange.delisted
        return made.symbol if is_known else None

    def _frame(self, topic: str, kind: str, now: float) -> dict[str, Any]:
        made, at, number = self.exchange.instruments[self._symbol(topic) or ""], milliseconds(now), next(self._frames)
        if topic.startswith("tickers"):
            return {"topic": topic, "type": kind, "data": self._prices.pushed(made), "cs": number, "ts": at}
        return {"topic": topic, "type": kind, "ts": at, "data": self._prices.book(made, number), "cts": at}


class PrivateSession(_Session):
    """Orders, wallet and positions; and the switch that this socket holds, if it is subscribed to it."""

    def __init__(self, key: Key, orders: Orders, account: Account, dcp: Dcp, number: int) -> None:
        super().__init__(number)
        self.exchange = orders.exchange
        self._key, self._orders, self._account, self._dcp = key, orders, account, dcp
        self._is_signed = False

    def pong(self, message: Mapping[str, Any], now: float) -> dict[str, Any]:
        number = {"req_id": str(message["req_id"])} if "req_id" in message else {}
        return number | {"op": "pong", "args": [str(milliseconds(now))], "conn_id": self.conn_id}

    def idle(self, now: float) -> Sequence[Any]:
        self._hold(now)
        return []

    def received(self, text: str, now: float) -> Sequence[Any]:
        frames = super().received(text, now)
        self._hold(now)
        return frames

    def asked(self, op: str, names: list[str], message: Mapping[str, Any], now: float) -> Sequence[Any]:
        if op == "auth":
            self._is_signed = signs(self._key, names, now)
            said = "" if self._is_signed else MESSAGES[10003]
            return [self._reply(message, op, success=self._is_signed, said=said)]
        if op != "subscribe" or not self._is_signed:
            return [self._reply(message, op, success=False, said="Request not authorized")]
        unknown = next((name for name in names if name not in TOPICS and name.partition(".")[0] not in _PRIVATE), None)
        if unknown is not None:
            return [self._reply(message, op, success=False, said=f"error:handler not found,topic:{unknown}")]
        self.topics.update(dict.fromkeys(names))
        return [self._reply(message, op)]

    def notified(self, notices: Sequence[Notice], now: float) -> Sequence[Any]:
        self._hold(now)
        return [frame for notice in notices for frame in self._frames_of(notice, now)]

    def _hold(self, now: float) -> None:
        for topic in TOPICS:
            if topic in self.topics:
                self._dcp.hold(topic, now)

    def _frames_of(self, notice: Notice, now: float) -> list[Any]:
        if isinstance(notice, BalanceChanged):
            coins = dict.fromkeys(row.asset for row in notice.rows if row.wallet == markets.UNIFIED)
            return self._told("wallet", "", now, lambda: [self._account.wallet(coins)]) if coins else []
        if isinstance(notice, PositionChanged):
            return self._position(notice.symbol, now)
        if isinstance(notice, OrderOpened):
            return self._order(notice.order, {}, now)
        if isinstance(notice, OrderFilled):
            is_done = notice.fill.order.remaining == 0
            told = self._order(notice.fill.order, {"orderStatus": "Filled" if is_done else "PartiallyFilled"}, now)
            return self._executed(notice.fill, now) + told
        if isinstance(notice, OrderCancelled):
            return self._order(notice.cancelled.order, _ended(notice.cancelled), now)
        return []

    def _executed(self, fill: Fill, now: float) -> list[Any]:
        if fill.order.draft.book == "spread":
            return []
        of = markets.category(self.exchange.instruments[fill.order.draft.symbol])
        return self._told("execution", of, now, lambda: [self._orders.execution(fill) | {"category": of}])

    def _order(self, order: OpenOrder, change: dict[str, Any], now: float) -> list[Any]:
        """The order, and beside it the position of its contract. Combinations are told on a topic of their own."""
        if order.draft.book == "spread":
            return []
        of = markets.category(self.exchange.instruments[order.draft.symbol])
        updated = {"category": of, "updatedTime": str(milliseconds(now))}
        frames = self._told("order", of, now, lambda: [self._orders.row(order) | updated | change])
        return frames + ([] if of == "spot" else self._position(order.draft.symbol, now))

    def _position(self, symbol: str, now: float) -> list[Any]:
        made = self.exchange.instruments[symbol]
        of = markets.category(made)
        return self._told("position", of, now, lambda: [_pushed(row, of) for row in self._account.rows(made)])

    def _told(self, topic: str, category: str, now: float, data: Callable[[], list[Any]]) -> list[Any]:
        """On the topic of everything, or of the category, as is subscribed."""
        named = [name for name in (topic, f"{topic}.{category}") if name in self.topics]
        return [
            {
                "id": f"{MEMBER}-{next(self._frames)}",
                "topic": name,
                "creationTime": milliseconds(now),
                "data": data(),
            }
            for name in named
        ]


class TradeSession(_Session):
    """The socket that takes orders and cancels. It knows no order filter: on spot it reaches plain orders only."""

    def __init__(self, key: Key, orders: Orders, number: int) -> None:
        super().__init__(number)
        self._key, self._orders = key, orders
        self._is_signed = False

    def notified(self, _: Sequence[Notice], __: float) -> Sequence[Any]:
        return []

    def pong(self, _: Mapping[str, Any], now: float) -> dict[str, Any]:
        return {"retCode": 0, "op": "pong", "data": [str(milliseconds(now))], "connId": self.conn_id}

    def received(self, text: str, now: float) -> Sequence[Any]:
        try:
            message = json.loads(text)
            op, args = message["op"], message.get("args") or []
        except (ValueError, KeyError, TypeError, AttributeError):
            return [self._told({}, "", 10001)]
        if op == "ping":
            return [self.pong(message, now)]
        if op == "auth":
            self._is_signed = signs(self._key, [str(arg) for arg in args], now)
            return [self._told(message, op, 0 if self._is_signed else 10004)]
        doing = {"order.create": self._orders.create, "order.cancel": self._orders.cancel}.get(op)
        if doing is None or not args or not isinstance(args[0], dict):
            return [self._told(message, op, 10001)]
        return [self._done(message, op, doing, now) if self._is_signed else self._told(message, op, 20001)]

    def _done(
        self, message: Mapping[str, Any], op: str, doing: Callable[[Mapping[str, Any], float], Any], now: float
    ) -> dict[str, Any]:
        form = {name: value for name, value in message["args"][0].items() if name != "orderFilter"}
        try:
            return self._told(message, op, 0, doing(form, now))
        except Refused as error:
            return self._told(message, op, code_of(error, is_spot=form.get("category") == "spot"))

    def _told(self, message: Mapping[str, Any], op: str, code: int, data: Any = None) -> dict[str, Any]:
        said = "OK" if code == 0 else MESSAGES.get(code, "")
        reply = {"retCode": code, "retMsg": said, "op": op, "connId": self.conn_id}
        if op == "auth":
            return reply
        return reply | {"reqId": str(message.get("reqId", "")), "data": data or {}, "header": {}}


def signs(key: Key, args: Sequence[str], now: float) -> bool:
    """Is this a valid sign-in: the key, a time that lies ahead in milliseconds, and that time signed?"""
    if len(args) != 3 or args[0] != key.api_key or not args[1].isdigit() or int(args[1]) <= milliseconds(now):
        return False
    return hmac_sha256(key.api_secret, f"GET/realtime{args[1]}").hex() == args[2]


def _ended(gone: Cancelled) -> dict[str, Any]:
    """What still waited for its price is deactivated, not cancelled."""
    waited = is_trigger(gone.order.draft) or filter_of(gone.order) not in ("Order", "StopOrder")
    status = "Deactivated" if waited else "Cancelled"
    return {"orderStatus": status, "cancelType": _CANCEL_TYPES.get(gone.how, "CancelByUser"), "leavesQty": "0"}


def _pushed(row: Mapping[str, Any], category: str) -> dict[str, Any]:
    """A row of the listing as its topic has it: other words for the entry price."""
    rest = {name: value for name, value in row.items() if name not in ("avgPrice", "riskLimitValue")}
    return rest | {"category": category, "entryPrice": row["avgPrice"]}
