"""The sockets of Binance's futures: market streams, and the user data stream behind a listen key.

After developers.binance.com (websocket market streams; user data streams). A stream that nobody knows, or of another
path (`/public` has the book, `/market` the rest), is acknowledged and silent. A user stream tells changes only, and has
no snapshot. Guessed: that a socket with a listen key that does not exist is let in and stays silent; that tickers and
marks are sent at once when they are subscribed to. Left out: rows of COIN-M in `!..@arr`, order books, trades, candles.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import (
    BalanceChanged,
    Cancelled,
    Fill,
    HeldPosition,
    LedgerRow,
    Notice,
    OpenOrder,
    OrderCancelled,
    OrderFilled,
    OrderOpened,
    OrderTriggered,
    PositionChanged,
    PriceChanged,
    Refused,
)
from adapters.simulated.wire import binanceusdm_rows as rows
from adapters.simulated.wire.base import milliseconds, text
from adapters.simulated.wire.binanceusdm_rows import Half

_KEY_LIFE_S = 3600.0
_REASONS = {"deposit": "DEPOSIT", "withdrawal": "WITHDRAW", "funding": "FUNDING_FEE", "position": "ORDER"}
_ON_PUBLIC = frozenset({"bookTicker", "depth", "trade"})
# Channels that are sent every second, whether anything changed or not.
_EVERY_SECOND = frozenset({"markPrice"})


class ListenKeys:
    """The account's listen key: one at a time, alive for an hour after it was asked for or renewed."""

    def __init__(self) -> None:
        self.key = ""
        self._until = 0.0
        self._number = 0

    def give(self, wall: float) -> str:
        """The living key, which lives longer by this, or a new one."""
        if not self.lives(self.key, wall):
            self._number += 1
            self.key = f"{self._number:04d}".rjust(64, "k")
        self._until = wall + _KEY_LIFE_S
        return self.key

    def renew(self, wall: float) -> bool:
        if not self.lives(self.key, wall):
            return False
        self._until = wall + _KEY_LIFE_S
        return True

    def end(self) -> None:
        self._until = 0.0

    def lives(self, key: str, wall: float) -> bool:
        return bool(key) and key == self.key and wall < self._until


