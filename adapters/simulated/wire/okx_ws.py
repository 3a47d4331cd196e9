"""okx's websocket face: three addresses, `public`, `private` and `business`, the last two after a login.

Wire formats after www.okx.com/docs-v5/en (WebSocket, and the channels of each section). A channel of orders shows what
happens from now on, one of balances, positions or advanced algos what there is as well. Left out: order books, trades,
candles, `balance_and_position`, bots' channels (what a running algo does shows in its children alone), the end of a
connection that is silent for 30 s, and amending.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.faults import Verbatim
from adapters.simulated.model import (
    BalanceChanged,
    Fill,
    Notice,
    OpenOrder,
    OrderCancelled,
    OrderOpened,
    OrderTriggered,
    PositionChanged,
    PriceChanged,
    Refused,
)
from adapters.simulated.wire import okx_account as account
from adapters.simulated.wire import okx_markets as markets
from adapters.simulated.wire.base import Key, hmac_sha256, milliseconds, text
from adapters.simulated.wire.okx_books import ADVANCED, PLAIN, SPREAD, algo_row, book_of, is_hidden, plain_row
from adapters.simulated.wire.okx_desk import Desk
from adapters.simulated.wire.okx_prices import mark_row, ticker_row
from adapters.simulated.wire.okx_words import Denied, Rows, sentence

_CHANNELS = {
    "public": frozenset({"tickers", "mark-price"}),
    "private": frozenset({"account", "positions", "orders"}),
    "business": frozenset({"orders-algo", "algo-advance"}),
}
# Of these a sub-account may have so many at once, and is told how many it has.
_COUNTED = frozenset({"account", "positions", "orders", "orders-algo", "algo-advance"})
_REGULAR_S = 5.0
_STALE_S = 30.0
_LOGIN = {
    "60005": "Invalid apiKey",
    "60006": "Timestamp request expired",
    "60007": "Invalid sign",
    "60011": "Please log in",
    "60012": "Invalid request: {}",
    "60018": "Wrong URL or {} doesn't exist. Please use the correct URL, channel and parameters.",
    "60024": "Wrong passphrase",
    "60031": "Multiple logins are not allowed",
    "60032": "API key doesn't exist",
    "64008": "The connection will soon be closed for a service upgrade. Please reconnect.",
}
_CANCEL_SOURCES = {"dead_man": "20", "admin": "14", "cancel": "1", "cancel_all": "1"}
_CONNECTION = "a4d3ae55"


class OkxSession:
    """One connection. part: the last word of its address. subscribed: what was asked for, as it was written."""

    def __init__(self, exchange: Exchange, key: Key, desk: Desk, part: str, uid: str) -> None:
        self.exchange = exchange
        self._key = key
        self._desk = desk
        self._part = part
        self._uid = uid
        self._is_in = False
        self.subscribed: list[dict[str, str]] = []
        self._legs: set[tuple[str, str]] = set()
        self._told_wall = 0.0
        self._is_warned = False
        self._operations: dict[str, Callable[[Any, float], Rows]] = {
            "order": desk.place,
            "batch-orders": desk.place,
            "cancel-order": desk.cancel,
            "batch-cancel-orders": desk.cancel,
        }

    def opened(self, _: float) -> Sequence[Any]:
        return []

    def idle(self, now: float) -> Sequence[Any]:
        """Balances and positions every few seconds, whether they changed or not."""
        if self._desk.switches["notice"] == "on" and not self._is_warned:
            self._is_warned = True
            return [_event("notice", code="64008", msg=_LOGIN["64008"])]
        if now - self._told_wall < _REGULAR_S:
            return []
        regular = [arg for arg in self.subscribed if arg["channel"] in ("account", "positions")]
        return [frame for arg in regular for frame in self._snapshot(arg, now)]

    def received(self, text: str, now: float) -> Sequence[Any]:
        if text == "ping":
            return [Verbatim("pong")]
        try:
            message = json.loads(text)
            operation, args = str(message["op"]), list(message["args"])
        except (ValueError, KeyError, TypeError):
            return [_refused("60012", text)]
        if operation == "login":
            return [self._login(args, now)]
        if operation in self._operations and self._part == "private":
            return [self._operate(operation, message, args, now)]
        if operation not in ("subscribe", "unsubscribe") or not all(isinstance(arg, dict) for arg in args):
            return [_refused("60012", text)]
        changed = self._subscribe if operation == "subscribe" else self._unsubscribe
        named = {"id": message["id"]} if "id" in message else {}
        return [frame for arg in args for frame in changed(arg, named, now)]

    # --- what is asked ---------------------------------------------------------------------------------

    def _login(self, args: list[Any], now: float) -> dict[str, Any]:
        asked = args[0] if args and isinstance(args[0], dict) else {}
        if self._is_in:
            return _refused("60031")
        if asked.get("apiKey") != self._key.api_key:
            return _refused("60032" if asked.get("apiKey") else "60005")
        if asked.get("passphrase") != self._key.passphrase:
            return _refused("60024")
        stamp = str(asked.get("timestamp", ""))
        if not stamp.isdigit() or abs(int(stamp) - now) > _STALE_S:
            return _refused("60006")
        digest = hmac_sha256(self._key.api_secret, f"{stamp}GET/users/self/verify")
        if base64.b64encode(digest).decode() != asked.get("sign"):
            return _refused("60007")
        self._is_in = True
        return _event("login", code="0", msg="")

    def _subscribe(self, arg: dict[str, str], named: dict[str, str], now: float) -> list[Any]:
        channel = str(arg.get("channel"))
        if channel not in _CHANNELS.get(self._part, ()):
            return [_refused("60018", f"channel:{channel}") | named]
        if self._part != "public" and not self._is_in:
            return [_refused("60011") | named]
        if self._part == "public" and self._instrument(arg) is None:
            return [_refused("60018", f"channel:{channel},instId:{arg.get('instId')}") | named]
        frames = [_event("subscribe", arg=arg) | named]
        if channel in _COUNTED and self._desk.switches["connections"] == "full":
            return [*frames, _event("channel-conn-count-error", channel=channel, connCount="30")]
        if channel in _COUNTED:
            frames.append(_event("channel-conn-count", channel=channel, connCount="1"))
        if arg not in self.subscribed:
            self.subscribed.append(arg)
        return frames + self._snapshot(arg, now)

    def _unsubscribe(self, arg: dict[str, str], named: dict[str, str], _: float) -> list[Any]:
        self.subscribed = [kept for kept in self.subscribed if kept != arg]
        return [_event("unsubscribe", arg=arg) | named]

    def _operate(self, operation: str, message: Mapping[str, Any], args: list[Any], now: float) -> dict[str, Any]:
        """Orders over the socket: an instrument is named by its number."""
        frame = {"id": str(message.get("id", "")), "op": operation}
        if not self._is_in:
            return frame | {"code": "60011", "msg": _LOGIN["60011"], "data": []}
        try:
            return frame | self._operations[operation]([_spelled_out(arg) for arg in args], now).body(now)
        except Denied as denied:
            return frame | {"code": denied.code, "msg": sentence(denied.code, denied.detail), "data": []}

    def _instrument(self, arg: Mapping[str, str]) -> str | None:
        """The symbol of a public subscription, if it is listed."""
        try:
            symbol = self.exchange.instrument(str(arg.get("instId", ""))).symbol
        except Refused:
            return None
        return None if symbol in self.exchange.delisted else symbol

    # --- what there is ---------------------------------------------------------------------------------

    def _snapshot(self, arg: dict[str, str], now: float) -> list[Any]:
        channel = arg["channel"]
        if channel == "account":
            self._told_wall = now
            rows = [account.balance(self.exchange, now, _coin(arg))]
        elif channel == "positions":
            self._told_wall = now
            rows = [row for row in account.position_rows(self.exchange, now) if _concerns(arg, row)]
            self._legs = {(held.symbol, held.side) for held in self.exchange.positions.values()}
        elif channel == "algo-advance":
            rows = [row for row in self._desk.algo_rows(sorted(ADVANCED)) if _concerns(arg, row)]
            return [self._frame(arg, rows)] if rows else []
        else:
            return [self._price(arg, symbol, now)] if (symbol := self._instrument(arg)) is not None else []
        return [self._frame(arg, rows, eventType="snapshot", curPage=1, lastPage=True)]

    def _price(self, arg: dict[str, str], symbol: str, now: float) -> dict[str, Any]:
        write = ticker_row if arg["channel"] == "tickers" else mark_row
        return {"arg": arg, "data": [write(self.exchange, self.exchange.instruments[symbol], now)]}

    def _frame(self, arg: dict[str, str], rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {"arg": {**arg, "uid": self._uid}, **more, "data": rows}

    # --- what changes ----------------------------------------------------------------------------------

    def notified(self, notices: Sequence[Notice], now: float) -> Sequence[Any]:
        return [frame for notice in notices for frame in self._push(notice, now)]

    def _push(self, notice: Notice, now: float) -> list[Any]:
        if isinstance(notice, PriceChanged):
            return [self._price(arg, notice.symbol, now) for arg in self._to("tickers", "mark-price", of=notice.symbol)]
        if isinstance(notice, BalanceChanged):
            coins = {row.asset for row in notice.rows if row.wallet == markets.TRADING}
            return [self._changed_balance(arg, coins, now) for arg in self._to("account") if coins]
        if isinstance(notice, PositionChanged):
            return self._changed_position(notice.symbol, now)
        if isinstance(notice, OrderOpened):
            return self._changed_order(notice.order, "live", {}, now)
        if isinstance(notice, OrderCancelled):
            source = _CANCEL_SOURCES.get(notice.cancelled.how, "1")
            return self._changed_order(notice.cancelled.order, "canceled", {"cancelSource": source}, now)
        if isinstance(notice, OrderTriggered):
            return self._changed_order(notice.order, "effective", {"ordId": notice.became}, now)
        return self._filled(notice.fill, now)

    def _to(self, *channels: str, of: str = "") -> Iterable[dict[str, str]]:
        wire_id = self.exchange.instruments[of].wire_id if of else ""
        return [arg for arg in self.subscribed if arg["channel"] in channels and arg.get("instId", wire_id) == wire_id]

    def _changed_balance(self, arg: dict[str, str], coins: set[str], now: float) -> dict[str, Any]:
        return self._frame(arg, [account.balance(self.exchange, now, coins)], eventType="event_update")

    def _changed_position(self, symbol: str, now: float) -> list[Any]:
        held = [position for position in self.exchange.positions.values() if position.symbol == symbol]
        legs = {(symbol, position.side) for position in held}
        gone = {leg for leg in self._legs if leg[0] == symbol} - legs
        self._legs = (self._legs - gone) | legs
        rows = [account.position_row(self.exchange, position, now) for position in held]
        rows += [account.flat_row(self.exchange, *leg, now) for leg in sorted(gone)]
        subscribed = [arg for arg in self.subscribed if arg["channel"] == "positions"]
        concerned = [(arg, [row for row in rows if _concerns(arg, row)]) for arg in subscribed]
        return [self._frame(arg, found, eventType="event_update") for arg, found in concerned if found]

    def _filled(self, fill: Fill, now: float) -> list[Any]:
        done, (fee, asset) = fill.order.remaining == 0, self.exchange.fee_of(fill)
        more = {
            "fillPx": text(fill.price),
            "fillSz": text(fill.quantity),
            "fillTime": str(milliseconds(fill.wall)),
            "tradeId": str(fill.fill_id),
            "avgPx": text(fill.price),
            "fillFee": text(-fee),
            "fillFeeCcy": asset,
            "execType": "T",
        }
        is_plain = book_of(fill.order.draft) == PLAIN
        state = "filled" if is_plain and done else "partially_filled" if is_plain else "effective"
        return self._changed_order(fill.order, state, more, now)

    def _changed_order(self, order: OpenOrder, state: str, more: Mapping[str, str], now: float) -> list[Any]:
        book = book_of(order.draft)
        if book == SPREAD or is_hidden(self.exchange, order):
            return []
        write = plain_row if book == PLAIN else algo_row
        channel = "orders" if book == PLAIN else "algo-advance" if book in ADVANCED else "orders-algo"
        row = write(self.exchange, order, self._desk.sent(order), state=state)
        extra = {"code": "0", "msg": "", "amendResult": "", "reqId": "", "notionalUsd": ""} if book == PLAIN else {}
        row = row | extra | {"uTime": str(milliseconds(now))} | dict(more)
        concerned = [arg for arg in self.subscribed if arg["channel"] == channel and _concerns(arg, row)]
        return [self._frame(arg, [row]) for arg in concerned]


def _event(name: str, **fields: Any) -> dict[str, Any]:
    return {"event": name, **fields, "connId": _CONNECTION}


def _refused(code: str, detail: str = "") -> dict[str, Any]:
    return _event("error", code=code, msg=_LOGIN[code].replace("{}", detail))


def _concerns(arg: Mapping[str, str], row: Mapping[str, Any]) -> bool:
    """Does a subscription ask for that row? ANY is every type."""
    kind = arg.get("instType", "ANY")
    return kind in ("ANY", row["instType"]) and arg.get("instId", row["instId"]) == row["instId"]


def _coin(arg: Mapping[str, str]) -> list[str]:
    return [arg["ccy"]] if arg.get("ccy") else []


def _spelled_out(arg: Mapping[str, Any]) -> dict[str, Any]:
    """An operation with the id of its instrument for the number. Raises Denied for a number that means none."""
    code = arg.get("instIdCode")
    if code is None:
        return dict(arg)
    known = markets.instruments()
    if not isinstance(code, int) or not 0 < code <= len(known):
        raise Denied("51001")
    return {**arg, "instId": known[code - 1].wire_id}