class FuturesSession:
    """One connection: what is subscribed to, and answers to requests."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.streams: dict[str, None] = {}

    def opened(self, _: float) -> Sequence[Any]:
        return []

    def idle(self, now: float) -> Sequence[Any]:
        return []

    def notified(self, notices: Sequence[Notice], now: float) -> Sequence[Any]:
        return [frame for notice in notices for frame in self.push(notice, now)]

    def push(self, notice: Notice, now: float) -> list[Any]:
        """The frames that tell of a change."""
        return []

    def received(self, text: str, now: float) -> Sequence[Any]:
        try:
            message = json.loads(text)
            method, number = message["method"], message.get("id")
        except (ValueError, KeyError, TypeError, AttributeError):
            return [{"error": {"code": 2, "msg": "Invalid request: it is no request"}}]
        names = [str(name) for name in message.get("params") or []]
        if method == "LIST_SUBSCRIPTIONS":
            return [{"result": list(self.streams), "id": number}]
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            return [{"error": {"code": 2, "msg": f"Invalid request: unknown variant `{method}`"}, "id": number}]
        ack = {"result": None, "id": number}
        if method == "UNSUBSCRIBE":
            self.streams = {name: None for name in self.streams if name not in names}
            return [ack]
        self.streams |= dict.fromkeys(names)
        return [ack, *(frame for name in names for frame in self.current(name, now))]

    def current(self, stream: str, now: float) -> list[Any]:
        """What a stream shows right now."""
        return []


class MarketSession(FuturesSession):
    """Market streams. category: `public` or `market`, empty where one path has them all."""

    def __init__(self, exchange: Exchange, category: str) -> None:
        super().__init__(exchange)
        self._category = category

    def idle(self, now: float) -> Sequence[Any]:
        return [frame for name in self.streams if _channel(name) in _EVERY_SECOND for frame in self.current(name, now)]

    def push(self, notice: Notice, now: float) -> list[Any]:
        if not isinstance(notice, PriceChanged):
            return []
        return [frame for name in self.streams for frame in self.current(name, now, only=notice.symbol)]

    def current(self, stream: str, now: float, *, only: str = "") -> list[Any]:
        """only: of this instrument, if the stream shows it at all."""
        channel = _channel(stream)
        frame = _FRAMES.get(channel)
        if frame is None or self._category not in ("", "public" if channel in _ON_PUBLIC else "market"):
            return []
        shown = [frame(self.exchange, symbol, now) for symbol in self._symbols(stream, only)]
        return [shown] if shown and "@arr" in stream else shown

    def _symbols(self, stream: str, only: str) -> list[str]:
        if stream.startswith("!"):
            return [only] if only else [each.symbol for each in self.exchange.listed()]
        try:
            symbol = self.exchange.instrument(stream.partition("@")[0]).symbol
        except Refused:
            return []
        return [symbol] if only in ("", symbol) else []


class UserSession(FuturesSession):
    """The user data stream of a listen key; when that has expired it says so, once, and is silent."""

    def __init__(self, exchange: Exchange, half: Half, keys: ListenKeys, key: str) -> None:
        super().__init__(exchange)
        self._half = half
        self._keys = keys
        self._key = key
        self._was_alive = False

    def opened(self, now: float) -> Sequence[Any]:
        self._was_alive = self._keys.lives(self._key, now)
        return []

    def idle(self, now: float) -> Sequence[Any]:
        if not self._was_alive or self._keys.lives(self._key, now):
            return []
        self._was_alive = False
        return [{"e": "listenKeyExpired", "E": milliseconds(now), "listenKey": self._key}]

    def push(self, notice: Notice, now: float) -> list[Any]:
        if not self._keys.lives(self._key, now):
            return []
        if isinstance(notice, BalanceChanged):
            told = [row for row in notice.rows if row.wallet == self._half.wallet]
            reason = _reason(told[0]) if told else ""
            return [self._account(reason, [_balance(row) for row in told], [], now)] if told else []
        if isinstance(notice, PositionChanged):
            held = rows.held_positions(self.exchange, [notice.symbol])
            return [self._account("ORDER", [], [self._position(each) for each in held], now)]
        return self._order_frames(notice, now)

    def _account(self, reason: str, balances: list[Any], positions: list[Any], now: float) -> dict[str, Any]:
        stamp = milliseconds(now)
        return {"e": "ACCOUNT_UPDATE", "E": stamp, "T": stamp, "a": {"B": balances, "P": positions, "m": reason}}

    def _position(self, held: HeldPosition) -> dict[str, Any]:
        return {
            "s": self.exchange.instruments[held.symbol].wire_id,
            "pa": text(held.quantity),
            "ep": text(held.entry),
            "cr": "0",
            "up": text(rows.profit(self.exchange, held), 8),
            "mt": "cross",
            "iw": "0",
            "ps": held.side.upper() or "BOTH",
            "ma": self.exchange.instruments[held.symbol].settle,
            "bep": text(held.entry),
        }

    # --- orders ----------------------------------------------------------------------------------------

    def _order_frames(self, notice: Notice, now: float) -> list[Any]:
        if isinstance(notice, OrderOpened):
            return [self._opened_order(notice.order, now)]
        if isinstance(notice, OrderCancelled):
            return [self._cancelled_order(notice.cancelled, now)]
        if isinstance(notice, OrderTriggered):
            status = "TRIGGERED" if notice.became else "TRIGGERING"
            return [self._algo(notice.order, status, now, became=notice.became)]
        if isinstance(notice, OrderFilled):
            order = notice.fill.order
            ended = [self._algo(order, "FINISHED", now, became=order.order_id)] if rows.is_algo(order) else []
            return [*ended, self._plain(order, "TRADE", rows.status(order), now, fill=notice.fill)]
        return []

    def _opened_order(self, order: OpenOrder, now: float) -> dict[str, Any]:
        return self._algo(order, "NEW", now) if rows.is_algo(order) else self._plain(order, "NEW", "NEW", now)

    def _cancelled_order(self, gone: Cancelled, now: float) -> dict[str, Any]:
        if rows.is_algo(gone.order):
            return self._algo(gone.order, "CANCELED", now)
        return self._plain(gone.order, "CANCELED", "CANCELED", now)

    def _plain(
        self, order: OpenOrder, execution: str, status: str, now: float, *, fill: Fill | None = None
    ) -> dict[str, Any]:
        row, stamp = rows.plain_order(self.exchange, order), milliseconds(now)
        told = {
            "s": row["symbol"],
            "c": row["clientOrderId"],
            "S": row["side"],
            "o": row["type"],
            "f": row["timeInForce"],
            "q": row["origQty"],
            "p": row["price"],
            "ap": row["avgPrice"],
            "sp": row["stopPrice"],
            "x": execution,
            "X": status,
            "i": row["orderId"],
            "l": "0" if fill is None else text(fill.quantity),
            "z": row["executedQty"],
            "L": "0" if fill is None else text(fill.price),
            "T": stamp,
            "t": 0 if fill is None else fill.fill_id,
            **({} if fill is None else _commission(self.exchange, fill)),
            "b": "0",
            "a": "0",
            "m": False,
            "R": row["reduceOnly"],
            "wt": "CONTRACT_PRICE",
            "ot": row["origType"],
            "ps": row["positionSide"],
            "cp": row["closePosition"],
            "rp": "0",
            "pP": False,
            "V": "NONE",
            "pm": "NONE",
            "gtd": 0,
        }
        return {"e": "ORDER_TRADE_UPDATE", "E": stamp, "T": stamp, "o": told}

    def _algo(self, order: OpenOrder, status: str, now: float, *, became: str = "") -> dict[str, Any]:
        row, stamp = rows.algo_order(self.exchange, order), milliseconds(now)
        told = {
            "caid": row["clientAlgoId"],
            "aid": row["algoId"],
            "at": "CONDITIONAL",
            "o": row["orderType"],
            "s": row["symbol"],
            "S": row["side"],
            "ps": row["positionSide"],
            "f": row["timeInForce"],
            "q": row["quantity"],
            "X": status,
            "ai": became,
            "tp": row["triggerPrice"],
            "p": row["price"],
            "V": "EXPIRE_MAKER",
            "wt": "CONTRACT_PRICE",
            "pm": "NONE",
            "cp": row["closePosition"],
            "pP": False,
            "R": row["reduceOnly"],
            "tt": stamp if became else 0,
            "gtd": 0,
            "rm": "",
        }
        return {"e": "ALGO_UPDATE", "T": stamp, "E": stamp, "o": told}


def _commission(exchange: Exchange, fill: Fill) -> dict[str, Any]:
    fee, asset = exchange.fee_of(fill)
    return {"n": text(fee, 8), "N": asset}


def _reason(row: LedgerRow) -> str:
    if row.kind == "transfer":
        return "DEPOSIT" if row.amount > 0 else "WITHDRAW"
    return _REASONS.get(row.kind, "ADJUSTMENT")


def _balance(row: LedgerRow) -> dict[str, Any]:
    """bc: what changed besides profit and fees."""
    changed = Decimal(0) if row.kind in ("position", "trade") else row.amount
    return {"a": row.asset, "wb": text(row.balance, 8), "cw": text(row.balance, 8), "bc": text(changed, 8)}


def _channel(stream: str) -> str:
    """`btcusdt@markPrice@1s` and `!markPrice@arr` are of the same one."""
    words = stream.split("@")
    return words[0][1:] if stream.startswith("!") else words[1] if len(words) > 1 else ""


# --- frames of market streams --------------------------------------------------------------------------


def _mark(exchange: Exchange, symbol: str, now: float) -> dict[str, Any]:
    row = rows.mark_price(exchange, symbol, now)
    price = row["markPrice"]
    told = {"e": "markPriceUpdate", "E": row["time"], "s": row["symbol"], "p": price, "ap": price, "i": price}
    kind = 2 if exchange.instruments[symbol].inverse else 1
    return told | {"P": price, "r": row["lastFundingRate"], "T": row["nextFundingTime"], "st": kind}


def _book(exchange: Exchange, symbol: str, now: float) -> dict[str, Any]:
    row = rows.book_ticker(exchange, symbol, now)
    stamp = row["time"]
    told = {"e": "bookTicker", "u": row["lastUpdateId"], "E": stamp, "T": stamp, "s": row["symbol"]}
    return told | {"b": row["bidPrice"], "B": row["bidQty"], "a": row["askPrice"], "A": row["askQty"]}


def _mini(exchange: Exchange, symbol: str, now: float) -> dict[str, Any]:
    row = rows.day_ticker(exchange, symbol, now)
    told = {"e": "24hrMiniTicker", "E": row["closeTime"], "s": row["symbol"], "c": row["lastPrice"]}
    return told | {name: row[long] for name, long in _MINI.items()}


def _ticker(exchange: Exchange, symbol: str, now: float) -> dict[str, Any]:
    row = rows.day_ticker(exchange, symbol, now)
    return _mini(exchange, symbol, now) | {"e": "24hrTicker"} | {name: row[long] for name, long in _WHOLE.items()}


_MINI = {"o": "openPrice", "h": "highPrice", "l": "lowPrice", "v": "volume", "q": "quoteVolume"}
_WHOLE = {
    "p": "priceChange",
    "P": "priceChangePercent",
    "w": "weightedAvgPrice",
    "Q": "lastQty",
    "O": "openTime",
    "C": "closeTime",
    "F": "firstId",
    "L": "lastId",
    "n": "count",
}
_FRAMES: dict[str, Callable[[Exchange, str, float], dict[str, Any]]] = {
    "markPrice": _mark,
    "bookTicker": _book,
    "miniTicker": _mini,
    "ticker": _ticker,
}
